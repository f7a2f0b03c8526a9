"""Class lists: which number stands for which species."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def read_class_list(path: Path) -> list[str]:
    """Read eBird codes in the order of their numbers.

    Args:
        path: A JSON file with ``id2label`` or ``label2id``: a published list of classes, or the
            ``config.json`` of a checkpoint.

    Raises:
        ValueError: If it holds no class list, or numbers are missing.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        numbered = content.get("label2id") or {v: k for k, v in content["id2label"].items()}
        codes = {int(number): str(code) for code, number in numbered.items()}
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise ValueError(
            f"{path} holds no class list ({type(error).__name__}: {error}); it needs id2label or "
            "label2id."
        ) from error
    if sorted(codes) != list(range(len(numbered))):
        raise ValueError(f"{path}: its {len(numbered)} classes are not numbered from 0 on.")
    return [codes[number] for number in range(len(codes))]


def label_positions(
    rows: Iterable[Sequence[str]], classes: Sequence[str], where: str
) -> list[tuple[int, ...]]:
    """Turn codes into positions in the class list.

    Args:
        rows: Codes of each clip.
        classes: The class list.
        where: File that the codes come from, for error messages.

    Raises:
        ValueError: If a code is not in the class list.
    """
    position = {code: number for number, code in enumerate(classes)}
    rows = list(rows)
    _refuse_unknown({code for row in rows for code in row}, position, where)
    return [tuple(position[code] for code in row) for row in rows]


def positions_in(codes: Sequence[str], classes: Sequence[str], where: str) -> list[int]:
    """Return where each code stands in a longer class list: the mask that cuts its logits.

    Args:
        codes: Codes, in the order that is wanted.
        classes: The longer class list.
        where: Origin of the codes, for error messages.

    Raises:
        ValueError: If a code is not in the class list.
    """
    position = {code: number for number, code in enumerate(classes)}
    _refuse_unknown(codes, position, where)
    return [position[code] for code in codes]


def _refuse_unknown(codes: Iterable[str], position: Mapping[str, int], where: str) -> None:
    unknown = sorted(set(codes) - position.keys())
    if unknown:
        raise ValueError(
            f"{where} has {len(unknown)} species that are not in the class list of "
            f"{len(position)}: {', '.join(unknown[:10])}. eBird renames species: take the class "
            "list that belongs to this revision of the data."
        )
