"""Losses that give one value per clip as well as one per batch."""

from steadyear.lightning_modules.losses.asymmetric import AsymmetricLoss

__all__ = ["AsymmetricLoss"]
