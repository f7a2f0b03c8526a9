"""Where the files of Soundtracks and Mid-level belong, and one message about those not there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from steadyear.datamodules.paths import expand_path

NUM_CLIPS = 360

SOUNDTRACKS = (
    "the Soundtracks data set, set 1 (Eerola & Vuoskoski, A comparison of the discrete and "
    "dimensional models of emotion in music, Psychology of Music 2011), from its page on OSF"
)
MIDLEVEL = (
    "the Mid-level Perceptual Features data set (Aljanaki & Soleymani, A data-driven approach to "
    "mid-level perceptual musical feature modeling, ISMIR 2018), from its page on OSF; its audio "
    "is not needed"
)
PARTIAL = "To work with the clips that are there, set allow_missing: true; all tables are needed."


class SoundtracksLayout:
    """The files under one folder, named as published.

    The table that ties the two data sets together is ``metadata.csv``. Where it is not there, the
    only other ``metadata*.csv`` beside ``annotations.csv`` takes its place, with a warning.

    Args:
        root: Folder of ``Set1``, ``mean_ratings_set1.csv`` and ``metadata_annotations``.
        midlevel_metadata: File in ``metadata_annotations`` instead, or a path to it.

    Raises:
        ValueError: If several other tables could be the one.
    """

    def __init__(self, root: Path, midlevel_metadata: str | None = None) -> None:
        self.root = root
        self.ratings = root / "mean_ratings_set1.csv"
        self.annotations = root / "metadata_annotations" / "annotations.csv"
        folder = self.annotations.parent
        if midlevel_metadata is None:
            self.metadata = _find_metadata(folder)
        else:
            self.metadata = folder / expand_path(midlevel_metadata)
        self.audio = [root / "Set1" / f"{number:03d}.mp3" for number in range(1, NUM_CLIPS + 1)]

    def present_clips(self) -> list[int]:
        """Return the positions of the clips whose files are there."""
        return [i for i, path in enumerate(self.audio) if path.is_file()]

    def check(self, allow_missing: bool) -> None:
        """Refuse to go on without tables or clips.

        Args:
            allow_missing: Whether some clips may be missing.

        Raises:
            FileNotFoundError: If something is missing; the message lists everything.
        """
        present = set(self.present_clips())
        absent = [i + 1 for i in range(NUM_CLIPS) if i not in present]
        wanted = {
            SOUNDTRACKS: _absent_files(self.ratings),
            MIDLEVEL: _absent_files(self.annotations, self.metadata),
        }
        if absent and not (allow_missing and present):
            wanted[SOUNDTRACKS].append(
                f"{self.audio[0].parent}/NNN.mp3: {len(absent)} of {NUM_CLIPS} clips, NNN = "
                f"{number_ranges(absent)}"
            )
        if any(wanted.values()):
            lines = [
                "\n    ".join([f"  From {origin}:", *files])
                for origin, files in wanted.items()
                if files
            ]
            cure = [PARTIAL] if absent and present and not allow_missing else []
            raise FileNotFoundError(
                "\n".join([f"Files are missing under root {self.root}.", *lines, *cure])
            )


def number_ranges(numbers: Sequence[int]) -> str:
    """Write numbers of clips as ranges, such as ``002-004, 006``.

    Args:
        numbers: Rising numbers.
    """
    # Within a run of neighbours a number and its place rise together.
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    spans = [[number for _, number in run] for _, run in runs]
    return ", ".join(
        f"{span[0]:03d}-{span[-1]:03d}" if len(span) > 1 else f"{span[0]:03d}" for span in spans
    )


def _absent_files(*paths: Path) -> list[str]:
    return [str(path) for path in paths if not path.is_file()]


def _find_metadata(folder: Path) -> Path:
    published = folder / "metadata.csv"
    others = sorted(folder.glob("metadata*.csv"))
    if published.is_file() or not others:
        return published
    if len(others) > 1:
        names = ", ".join(path.name for path in others)
        raise ValueError(f"{folder} has no metadata.csv but {names}; name one: midlevel_metadata.")
    rank_zero_warn(f"{published} is not there; {others[0].name} beside it is read instead.")
    return others[0]
