"""Tables of a transfer matrix, for the terminal and for the page."""

from __future__ import annotations

from typing import Final

from steadyear.compare.render.pages import Table
from steadyear.compare.render.text import show
from steadyear.transfer.matrix import ITSELF, Matrix

PAIRS: Final = (
    "Mean±population standard deviation over pairs of seeds, which share networks: ± is no "
    "standard error."
)


def damage_table(found: Matrix) -> Table:
    """Error added by the examples, with the clean error of the targets below.

    Args:
        found: The matrix.
    """
    caption = (
        "Mean error per clip (the mean absolute error of real values) that the examples add, by "
        "the system they were made on (rows) and tested on (columns). Where both are one system, "
        f"they are two seeds of it. {ITSELF.capitalize()}: made on the very network. {PAIRS}"
    )
    rows = [
        [row, *(show(found.damage.get((row, column))) for column in found.targets)]
        for row in found.sources
    ]
    rows.append(["(clean error)", *(show(found.clean[column]) for column in found.targets)])
    return Table("Damage", caption, ["made on", *found.targets], rows)


def share_table(found: Matrix) -> Table:
    """Damage in percent of what the target's own examples do.

    Args:
        found: The matrix.
    """
    caption = (
        "The same in percent of what the examples made on the very network add to it, seed by "
        f"seed of the target; a dash where those add nothing. {PAIRS}"
    )
    rows = [
        [row, *(show(found.share.get((row, column)), 1) for column in found.targets)]
        for row in found.sources
        if row != ITSELF
    ]
    return Table("Rate of transfer [%]", caption, ["made on", *found.targets], rows)
