"""What goes into an attack and comes out of it, checked."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.core.query import Query
from steadyear.attacks.core.views import Model
from steadyear.attacks.domains.base import Bounds


def in_dtype(forward: Model, dtype: torch.dtype) -> Model:
    """Keep the perturbation in fp32 and hand the model the precision that it was given."""
    return forward if dtype == torch.float32 else lambda x: forward(x.to(dtype))


def fitting_start(start: Tensor, x: Tensor) -> Tensor:
    """A start in the type and on the device of the attacked tensor; another shape is refused."""
    if start.shape != x.shape:
        raise ValueError(
            f"The start is a perturbation {tuple(start.shape)}, and the attacked tensor is "
            f"{tuple(x.shape)}; they need one shape."
        )
    return start.detach().to(x)


def check_clean(x: Tensor, bounds: Bounds | None) -> None:
    """Refuse an attacked tensor that is not real, or not within the bounds."""
    if not x.is_floating_point():
        raise ValueError(
            f"Gradients need real values, and the attacked tensor is {x.dtype}; name a submodule "
            "with real outputs in View(perturb_at=...)."
        )
    if bounds is not None and not bool(((x >= bounds[0]) & (x <= bounds[1])).all()):
        raise ValueError(
            f"The clean values reach from {float(x.min()):g} to {float(x.max()):g}, beyond the "
            f"bounds {bounds}: clamp the clips, or give the bounds of the attacked tensor."
        )


def check_finite(measured: dict[str, Tensor], query: Query) -> None:
    """Refuse results, or values on the way to them, that are not finite."""
    found = {name: torch.isfinite(values) for name, values in measured.items()}
    found["path (objective or gradient)"] = query.is_finite
    for name, finite in found.items():
        bad = int((~finite).sum())
        if bad:
            raise FloatingPointError(
                f"The {name} of {bad} of {len(finite)} clips is not finite; check the clips and "
                "the model for NaN before you trust any robustness figure."
            )
