"""Scores of multi-label predictions, and the same on clips that were drawn again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from steadyear.foundation.random_streams import numpy_generator

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

MOST_DRAWS: Final = 10_000
FEWEST_DRAWS: Final = 200
# Draws times clips times classes per run and condition: about a quarter of a second.
WORK: Final = 150_000_000
_VALUES_AT_ONCE: Final = 1_000_000
_AP: Final = "ap/"
SCORES: Final = {
    "cmap": "cmAP",
    "auroc": "AUROC",
    "top1": "top-1",
    "top1_with_nocalls": "with no-calls",
    "micro_ap": "micro AP",
}


def multilabel(
    prediction: Floats, target: Floats, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Score a set of clips.

    Args:
        prediction: Logits, shape (clips, classes).
        target: Labels, same shape.
        names: Names of the classes.

    Returns:
        ``cmap``, ``auroc``, ``top1``, ``top1_with_nocalls`` and ``micro_ap``, see
        ``steadyear.lightning_modules.metrics``; and the average precision of every class that occurs.
    """
    # Imported here: Lightning takes seconds to load, and comparisons of regressions do not need it.
    import torch

    from steadyear.lightning_modules.metrics import multilabel_scores

    found = multilabel_scores(torch.tensor(prediction), torch.tensor(target), names)
    of_classes = {key: value for key, value in found.items() if key.startswith(_AP)}
    metrics = {key: value for key, value in found.items() if key not in of_classes}
    return metrics, {key.removeprefix(_AP): value for key, value in of_classes.items()}


def data_set_robustness(clean: float, attacked: float) -> float:
    """PRS of a data set from its cmAP, see ``attacks.score_robustness``.

    Args:
        clean: cmAP without attack.
        attacked: cmAP under attack.
    """
    # Imported here for the same reason.
    from steadyear.attacks import score_robustness

    return score_robustness(clean, attacked)


def drawn_cmap(prediction: Floats, target: Floats) -> Floats:
    """Score clips that are drawn with replacement, again and again, by cmAP.

    The draws depend on the number of clips and classes only, so that all systems get the same clips.
    A class that no drawn clip has is left out of that draw, as in the score itself.

    Args:
        prediction: Logits without NaN, shape (clips, classes).
        target: Labels, same shape.

    Returns:
        The cmAP of every draw, shape (draws,); NaN where no drawn clip has a label.
    """
    clips, classes = prediction.shape
    draws = min(MOST_DRAWS, max(FEWEST_DRAWS, WORK // (clips * classes)))
    ranks = [
        _segments(scores, given)
        for scores, given in zip(prediction.T, target.T >= 0.5, strict=True)
    ]
    ranks = [each for each in ranks if each[0].shape[0]]
    found = [_cmap(ranks, counts) for counts in clip_counts(clips, draws)]
    return np.concatenate(found)


Segments = tuple[sparse.csr_array, sparse.csr_array]


def _segments(scores: Floats, given: NDArray[np.bool_]) -> Segments:
    """Which clips, and which of the positive ones, lie from one positive score up to the next."""
    levels = np.unique(scores[given])
    place = np.searchsorted(levels, scores, "right") - 1
    return (
        _membership(place, place >= 0, len(levels)),
        _membership(place, given, len(levels)),
    )


def _membership(
    place: NDArray[np.intp], chosen: NDArray[np.bool_], levels: int
) -> sparse.csr_array:
    clips = np.flatnonzero(chosen)
    ones = np.ones(len(clips), dtype=np.int32)
    return sparse.csr_array((ones, (place[clips], clips)), shape=(levels, len(place)))


def _cmap(ranks: Sequence[Segments], counts: Counts) -> Floats:
    """Mean average precision for clips that count several times or not at all, shape (draws,)."""
    total, classes = np.zeros(counts.shape[1]), np.zeros(counts.shape[1])
    for every, positive in ranks:
        hit = positive @ counts
        hits, reached = (part[::-1].cumsum(axis=0)[::-1] for part in (hit, every @ counts))
        # Where nothing is reached nothing is hit, and 0 / 1 adds nothing.
        precision = hits / np.maximum(reached, 1)
        total += (hit * precision).sum(axis=0) / np.maximum(hits[0], 1)
        classes += hits[0] > 0
    missing = np.full(len(total), np.nan)
    found: Floats = np.divide(total, classes, out=missing, where=classes > 0)
    return found


@lru_cache(maxsize=1)
def clip_counts(clips: int, draws: int) -> tuple[Counts, ...]:
    """How often each clip is drawn, in pieces of shape (clips, some of the draws)."""
    return tuple(_draw(clips, draws))


def _draw(clips: int, draws: int) -> Iterator[Counts]:
    # Another stream than that of the seeds, or both draws would depend on each other.
    draw = numpy_generator(1)
    size = max(1, _VALUES_AT_ONCE // clips)
    for start in range(0, draws, size):
        counts = draw.multinomial(
            clips, np.full(clips, 1 / clips), size=min(size, draws - start)
        ).astype(np.int32)
        # Clips first, as the sparse product reads them.
        yield np.ascontiguousarray(counts.T)


def labels_of_scores() -> Mapping[str, str]:
    """What tables call every score, by name."""
    from steadyear.lightning_modules.metrics.registry import registered

    return SCORES | {name: each.label for name, each in registered("multilabel").items()}
