"""Growing columnar arrays (the state) and rows waiting for the day on which the source writes them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from retention.simulator.codes import NA, Array, Ints
from retention.simulator.parameters import DAY


class Frame:
    """Named arrays of one length with room to grow. `frame["x"]` is a view of the rows in use: write through it."""

    def __init__(self, columns: Mapping[str, tuple[str, float]]) -> None:
        """columns: name -> (dtype, default value)."""
        self._columns = dict(columns)
        self._arrays: dict[str, Array] = {name: np.empty(64, dtype) for name, (dtype, _) in columns.items()}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name][: self._length]

    def append(self, count: int, **values: Any) -> Ints:
        """Adds `count` rows; columns not given take their default. Returns the new rows' positions."""
        end = self._length + count
        capacity = len(next(iter(self._arrays.values())))
        if end > capacity:
            capacity = max(end, capacity * 3 // 2)
            for name, old in self._arrays.items():
                grown = np.empty(capacity, old.dtype)
                grown[: self._length] = old[: self._length]
                self._arrays[name] = grown
        for name, (_, default) in self._columns.items():
            self._arrays[name][self._length : end] = values.pop(name, default)
        if values:
            raise KeyError(f"no such columns: {sorted(values)}")
        start, self._length = self._length, end
        return np.arange(start, end, dtype=np.int64)

    def dump(self) -> dict[str, Array]:
        """The rows in use, by column."""
        return {name: self[name] for name in self._columns}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Replaces the content by what `dump` gave."""
        self._arrays = {name: arrays[name].astype(dtype) for name, (dtype, _) in self._columns.items()}
        self._length = len(next(iter(self._arrays.values())))


class Outbox:
    """Rows by table and by the day on which their source writes them: a day emits its own rows, later ones wait."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]]) -> None:
        """columns: table -> its column names; rows are int64 matrices (column x row) in that order."""
        self._columns = columns
        self._waiting: dict[str, dict[int, list[Ints]]] = defaultdict(lambda: defaultdict(list))

    def add(self, table: str, at: Ints, first_day: int, /, **values: Any) -> None:
        """Queues rows; scalars are repeated, missing columns are NULL.

        Rows are written `at` these seconds. Only on day 0 may that lie before `first_day` (history); later it is a bug
        and raises ValueError.
        """
        count = len(at)
        if count == 0:
            return
        if first_day > 0 and at.min() < first_day * DAY:
            raise ValueError(f"{table}: a row of day {first_day} claims to be written on an earlier day")
        columns = self._columns[table]
        rows = np.full((len(columns), count), NA, dtype=np.int64)
        for name, value in values.items():
            rows[columns.index(name)] = value
        days = np.maximum(at // DAY, first_day)
        waiting = self._waiting[table]
        for day in np.unique(days).tolist():
            waiting[day].append(rows[:, days == day])

    def take(self, day: int) -> dict[str, Ints]:
        """Removes and returns the rows of one day, by table."""
        taken = {}
        for table, waiting in self._waiting.items():
            parts = waiting.pop(day, None)
            if parts:
                taken[table] = np.concatenate(parts, axis=1)
        return taken

    def dump(self) -> dict[str, Array]:
        """Waiting rows as arrays `table` (matrix) and `table@day`."""
        arrays: dict[str, Array] = {}
        for table in sorted(self._waiting):
            parts = [(day, rows) for day, chunks in sorted(self._waiting[table].items()) for rows in chunks]
            if parts:
                arrays[table] = np.concatenate([rows for _, rows in parts], axis=1)
                arrays[f"{table}@day"] = np.concatenate([np.full(rows.shape[1], day) for day, rows in parts])
        return arrays

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Replaces the content by what `dump` gave."""
        self._waiting.clear()
        for table in (name for name in arrays if "@" not in name):
            days = arrays[f"{table}@day"]
            for day in np.unique(days).tolist():
                self._waiting[table][day].append(arrays[table][:, days == day])
