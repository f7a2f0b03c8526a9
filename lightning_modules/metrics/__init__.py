"""Figures of merit, equal for one process and many."""

from lightning_modules.metrics.regression import RegressionMetrics, regression_scores

__all__ = ["RegressionMetrics", "regression_scores"]
