"""Data sets as Lightning data modules that yield one kind of batch."""

from datamodules.base import AudioDataModule
from datamodules.batch import AudioBatch
from datamodules.rated_music import RatedMusic
from datamodules.soundtracks import SoundtracksDataModule
from datamodules.synthetic_music import SyntheticMusic

__all__ = [
    "AudioBatch",
    "AudioDataModule",
    "RatedMusic",
    "SoundtracksDataModule",
    "SyntheticMusic",
]
