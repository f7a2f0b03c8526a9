"""Losses that give one value per clip as well as one per batch."""

from lightning_modules.losses.asymmetric import AsymmetricLoss

__all__ = ["AsymmetricLoss"]
