"""Integer matrices -> text for COPY and CSV. NULL is the empty string (COPY ... null '')."""

import csv
import io
from collections.abc import Callable

import numpy as np

from retention.simulator import texts
from retention.simulator.codes import MOSCOW_OFFSET, NA, START_DATE, VALUES, Ints, instants
from retention.simulator.schema import Column, Table

ID_BASE = 1_000_001
# to_value of a merge is a ticket: its position comes after the words.
MERGE_BASE = 1_000
# unit_id of a party: positions from here on; below: subscriptions.
PARTY_UNIT = 1 << 40


def _ids(values: Ints, column: Column) -> list[str]:
    prefix = column.prefix
    return [f"{prefix}{value}" for value in (values + ID_BASE).tolist()]


def _instants(values: Ints, column: Column) -> list[str]:
    text: list[str] = np.datetime_as_string(instants(values)).tolist()
    return text


def _dates(values: Ints, column: Column) -> list[str]:
    text: list[str] = np.datetime_as_string(START_DATE + values.astype("timedelta64[D]")).tolist()
    return text


def _words(values: Ints, column: Column) -> list[str]:
    words = column.words
    return [words[value] for value in values.tolist()]


def _values(values: Ints, column: Column) -> list[str]:
    return [VALUES[v] if v < MERGE_BASE else f"T{v - MERGE_BASE + ID_BASE}" for v in values.tolist()]


def _units(values: Ints, column: Column) -> list[str]:
    return [f"P{v - PARTY_UNIT + ID_BASE}" if v >= PARTY_UNIT else f"S{v + ID_BASE}" for v in values.tolist()]


def _numbers_as_typed(values: Ints, column: Column) -> list[str]:
    """As people type them: one in eight in another way, with look-alike letters and spaces."""
    return [_TYPED[value * 7 % 32](f"{value:09d}") for value in values.tolist()]


#: Of 32 numbers 28 are written in full.
_TYPED: tuple[Callable[[str], str], ...] = (
    lambda digits: f"89{digits}",
    lambda digits: f"7-9{digits[:2]}-{digits[2:5]}-{digits[5:]} ",
    lambda digits: f"+79{digits}".replace("0", "О"),
    lambda digits: f"8 (9{digits[:2]}) {digits[2:5]} {digits[5:7]} {digits[7:]}",
    *(lambda digits: f"+79{digits}",) * 28,
)
_FORMS: dict[str, Callable[[Ints, Column], list[str]]] = {
    "id": _ids,
    "instant": _instants,
    "date": _dates,
    "word": _words,
    "value": _values,
    "unit": _units,
    "flag": lambda values, _: ["true" if value else "false" for value in values.tolist()],
    "integer": lambda values, _: list(map(str, values.tolist())),
    "tenths": lambda values, _: [f"{value:.1f}" for value in (values / 10).tolist()],
    "hundredths": lambda values, _: [f"{value:.2f}" for value in (values / 100).tolist()],
    "millionths": lambda values, _: [f"{value:.6f}" for value in (values / 1e6).tolist()],
    "msisdn_as_typed": _numbers_as_typed,
    "msisdn": lambda values, _: [f"+79{value:09d}" for value in values.tolist()],
    "text": lambda values, _: texts.written(values),
    "name": lambda values, _: texts.names(values.tolist()),
    "email": lambda values, _: [f"customer{value}@example.ru" for value in values.tolist()],
}


def cells(table: Table, rows: Ints) -> list[list[str]]:
    """Text by column. Instants are UTC without an offset."""
    result = []
    for column, values in zip(table.columns, rows, strict=True):
        missing = np.flatnonzero(values == NA)
        if len(missing) == len(values):
            result.append([""] * len(values))
            continue
        if len(missing):
            values = values.copy()
            values[missing] = 0
        text = _FORMS[column.form](values, column)
        for position in missing.tolist():
            text[position] = ""
        result.append(text)
    return result


def copy_text(table: Table, rows: Ints) -> str:
    """Rows in COPY's text format. No text of the simulator has a tab, a backslash or a line end."""
    return "".join(f"{line}\n" for line in map("\t".join, zip(*cells(table, rows), strict=True)))


def csv_text(table: Table, rows: Ints, with_header: bool) -> str:
    """Rows as CSV; instants in Moscow time with their offset, as the vendors send them."""
    columns = cells(table, _moscow(table, rows))
    for position, column in enumerate(table.columns):
        if column.form == "instant":
            columns[position] = [f"{text.replace('T', ' ')}+03:00" if text else "" for text in columns[position]]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if with_header:
        writer.writerow(table.names)
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def _moscow(table: Table, rows: Ints) -> Ints:
    shifted = rows.copy()
    for position, column in enumerate(table.columns):
        if column.form == "instant":
            present = rows[position] != NA
            shifted[position, present] += MOSCOW_OFFSET
    return shifted
