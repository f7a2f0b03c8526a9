"""Outputs of the whole module, for attacks that read a part of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from steadyear.attacks import AttackResult, View, attack_mode, inject


def with_module_outputs(
    module: nn.Module, x: Tensor, result: AttackResult, view: View
) -> AttackResult:
    """Replace the outputs that the attack read by those of the module.

    An attack on embeddings measures and returns embeddings; a table of predictions needs those of
    the same attacked clips.
    """
    if view.read_at is None:
        return result
    with attack_mode(module, x.device), torch.no_grad():
        clean = module(x)
        if view.perturb_at is None:
            attacked = view.rendered(result.adversarial.to(x.dtype), x)
            return replace(result, clean_output=clean, output=module(attacked))
        with inject(module, view.perturb_at, result.adversarial.to(x.dtype)):
            return replace(result, clean_output=clean, output=module(x))
