"""The list of attacks, objectives and balls in docs/attacks.md, made from their docstrings.

`python -m tests.attacks.listing` writes it anew.
"""

from __future__ import annotations

from inspect import getdoc
from pathlib import Path

import steadyear.attacks
from steadyear.attacks import Attack, Ball, Objective
from steadyear.foundation.import_room import concrete_subclasses

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "attacks.md"
START, END = "<!-- listing -->\n", "<!-- end -->"
# The searches of the sanity checks are for them alone.
ROOMS = ("gradient", "minimal_norm", "black_box", "ensembles", "objectives", "balls")
HOMES = [f"{steadyear.attacks.__name__}.{room}" for room in ROOMS]


def listing() -> str:
    """The tables, in Markdown."""
    lines = []
    for title, base in (("attack", Attack), ("objective", Objective), ("ball", Ball)):
        lines += [f"| {title} | what it is |", "|---|---|"]
        for kind in sorted(concrete_subclasses(base, *HOMES), key=_place):
            path = Path(*kind.__module__.split(".")[1:]).with_suffix(".py")
            first, *_ = (getdoc(kind) or "").split("\n\n")
            lines.append(f"| [{kind.__name__}](../{path}) | {' '.join(first.split())} |")
        lines.append("")
    return "\n".join(lines)


def _place(kind: type) -> tuple[str, str]:
    return kind.__module__.split(".")[2], kind.__name__.lower()


def with_listing(page: str) -> str:
    """The page with the list as it should be."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{listing()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_listing(PAGE.read_text()))
