"""From rows of clips to the matrix of sources and targets."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from steadyear.compare.statistics.spread import Spread

ITSELF: Final = "the target itself"
CONTROL: Final = "random noise"
Key = tuple[str, str]


@dataclass(frozen=True)
class Matrix:
    """Damage by source and target, over all pairs of seeds.

    Attributes:
        targets: The systems, in order; every one is a source, too.
        sources: What examples were made on: ``ITSELF`` (the very network that is attacked), the
            systems, and ``CONTROL`` where there is one.
        clean: Mean error of every target without attack, over its seeds.
        damage: Mean error that the examples add, by source and target. Where both are one system,
            its other seeds.
        share: The same in percent of what the target's own examples add to it.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    clean: dict[str, Spread]
    damage: dict[Key, Spread]
    share: dict[Key, Spread]


def matrix(frame: pd.DataFrame) -> Matrix:
    """Gather the clips.

    Args:
        frame: What ``transfer`` gave.
    """
    means = _pairs(frame)
    pairs: list[dict[Hashable, Any]] = means.to_dict("records")
    own = {
        (pair["target"], pair["target_seed"]): float(pair["damage"])
        for pair in pairs
        if pair["row"] == ITSELF
    }
    damage, share = defaultdict[Key, list[float]](list), defaultdict[Key, list[float]](list)
    for pair in pairs:
        key = pair["row"], pair["target"]
        whole = own[pair["target"], pair["target_seed"]]
        damage[key].append(pair["damage"])
        # Without damage of its own a target gives no measure.
        share[key].append(100 * pair["damage"] / whole if whole > 0 else math.nan)
    targets = tuple(dict.fromkeys(frame["target"]))
    rows = set(means["row"])
    once = means[means["row"] == ITSELF].groupby("target", sort=False)["clean_error"]
    return Matrix(
        targets,
        tuple(row for row in (ITSELF, *targets, CONTROL) if row in rows or row in targets),
        {str(name): _spread(list(values)) for name, values in once},
        {key: _spread(values) for key, values in damage.items()},
        {key: _spread(values) for key, values in share.items()},
    )


def _pairs(frame: pd.DataFrame) -> pd.DataFrame:
    keys = ["source", "source_seed", "target", "target_seed"]
    grouped = frame.groupby(keys, sort=False, dropna=False)
    means = grouped[["clean_error", "attacked_error"]].mean().reset_index()
    means["damage"] = means["attacked_error"] - means["clean_error"]
    itself = (means["source"] == means["target"]) & (means["source_seed"] == means["target_seed"])
    means["row"] = means["source"].mask(itself.fillna(False), ITSELF)
    # Only noise has no seed: a system may be called noise.
    means["row"] = means["row"].mask(means["source_seed"].isna(), CONTROL)
    return means


def _spread(values: list[float]) -> Spread:
    return Spread(dict(enumerate(values)))
