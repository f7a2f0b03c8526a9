"""Scores of single-label predictions, and the same on clips that were drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from steadyear.compare.scores.multilabel import MOST_DRAWS, clip_counts

Floats = NDArray[np.float64]
_RECALL = "recall/"


def multiclass(
    prediction: Floats, target: Floats, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Score a set of clips.

    Args:
        prediction: Logits, shape (clips, classes).
        target: Class numbers, shape (clips, 1).
        names: Names of the classes.

    Returns:
        Every registered score, see ``steadyear.lightning_modules.metrics``; and the recall of every
        class that occurs.
    """
    # Imported here: Lightning takes seconds to load, and comparisons of regressions do not need it.
    import torch

    from steadyear.lightning_modules.metrics import multiclass_scores

    found = multiclass_scores(torch.tensor(prediction), torch.tensor(target), names)
    of_classes = {key: value for key, value in found.items() if key.startswith(_RECALL)}
    metrics = {key: value for key, value in found.items() if key not in of_classes}
    return metrics, {key.removeprefix(_RECALL): value for key, value in of_classes.items()}


def drawn_accuracy(prediction: Floats, target: Floats) -> Floats:
    """Accuracy on clips that are drawn with replacement, again and again.

    The draws depend on the number of clips only, so that all systems get the same clips.

    Args:
        prediction: Logits without NaN, shape (clips, classes).
        target: Class numbers, shape (clips, 1).

    Returns:
        The accuracy of every draw, shape (draws,).
    """
    right = (prediction.argmax(axis=1) == target[:, 0]).astype(np.float64)
    found = [right @ counts for counts in clip_counts(len(right), MOST_DRAWS)]
    accuracy: Floats = np.concatenate(found) / len(right)
    return accuracy


def labels_of_scores() -> Mapping[str, str]:
    """What tables call the registered scores, by name."""
    from steadyear.lightning_modules.metrics.registry import registered

    return {name: each.label for name, each in registered("multiclass").items()}
