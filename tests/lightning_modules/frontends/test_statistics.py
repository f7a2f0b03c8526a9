from __future__ import annotations

import numpy as np
import pytest

from steadyear.lightning_modules.frontends.statistics import fit_statistics
from tests.datamodules.birdset_miniature import PowerLogMel


def test_every_clip_counts_the_same() -> None:
    frontend, rng = PowerLogMel(), np.random.default_rng(0)
    clips = [rng.normal(i, 1 + i, (3, 10 * i + 5)).astype(np.float32) for i in range(4)]
    fit_statistics(frontend, clips)
    means = [clip.astype(float).mean() for clip in clips]
    deviations = [((clip.astype(float) - np.mean(means)) ** 2).mean() for clip in clips]
    assert float(frontend.mean) == pytest.approx(np.mean(means), rel=1e-6)
    assert float(frontend.std) == pytest.approx(np.sqrt(np.mean(deviations)), rel=1e-6)


def test_nothing_to_fit_on_is_an_error() -> None:
    with pytest.raises(ValueError, match="No training clip can be read"):
        fit_statistics(PowerLogMel(), [])
