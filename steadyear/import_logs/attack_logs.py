"""Read the attack logs that were released with the music-emotion study.

Source: Hoedt, Flexer, Widmer, "Are Inherently Interpretable Models More Robust? A Study in Music
Emotion Recognition", SMC 2025, arXiv 2508.03780.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EMOTIONS: Final = ("valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender")
COLUMNS: Final = (
    "file",
    "epoch",
    "db",
    "norm",
    "converged",
    "true-label",
    "orig-pred",
    "new-pred",
    "adv-target",
)


@dataclass(frozen=True)
class LoggedAttack:
    """One attacked clip of a log.

    The logged ``db`` is left out: it inverts a standardised logarithmic spectrogram as if it were a
    mel spectrogram, so it is no signal-to-noise ratio.

    Attributes:
        clip: Name of the clip, for example ``146``.
        iterations: Iterations of the attack, one gradient each.
        l2: L2 norm of the saved perturbation in z-units.
        converged: Whether the attack reached its goal.
        target: True emotions, in the order of :data:`EMOTIONS`.
        clean: Predictions without attack.
        attacked: Predictions under attack.
    """

    clip: str
    iterations: int
    l2: float
    converged: bool
    target: list[float]
    clean: list[float]
    attacked: list[float]


def read_log(path: Path) -> list[LoggedAttack]:
    """Read one log: the clips that one trained system was attacked on.

    Args:
        path: A CSV file with the columns of :data:`COLUMNS`, arrays as NumPy prints them.

    Returns:
        The attacks, in the order of the file.

    Raises:
        ValueError: If the file is empty or damaged; the message names the line.
    """
    attacks: dict[str, LoggedAttack] = {}
    for line, row in _rows(path):
        try:
            attack = _attack(row)
            if attack.clip in attacks:
                raise ValueError(f"clip {attack.clip} is there twice")
        except ValueError as error:
            raise ValueError(
                f"{path}, line {line}: {error}; take the file from the release again."
            ) from error
        attacks[attack.clip] = attack
    if not attacks:
        raise ValueError(f"{path} holds no attacked clip; take the file from the release again.")
    return list(attacks.values())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    records = _records(path)
    _, header = next(records, (1, []))
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(f"{path}, line 1: the header lacks {', '.join(missing)}.")
    for line, values in records:
        if len(values) != len(header):
            found = f"{len(values)} values where the header has {len(header)} names"
            raise ValueError(f"{path}, line {line}: {found}; take the file from the release again.")
        yield line, dict(zip(header, values, strict=True))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Without newline="" the csv module would miscount the lines of arrays that wrap.
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        line = 1
        try:
            for values in reader:
                if values:
                    yield line, values
                # A record may stretch over several lines; the next one starts behind it.
                line = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, line {line}: the row is damaged ({error}); take the file from the "
                "release again."
            ) from error


def _attack(row: dict[str, str]) -> LoggedAttack:
    converged = row["converged"].strip()
    if converged not in {"True", "False"}:
        raise ValueError(f"converged is {converged!r}, neither True nor False")
    norm = _number(row["norm"], "norm")
    if norm < 0:
        raise ValueError(f"norm is {norm:g}, which is negative")
    return LoggedAttack(
        clip=_clip(row["file"]),
        iterations=_iterations(row["epoch"]),
        l2=norm,
        converged=converged == "True",
        target=_emotions(row, "true-label"),
        clean=_emotions(row, "orig-pred"),
        attacked=_emotions(row, "new-pred"),
    )


def _clip(text: str) -> str:
    found = re.fullmatch(r"\['(\d+)\.mp3\.spec'\]", text.strip())
    if found is None:
        raise ValueError(f"file is {text!r}, not like \"['146.mp3.spec']\"")
    return found[1]


def _iterations(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"epoch is {text!r}, not a number of iterations")
    return int(text)


def _emotions(row: dict[str, str], name: str) -> list[float]:
    found = re.fullmatch(r"\[\[([^\[\]]*)\]\]", row[name].strip())
    values = [_number(value, name) for value in found[1].split()] if found else []
    if len(values) != len(EMOTIONS):
        raise ValueError(f"{name} does not hold {len(EMOTIONS)} numbers in double brackets")
    return values


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{name} has {text!r}, which is not a number") from error
    if not math.isfinite(value):
        raise ValueError(f"{name} has {text!r}, which is not finite")
    return value
