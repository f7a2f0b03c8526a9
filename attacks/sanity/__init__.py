"""Automatic sanity checks: how far a robust score can be trusted.

>>> import torch
>>> from steadyear.attacks import PGD, Linf
>>> from steadyear.attacks.sanity import sanity_report
>>> model = torch.nn.Linear(4, 2).eval()
>>> report = sanity_report(
...     model, torch.randn(6, 4), torch.randn(6, 2), {"pgd": PGD(Linf())}, [0.1], "free"
... )
>>> report["budget"].status
<Status.PASS: 'PASS'>
"""

from steadyear.attacks.sanity.protocol.registry import CHECKS, Check, Level
from steadyear.attacks.sanity.protocol.verdict import Finding, Skipped, Status, Verdict
from steadyear.attacks.sanity.report import UPPER_BOUND, SanityReport
from steadyear.attacks.sanity.suite import Sanity, sanity_report

__all__ = [
    "CHECKS",
    "UPPER_BOUND",
    "Check",
    "Finding",
    "Level",
    "Sanity",
    "SanityReport",
    "Skipped",
    "Status",
    "Verdict",
    "sanity_report",
]
