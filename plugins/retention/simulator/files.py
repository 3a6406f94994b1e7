"""Files of the simulated operator: the vendors' daily drops and whatever else must appear whole or not at all."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from retention.simulator.codes import START_DATE, Ints
from retention.simulator.render import csv_text
from retention.simulator.schema import DROPS, TABLES


def write_atomically(path: Path, pieces: Iterable[str]) -> None:
    """Writes UTF-8 text to a temporary file beside `path`, then renames it."""
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
    temporary.replace(path)


def append_from(path: Path, length: int, text: str) -> int:
    """Cuts `path` to `length` bytes (what an interrupted run had added goes), appends; returns the new length."""
    mode = "r+b" if path.exists() else "w+b"
    with path.open(mode) as file:
        file.truncate(length)
        file.seek(length)
        return length + file.write(text.encode())


def write_drops(folder: Path, day: int, rows: Mapping[str, Ints]) -> None:
    """drops/<table>/YYYY-MM-DD.csv of the day for every vendor table, with a header even when nothing happened."""
    for name in DROPS:
        table = TABLES[name]
        of_day = rows.get(name)
        if of_day is None:
            of_day = np.empty((len(table.columns), 0), np.int64)
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        write_atomically(target / f"{START_DATE + day}.csv", [csv_text(table, of_day, with_header=True)])
