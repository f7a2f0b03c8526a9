"""Tables of ratings as they are published: commas, semicolons or tabs, with or without a BOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

DELIMITERS = (",", ";", "\t", "|")


class RatingTable:
    """A table of text with one row per clip.

    The delimiter is the one that occurs most often in the header. Blanks around names and values
    do not count. Ids stay text, so that ``001`` keeps its zeros.

    Args:
        path: The file.
        id_column: The column of clip ids.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or ids are missing or occur twice.
    """

    def __init__(self, path: Path, id_column: str) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"The table {path} does not exist.")
        self.path = path
        self._decimal_comma = False
        self._table = self._read()
        self.ids = self.text(id_column)
        self._check_ids(id_column)

    def text(self, column: str) -> list[str]:
        """Return a column as text.

        Args:
            column: Its name.

        Raises:
            ValueError: If there is no such column.
        """
        if column not in self._table.columns:
            existing = ", ".join(str(name) for name in self._table.columns)
            raise ValueError(f"{self.path} has no column {column!r}; it has: {existing}.")
        return [str(value).strip() for value in self._table[column]]

    def numbers(self, columns: Sequence[str], scale: float = 1.0) -> Tensor:
        """Return columns as numbers.

        Args:
            columns: Their names.
            scale: What the values are divided by.

        Returns:
            Values, shape (rows, columns), float32.

        Raises:
            ValueError: If a column or a value is missing, or a value is not a number.
        """
        if not scale > 0:
            raise ValueError(f"Ratings are divided by a positive scale, not {scale}.")
        values = {column: self._column(column) for column in columns}
        return torch.tensor([values[column] for column in columns]).T.contiguous() / scale

    def _column(self, column: str) -> list[float]:
        text = pd.Series(self.text(column))
        if self._decimal_comma:
            text = text.str.replace(",", ".", regex=False)
        numbers = pd.to_numeric(text, errors="coerce").astype(float)
        finite = numbers.abs() < float("inf")
        if not finite.all():
            bad = [f"{self.ids[i]} ({text[i]!r})" for i in range(len(text)) if not finite[i]]
            raise ValueError(
                f"{self.path}: column {column!r} needs numbers; "
                f"{len(bad)} rows have none: {', '.join(bad[:10])}."
            )
        return [float(number) for number in numbers]

    def _read(self) -> pd.DataFrame:
        try:
            header = self.path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
            delimiter = max(DELIMITERS, key=header.count)
            table = pd.read_csv(
                self.path,
                sep=delimiter,
                dtype=str,
                encoding="utf-8-sig",
                keep_default_na=False,
                index_col=False,
            )
        except ValueError as error:  # decoding and parsing errors are ValueErrors, too
            raise ValueError(
                f"{self.path} is not a readable table in UTF-8 ({error}); save it as UTF-8 text "
                "with one header line."
            ) from error
        self._decimal_comma = delimiter != ","
        table.columns = table.columns.str.strip()
        return table

    def _check_ids(self, column: str) -> None:
        if not self.ids:
            raise ValueError(f"{self.path} holds no rows.")
        if "" in self.ids:
            row = self.ids.index("") + 2
            raise ValueError(f"{self.path}: line {row} has no id in column {column!r}.")
        counts = pd.Series(self.ids).value_counts()
        twice = sorted(str(name) for name in counts[counts > 1].index)
        if twice:
            raise ValueError(
                f"{self.path}: {len(twice)} ids in column {column!r} occur more than once: "
                f"{', '.join(twice[:10])}."
            )
