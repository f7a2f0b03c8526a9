"""The model of ratings: emotions as a fixed function of mid-level concepts.

Every emotion is ``0.5 + 0.4 * tanh(sum of weight * (2 * concept - 1))``: mildly nonlinear, within
0.1 and 0.9. All concepts matter; articulation, rhythm, melody and dissonance matter most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CONCEPTS = [
    "melody",
    "articulation",
    "rhythm_complexity",
    "rhythm_stability",
    "dissonance",
    "tonal_stability",
    "mode",
]

_WEIGHTS = {
    "valence": (0.5, 0.1, 0.1, 0.3, -0.6, 0.3, -0.3),
    "energy": (0.2, 0.6, 0.7, 0.2, 0.2, 0.0, 0.0),
    "tension": (-0.2, 0.2, 0.4, -0.2, 0.7, -0.2, 0.1),
    "anger": (-0.4, 0.4, 0.3, 0.0, 0.6, -0.1, 0.1),
    "fear": (-0.4, 0.1, 0.1, -0.4, 0.6, -0.3, 0.2),
    "happy": (0.4, 0.5, 0.3, 0.2, -0.4, 0.1, -0.4),
    "sad": (0.2, -0.5, -0.6, -0.1, 0.1, 0.0, 0.3),
    "tender": (0.4, -0.6, -0.4, 0.0, -0.4, 0.2, 0.0),
}

EMOTIONS = list(_WEIGHTS)
WEIGHTS: Floats = np.array(list(_WEIGHTS.values()))
"""Weight of each concept for each emotion, shape (emotions, concepts)."""


def emotions_from_concepts(concepts: Floats) -> Floats:
    """Return the emotions that concepts evoke.

    Args:
        concepts: Values in 0..1, shape (..., 7), in the order of ``CONCEPTS``.

    Returns:
        Values within 0.1 and 0.9, shape (..., 8), in the order of ``EMOTIONS``.
    """
    return 0.5 + 0.4 * np.tanh((2 * concepts - 1) @ WEIGHTS.T)
