"""The sanity checks, grouped by what they examine; importing this room registers them all."""

from steadyear.attacks.sanity.checks import (
    effort,
    given,
    gradient,
    gradient_free,
    model,
    planted,
    probe,
    result,
)

__all__ = ["effort", "given", "gradient", "gradient_free", "model", "planted", "probe", "result"]
