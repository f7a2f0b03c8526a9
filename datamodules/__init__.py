"""Data sets as Lightning data modules that yield one kind of batch."""

from datamodules.base import AudioDataModule
from datamodules.batch import AudioBatch
from datamodules.bird_folder import BirdFolderDataModule
from datamodules.birds import BirdDataModule
from datamodules.birdset import BirdSetDataModule
from datamodules.concept_noise import ConceptNoise
from datamodules.rated_music import RatedMusic
from datamodules.soundtracks import SoundtracksDataModule
from datamodules.synthetic_birds import SyntheticBirds
from datamodules.synthetic_music import SyntheticMusic

__all__ = [
    "AudioBatch",
    "AudioDataModule",
    "BirdDataModule",
    "BirdFolderDataModule",
    "BirdSetDataModule",
    "ConceptNoise",
    "RatedMusic",
    "SoundtracksDataModule",
    "SyntheticBirds",
    "SyntheticMusic",
]
