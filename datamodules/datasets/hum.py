"""Synthetic music under another name."""

from __future__ import annotations

from steadyear.datamodules.datasets.synthetic_music.data_module import SyntheticMusic


class Hum(SyntheticMusic):
    """Synthetic music."""
