"""Numbers of one run, and their mean and spread over the seeds of a system."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from steadyear.compare.load.runs import Attacked, Floats, Run
from steadyear.compare.scores.regression import pearson

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """One number per seed.

    Attributes:
        values: The number of every seed that has it.
    """

    values: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN without seeds or with an undefined value."""
        return math.fsum(self.values.values()) / self.n if self.n else math.nan

    @property
    def std(self) -> float:
        """Population standard deviation over the seeds."""
        if not self.n:
            return math.nan
        return float(np.std(np.fromiter(self.values.values(), dtype=np.float64)))

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.values)


@dataclass(frozen=True)
class Scores(Generic[T]):
    """Numbers of one system in one condition: clean, or one attack at one budget.

    Attributes:
        metrics: Numbers by name; see :func:`clean_scores` and :func:`attacked_scores`.
        of_targets: The task's score of each target.
        concept_pearson: Pearson's r over clips of each concept; empty without concepts.
        concept_mae: Mean absolute error of each concept, as above.
        concept_change: Mean absolute change of each concept under attack, as above.
    """

    metrics: dict[str, T] = field(default_factory=dict)
    of_targets: dict[str, T] = field(default_factory=dict)
    concept_pearson: dict[str, T] = field(default_factory=dict)
    concept_mae: dict[str, T] = field(default_factory=dict)
    concept_change: dict[str, T] = field(default_factory=dict)


PARTS = ("metrics", "of_targets", "concept_pearson", "concept_mae", "concept_change")


def clean_scores(run: Run) -> Scores[float]:
    """Score a run without attack.

    Args:
        run: The run.

    Returns:
        Scores with the metrics of the task; ``clip_error``, the mean of the errors of the clips,
        where the task is not scored by that; and ``concept_pearson`` and ``concept_mae`` (means
        over concepts) where concepts exist.
    """
    return _scores(run, run.prediction, run.errors, run.concepts)


def attacked_scores(run: Run, attacked: Attacked, clean: Scores[float]) -> Scores[float]:
    """Score a run under one attack at one budget.

    Args:
        run: The run.
        attacked: What the attack did to it.
        clean: Its scores without attack.

    Returns:
        The scores of :func:`clean_scores` and the metrics of the task's loss, ``success_rate``, and
        the means over clips of ``gradient_queries``, ``achieved_linf``, ``achieved_l2`` and
        ``snr_db`` (over the clips that have one); robustness scores: ``prs``, ``drs`` and ``tars``,
        means over clips, where every clip has one, and ``prs_<score>``, that of the data set, where
        the task has one.
    """
    scores = _scores(run, attacked.prediction, attacked.errors, attacked.concepts)
    task = run.task
    before, after = clean.metrics[task.score.key], scores.metrics[task.score.key]
    scores.metrics[task.loss.key] = task.lost(before, after)
    scores.metrics["success_rate"] = float(attacked.success.mean())
    scores.metrics["gradient_queries"] = float(attacked.gradient_queries.mean())
    scores.metrics["achieved_linf"] = float(attacked.achieved_linf.mean())
    scores.metrics["achieved_l2"] = float(attacked.achieved_l2.mean())
    audible = attacked.snr_db[~np.isnan(attacked.snr_db)]
    scores.metrics["snr_db"] = float(audible.mean()) if audible.size else math.nan
    scores.metrics.update(_robustness(attacked))
    if task.robustness is not None:
        scores.metrics[f"prs_{task.score.key}"] = task.robustness(before, after)
    if attacked.concepts is not None and run.concepts is not None:
        change = np.abs(attacked.concepts - run.concepts).mean(axis=0)
        scores.concept_change.update(_named(run.names.concepts, change))
    return scores


def _robustness(attacked: Attacked) -> dict[str, float]:
    # Attacks without a target leave DRS and TARS empty.
    known = {name: each for name, each in attacked.robustness.items() if not np.isnan(each).any()}
    return {name: float(each.mean()) for name, each in known.items()}


def _scores(run: Run, prediction: Floats, errors: Floats, concepts: Floats | None) -> Scores[float]:
    metrics, of_targets = run.task.figures(prediction, run.target, run.names.targets)
    if not run.task.mean_over_clips:
        metrics["clip_error"] = float(errors.mean())
    scores = Scores(metrics, of_targets)
    if concepts is not None and run.target_concepts is not None:
        per_concept = pearson(concepts, run.target_concepts)
        error = np.abs(concepts - run.target_concepts).mean(axis=0)
        metrics |= {
            "concept_pearson": float(per_concept.mean()),
            "concept_mae": float(error.mean()),
        }
        scores.concept_pearson.update(_named(run.names.concepts, per_concept))
        scores.concept_mae.update(_named(run.names.concepts, error))
    return scores


def _named(names: Sequence[str], values: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def pool(scores: Mapping[int, Scores[float]]) -> Scores[Spread]:
    """Gather the scores of the seeds of one system.

    Args:
        scores: Scores by seed.

    Returns:
        Every number as a spread over the seeds.
    """
    return Scores(**{part: _pool_part(scores, part) for part in PARTS})


def _pool_part(scores: Mapping[int, Scores[float]], part: str) -> dict[str, Spread]:
    by_seed: dict[int, dict[str, float]] = {
        seed: getattr(each, part) for seed, each in scores.items()
    }
    names = dict.fromkeys(name for each in by_seed.values() for name in each)
    return {
        name: Spread({seed: each[name] for seed, each in by_seed.items() if name in each})
        for name in names
    }


def spread_json(spread: Spread) -> dict[str, Any]:
    """A spread as JSON values."""
    return {
        "values": {str(seed): finite(value) for seed, value in spread.values.items()},
        "mean": finite(spread.mean),
        "std": finite(spread.std),
        "n": spread.n,
    }


def finite(value: object) -> object:
    """JSON values with ``None`` in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
