"""Data sets as Lightning data modules that yield one kind of batch."""

if __name__ == "datamodules":
    # Found through the working directory: every class would exist twice.
    raise ImportError("This folder is a part of SteadyEar: import steadyear.datamodules.")


from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.bases.birds import BirdDataModule
from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.datasets.bird_folder import BirdFolderDataModule
from steadyear.datamodules.datasets.birdset.data_module import BirdSetDataModule
from steadyear.datamodules.datasets.labelled_audio import LabelledAudio
from steadyear.datamodules.datasets.rated_music import RatedMusic
from steadyear.datamodules.datasets.soundtracks.data_module import SoundtracksDataModule
from steadyear.datamodules.datasets.synthetic_birds.data_module import SyntheticBirds
from steadyear.datamodules.datasets.synthetic_music.data_module import SyntheticMusic
from steadyear.datamodules.transforms.concept_noise import ConceptNoise
from steadyear.foundation.import_room import import_room

import_room(f"{__name__}.datasets")

__all__ = [
    "AudioBatch",
    "AudioDataModule",
    "BirdDataModule",
    "BirdFolderDataModule",
    "BirdSetDataModule",
    "ConceptNoise",
    "LabelledAudio",
    "RatedMusic",
    "SoundtracksDataModule",
    "SyntheticBirds",
    "SyntheticMusic",
]
