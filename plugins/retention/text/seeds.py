"""Rows of an effective-dated seed, checked: the columns, allowed words, days."""

import csv
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path


class SeedError(ValueError):
    """A seed of the reader of texts cannot be used; the message names file, line and column."""


@dataclass(frozen=True)
class Row:
    """One row of a seed; valid on days in [valid_from, valid_to), an open end is None. `where` is file and line."""

    cells: dict[str, str]
    valid_from: date
    valid_to: date | None
    where: str

    def is_valid_on(self, day: date) -> bool:
        """Whether the row was in force on that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def with_cells(self, **cells: str) -> "Row":
        """The same row with other cells."""
        return replace(self, cells=self.cells | cells)


def read_seed(path: Path, columns: tuple[str, ...], key: str | None, allowed: dict[str, tuple[str, ...]]) -> list[Row]:
    """The rows of the seed at `path`: `columns`, then valid_from and valid_to; SeedError for the first bad one.

    `key` is unique: a phrase that changes gets an end, and a new row with an id of its own.
    """
    wanted = (*columns, "valid_from", "valid_to")
    rows: list[Row] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != wanted:
            raise SeedError(f"{path}: columns are {reader.fieldnames}, wanted {list(wanted)}")
        for cells in reader:
            row = _parsed(cells, columns, allowed, f"{path}:{reader.line_num}")
            if key is not None:
                if row.cells[key] in seen:
                    raise SeedError(f"{row.where}: {key} {row.cells[key]} is there twice")
                seen.add(row.cells[key])
            rows.append(row)
    return rows


def _parsed(cells: dict[str, str], columns: tuple[str, ...], allowed: dict[str, tuple[str, ...]], where: str) -> Row:
    for column, words in allowed.items():
        if cells[column] not in words:
            raise SeedError(f"{where}: {column} is {cells[column]!r}, allowed: {', '.join(words)}")
    try:
        valid_from = date.fromisoformat(cells["valid_from"])
        valid_to = date.fromisoformat(cells["valid_to"]) if cells["valid_to"] else None
    except (ValueError, TypeError):
        message = f"{where}: valid_from and valid_to are dates as 2025-01-31 (valid_to may be empty)"
        raise SeedError(message) from None
    return Row({column: cells[column] for column in columns}, valid_from, valid_to, where)
