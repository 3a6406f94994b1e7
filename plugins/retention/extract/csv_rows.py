"""Parses delimited text files into rows for the staging table: (file, line, reason, row text, one text per column)."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import fsspec

from retention.extract.copy import CHUNK
from retention.extract.errors import NOTHING_LOADED, DriftError, ExtractError
from retention.sources.contract import Table
from retention.sources.mapping import map_columns
from retention.sources.profile import FilesSource

#: Takes a row's fields to a column's text; raises ValueError when the text is not in the column's format.
Pick = Callable[[list[str]], str | None]


@contextmanager
def open_text(source: FilesSource, url: str) -> Iterator[io.TextIOWrapper]:
    """The unpacked text of a file; bytes that are not in its encoding become lone surrogates."""
    encoding = "utf-8-sig" if codecs.lookup(source.encoding).name == "utf-8" else source.encoding
    with fsspec.open(url, "rb", compression="infer") as packed:
        yield io.TextIOWrapper(packed, encoding=encoding, errors="surrogateescape", newline="")


def read_header(source: FilesSource, url: str) -> list[str]:
    """Column names of a file; empty for an empty file."""
    with open_text(source, url) as text:
        return next(csv.reader(text, delimiter=source.delimiter), [])


class Parser:
    """Reads files one after another. `rows` counts what was read of each, `shape` is which columns they supplied."""

    def __init__(self, table: Table, source: FilesSource, files: list[tuple[str, str]], known: dict[str, str]) -> None:
        self.table = table
        self.source = source
        #: (URL, name) of each file, in the order of reading.
        self.files = files
        self.shape = dict(known)
        self.rows = [0] * len(files)

    def chunks(self) -> Iterator[bytes]:
        """CSV for COPY, in pieces; files are counted from 1. Raises DriftError or ExtractError naming the file."""
        buffer = io.StringIO()
        # Both kinds of line end are quoted inside a field only when both are in the terminator.
        writer = csv.writer(buffer, lineterminator="\r\n")
        for number in range(len(self.files)):
            for row in self._rows(number):
                writer.writerow(row)
                if buffer.tell() > CHUNK:
                    yield buffer.getvalue().encode()
                    buffer.seek(0)
                    buffer.truncate()
        yield buffer.getvalue().encode()

    def _rows(self, number: int) -> Iterator[list[Any]]:
        url, name = self.files[number]
        with open_text(self.source, url) as text:
            reader = csv.reader(text, delimiter=self.source.delimiter)
            try:
                header = next(reader, None)
                if header is None:
                    raise ExtractError(
                        f"{self.table.name}: file {name} is empty, without even a header. {NOTHING_LOADED}"
                    )
                picks = self._picks(header, name)
                line = reader.line_num + 1
                for row in reader:
                    if row:
                        self.rows[number] += 1
                        yield [number + 1, line, *self._columns(row, len(header), picks)]
                    line = reader.line_num + 1
            except csv.Error:
                raise ExtractError(
                    f"{self.table.name}: file {name}, line {reader.line_num}: not delimited text. {NOTHING_LOADED}"
                ) from None

    def _columns(self, row: list[str], width: int, picks: dict[str, Pick]) -> list[str | None]:
        """Reason, row text and the columns of one row."""
        nothing: list[str | None] = [None] * len(picks)
        whole = self.source.delimiter.join(row)
        if not whole.isascii() or "\0" in whole:
            try:
                whole.encode()
            except UnicodeEncodeError:
                kept = whole.encode("utf-8", "backslashreplace").decode()
                return [f"bytes that are not {self.source.encoding}", kept.replace("\0", "\\x00"), *nothing]
            if "\0" in whole:
                return ["a NUL character", whole.replace("\0", "\\x00"), *nothing]
        if len(row) != width:
            return [f"{len(row)} columns, the header has {width}", whole, *nothing]
        values = []
        for name, pick in picks.items():
            try:
                values.append(pick(row))
            except ValueError:
                return [f"column {name} is not a {self.table.columns[name].type} in the given format", whole, *nothing]
        return [None, None, *values]

    def _picks(self, header: list[str], file: str) -> dict[str, Pick]:
        mapping = map_columns(self.table, self.source, header)
        # What the profile leaves out by name (null) is no drift.
        expected = self.shape.keys() - self.source.columns.keys()
        gone = [*mapping.gone, *((name, name) for name in mapping.absent if name in expected)]
        errors = [f'column "{column}" is gone from file {file}' for _, column in gone]
        named = {name for name, _ in gone}
        missing = [name for name in mapping.missing_required(self.table) if name not in named]
        errors += [f'file {file} has no column for "{name}", which is required' for name in missing]
        used = [field.source for field in mapping.mapped if field.source is not None]
        errors += [
            f'column "{c}" is twice in the header of file {file}' for c in sorted({*used}) if header.count(c) > 1
        ]
        if errors:
            raise DriftError(f"{self.table.name}: {'; '.join(errors)}. {NOTHING_LOADED}")
        self.shape |= {field.name: "text" for field in mapping.mapped}
        picks: dict[str, Pick] = dict.fromkeys(self.table.columns, _nothing)
        for field in mapping.mapped:
            if field.source is not None:
                form = self.source.formats.get(field.name, self.source.formats.get(field.type))
                picks[field.name] = _pick(header.index(field.source), field.type, form)
        return picks


def _nothing(row: list[str]) -> None:
    """A column that the file does not supply."""


def _pick(place: int, type_name: str, form: str | None) -> Pick:
    if form is None:
        return lambda row: row[place]

    def parsed(row: list[str]) -> str | None:
        if not (text := row[place].strip()):
            return None
        # The zone is added by the warehouse, which knows its history.
        at = datetime.strptime(text, form)  # noqa: DTZ007
        return at.date().isoformat() if type_name == "date" else at.isoformat(" ")

    return parsed
