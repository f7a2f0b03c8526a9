"""One row for every recipe of adversarial training: what all tests of recipes run."""

from __future__ import annotations

from collections.abc import Callable

from steadyear.callbacks import TRADES, AdditionalStep, Madry, Recipe, SquaredChange

RECIPES: dict[str, Callable[[], Recipe]] = {
    "madry": Madry,
    "additional": lambda: AdditionalStep(1),
    "trades": lambda: TRADES(SquaredChange()),
}
