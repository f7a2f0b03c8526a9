"""Figures of merit, equal for one process and many."""

from steadyear.lightning_modules.metrics.clip_predictions import ClipPredictions
from steadyear.lightning_modules.metrics.multiclass import (
    MulticlassMetrics,
    class_numbers,
    multiclass_scores,
)
from steadyear.lightning_modules.metrics.multilabel import (
    AUROC,
    CMAP,
    ClipMean,
    MicroAP,
    MultilabelMetrics,
    Top1Accuracy,
    multilabel_scores,
    ranking_errors,
)
from steadyear.lightning_modules.metrics.regression import regression_scores

__all__ = [
    "AUROC",
    "CMAP",
    "ClipMean",
    "ClipPredictions",
    "MicroAP",
    "MulticlassMetrics",
    "MultilabelMetrics",
    "Top1Accuracy",
    "class_numbers",
    "multiclass_scores",
    "multilabel_scores",
    "ranking_errors",
    "regression_scores",
]
