"""Emotify, ESC-50, and Soundtracks with the Mid-level ratings, in miniature: tables as published, and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch

EMOTIFY = [
    "amazement",
    "solemnity",
    "tenderness",
    "nostalgia",
    "calmness",
    "power",
    "joyful_activation",
    "tension",
    "sadness",
]
SOUNDTRACKS = ["valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender"]
MIDLEVEL = [
    " melody",
    " articulation",
    "rhythm_complexity",
    "rhythm_stability",
    "dissonance",
    "atonality",
    "mode",
]


def write_emotify(folder: Path) -> None:
    """Write the table and 20 clips of 3 s.

    Args:
        folder: Where they go.
    """
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(1, 21):
        clip = rng.uniform(-0.5, 0.5, 3 * 22050).astype("float32")
        soundfile.write(folder / "audio" / f"{number:03}.ogg", clip, 22050)
        rows.append({"number": f"{number:03}"} | dict.fromkeys(EMOTIFY, 0.0) | {"TARGET": "rock"})
    table = pd.DataFrame(rows)
    table[EMOTIFY] = rng.uniform(0, 1, (20, 9))
    table.to_csv(folder / "mean_ratings_emotify.csv", index=False)


def write_esc50(folder: Path) -> None:
    """Write the table of 150 clips in 50 classes and five folds, and clips of 2 s.

    Every class has a tone of its own, and clips in three folds, one of 1 to 3 among them.

    Args:
        folder: Where they go.
    """
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    rng, time = np.random.default_rng(2), np.arange(2 * 16000) / 16000
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(150):
        label, fold, source = number % 50, (number + number // 50) % 5 + 1, 100000 + number
        name = f"{fold}-{source}-A-{label}.wav"
        tone = 0.3 * np.sin(2 * np.pi * (200 + 60 * label) * time)
        clip = tone + rng.normal(scale=0.01, size=len(time))
        soundfile.write(folder / "audio" / name, clip.astype("float32"), 16000)
        rows.append(f"{name},{fold},{label},class{label:02},{label < 10},{source},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")


def write_soundtracks(folder: Path) -> None:
    """Write the tables of all 360 clips, and nine clips of 3 s of every part.

    Args:
        folder: Where they go.
    """
    (folder / "Set1").mkdir(parents=True)
    (folder / "metadata_annotations").mkdir()
    rng = np.random.default_rng(0)
    numbers = [f"{n:03}" for n in range(1, 361)]
    ratings = pd.DataFrame(rng.uniform(1, 8, (360, 8)), numbers, SOUNDTRACKS)
    ratings.assign(TARGET="HAPPY").to_csv(folder / "mean_ratings_set1.csv", index_label="number")
    songs = pd.Index(range(3576, 3936), name="song_id")
    pd.DataFrame(rng.uniform(1, 10, (360, 7)), songs, MIDLEVEL).to_csv(
        folder / "metadata_annotations" / "annotations.csv"
    )
    source = pd.DataFrame({"song id": songs, "Source": "soundtracks"})
    source.assign(**{"ID at file source": range(1, 361)}).to_csv(
        folder / "metadata_annotations" / "metadata.csv", sep=";", index=False
    )
    generator = torch.Generator().manual_seed(42)
    for part in torch.utils.data.random_split(range(360), [288, 36, 36], generator):
        for position in list(part)[:9]:
            clip = rng.uniform(-0.5, 0.5, 3 * 22050).astype("float32")
            soundfile.write(folder / "Set1" / f"{position + 1:03}.mp3", clip, 22050)
