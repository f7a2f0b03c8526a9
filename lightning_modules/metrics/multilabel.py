"""Multi-label figures of merit as torchmetrics: each clip counts once, on one process or many.

All of them are exact, take ties as ties, and are the same for logits and for probabilities, as far
as these do not saturate; give logits, which do not. Classes without positives are left out of the
means, as in the published figures of BirdSet; torchmetrics counts them as 0 (its average precision
since 1.4.0, its AUROC always).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from steadyear.lightning_modules.metrics.clip_predictions import ClipOutputs
from steadyear.lightning_modules.metrics.clips import Clips, labels
from steadyear.lightning_modules.metrics.multilabel_figures import figures, rankings, top_hits
from steadyear.lightning_modules.metrics.ranking import Thresholds, at_least, average_precision
from steadyear.lightning_modules.metrics.registry import registered, registered_scores
from steadyear.lightning_modules.metrics.repeats import first_of_each


def multilabel_scores(
    prediction: Tensor, target: Tensor, names: Sequence[str] = ()
) -> dict[str, float]:
    """All multi-label figures of a set of clips.

    Args:
        prediction: Logits, shape (clips, classes).
        target: Labels, same shape; from 0.5 on a label counts as given.
        names: Names of the classes; with them each class's average precision is given as well.

    Returns:
        ``cmap``, ``auroc``, ``top1``, ``top1_with_nocalls``, ``micro_ap``, the registered scores, and
        ``ap/<name>`` for every named class that occurs.
    """
    scores = figures(Clips([prediction], [labels(target)]), names)
    return scores | registered_scores("multilabel", prediction, labels(target))


def ranking_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Error of each clip from 0 to 1, shape (clips,), for tables that compare clips.

    For a clip with labels: 1 minus the average precision over its classes, which is 1 minus
    scikit-learn's label ranking average precision. A clip without labels has no ranking; its error
    is its strongest false alarm, the highest probability of any class.

    Args:
        prediction: Logits, shape (clips, classes).
        target: Labels, same shape; from 0.5 on a label counts as given.
    """
    alarms = prediction.max(1).values.sigmoid().double()
    errors = [
        1 - _average_precision(scores, given) if bool(given.any()) else float(alarm)
        for scores, given, alarm in zip(
            prediction.cpu(), labels(target).cpu(), alarms.cpu(), strict=True
        )
    ]
    return torch.tensor(errors, dtype=torch.float64, device=prediction.device)


def _average_precision(scores: Tensor, given: Tensor) -> float:
    if bool(scores.isnan().any()):
        return float("nan")
    thresholds = Thresholds.of(scores[given].numpy())
    return average_precision(thresholds, at_least(scores.sort().values.numpy(), thresholds.values))


class MultilabelMetric(ClipOutputs):
    """Collects scores and labels by clip, drops repeats, and ranks them once.

    The scores are kept as they come and read class by class, so that the peak of memory stays below
    twice their size.
    """

    higher_is_better = True

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: Logits, shape (batch, classes).
            target: Labels, same shape; from 0.5 on a label counts as given.
            index: Stable numbers of the clips, shape (batch,).

        Raises:
            ValueError: If the shapes do not belong together.
        """
        if prediction.shape != target.shape or prediction.shape[:1] != index.shape:
            raise ValueError(
                "Expected logits and labels (batch, classes) and an index (batch,), not "
                f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(index.shape)}."
            )
        self.prediction.append(prediction.detach().float())
        self.target.append(labels(target.detach()))
        self.index.append(index)

    def clips(self) -> Clips:
        """What was collected, each clip once."""
        index, prediction, target = (
            # After a sync across processes torchmetrics gives one tensor instead of a list.
            state if isinstance(state, list) else [state]
            for state in (self.index, self.prediction, self.target)
        )
        return Clips(prediction, target, torch.cat(index))


class CMAP(MultilabelMetric):
    """Class-wise mean average precision: the mean over the classes that occur.

    Attributes:
        per_class: Average precision of each class after ``compute``, NaN for classes that do not
            occur, shape (classes,).
    """

    per_class: Tensor

    def compute(self) -> Tensor:
        """The mean, a scalar; NaN if no class occurs."""
        found = rankings(self.clips())
        self.per_class = torch.from_numpy(found.ap)
        return torch.tensor(found.cmap)


class AUROC(MultilabelMetric):
    """Mean area under the ROC curve over the classes with positives and negatives.

    Attributes:
        per_class: Area of each class after ``compute``, NaN for classes without positives or
            without negatives, shape (classes,).
    """

    per_class: Tensor

    def compute(self) -> Tensor:
        """The mean, a scalar; NaN if no class has both."""
        found = rankings(self.clips())
        self.per_class = torch.from_numpy(found.auroc)
        return torch.tensor(found.mean_auroc)


class MicroAP(MultilabelMetric):
    """Average precision of all labels of all classes together, as if of one class."""

    def compute(self) -> Tensor:
        """The average precision, a scalar; NaN if there is no label."""
        return torch.tensor(rankings(self.clips(), micro=True).micro_ap)


class Top1Accuracy(MultilabelMetric):
    """Share of clips whose highest score belongs to one of their labels.

    Args:
        with_nocalls: Whether clips without labels count, too: right if no score reaches the
            threshold.
        threshold: Smallest score that reports a class; 0 is a probability of 0.5 for logits.
    """

    def __init__(self, with_nocalls: bool = False, threshold: float = 0.0) -> None:
        super().__init__()
        self.with_nocalls = with_nocalls
        self.threshold = threshold

    def compute(self) -> Tensor:
        """The share, a scalar; NaN if no clip counts."""
        hits = top_hits(self.clips(), self.threshold)
        return torch.tensor(hits.accuracy_with_nocalls if self.with_nocalls else hits.accuracy)


class MultilabelMetrics(MultilabelMetric):
    """All figures from one collection of scores and one sort.

    Args:
        names: Names of the classes; with them each class's average precision is given as well.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.names = list(names)

    def compute(self) -> dict[str, Tensor]:
        """The figures of :func:`multilabel_scores`, scalars."""
        clips = self.clips()
        found = figures(clips, self.names)
        if registered("multilabel"):
            # Only then is the memory for all clips in one piece needed.
            batches = (torch.from_numpy(np.concatenate(each)) for each in clips.batches())
            found |= registered_scores("multilabel", *batches)
        return {name: torch.tensor(value) for name, value in found.items()}


class ClipMean(Metric):
    """Mean of one value per clip, each clip once; for losses."""

    full_state_update = False

    index: list[Tensor]
    value: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "value"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, value: Tensor, index: Tensor) -> None:
        """Add a batch.

        Args:
            value: One value per clip, shape (batch,).
            index: Stable numbers of the clips, same shape.
        """
        self.value.append(value.detach().float())
        self.index.append(index)

    def compute(self) -> Tensor:
        """The mean, a scalar."""
        index, value = (
            torch.cat(state) if isinstance(state, list) else state
            for state in (self.index, self.value)
        )
        return value[first_of_each(index)].double().mean()
