"""Figures of merit, equal for one process and many."""

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
from steadyear.lightning_modules.metrics.regression import RegressionMetrics, regression_scores

__all__ = [
    "AUROC",
    "CMAP",
    "ClipMean",
    "MicroAP",
    "MultilabelMetrics",
    "RegressionMetrics",
    "Top1Accuracy",
    "multilabel_scores",
    "ranking_errors",
    "regression_scores",
]
