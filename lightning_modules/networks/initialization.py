"""How the weights of the music emotion networks start."""

from __future__ import annotations

from torch import nn


def kaiming_normal(module: nn.Module) -> None:
    """Draw the weights of a convolution or a linear layer and set its bias to zero.

    He et al., "Delving deep into rectifiers" (ICCV 2015), equation 10: a normal distribution with
    variance 2 / fan-in. Other layers are left alone; use it with ``nn.Module.apply``.

    Args:
        module: The layer, changed in place.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
