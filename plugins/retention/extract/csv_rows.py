"""Parses delimited text files into rows for the staging table: (file, line, reason, row text, one text per column)."""

import codecs
import csv
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast

from fsspec.compression import compr
from fsspec.utils import infer_compression

from retention.extract import drift
from retention.extract.copy import CHUNK
from retention.extract.drops import Content, Drops, File
from retention.extract.errors import NOTHING_LOADED, DriftError, ExtractError
from retention.sources.contract import Table
from retention.sources.mapping import Mapped, map_columns
from retention.sources.profile import ColumnRule, FilesSource

#: Takes a row's fields to a column's text; raises ValueError with what is wrong, which quotes no value.
Pick = Callable[[list[str]], str | None]
#: What a file says of its own encoding, which the profile need not know. Longer marks first.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Reasons of rejects whose kept text is not what the file has.
NOT_TEXT = "bytes that are not"
NUL = "a NUL character"


@dataclass(frozen=True)
class FileRows:
    """A file to read."""

    file: File
    drops: Drops

    @property
    def name(self) -> str:
        """For messages and books."""
        return self.file.name


@dataclass(frozen=True)
class KeptRows:
    """Rejected rows of a file that is gone, as raw.rejects keeps them: (line, fields of the file or staged texts)."""

    name: str
    header: list[str]
    rows: Sequence[tuple[int, list[str] | dict[str, str]]]


@dataclass
class Reading:
    """What was read of a file: rows, its header, and bytes and hash of its stored content (of a file only)."""

    rows: int = 0
    header: list[str] | None = None
    bytes: int = 0
    sha256: str = ""


@contextmanager
def open_text(source: FilesSource, content: Content, path: str) -> Iterator[io.TextIOWrapper]:
    """The unpacked text of a file; bytes that are not in its encoding become lone surrogates."""
    packed: BinaryIO = io.BufferedReader(content, CHUNK)
    compression = infer_compression(path)
    if compression == "zip":
        # Its table of contents is at the end.
        packed = io.BytesIO(packed.read())
    with io.BufferedReader(compr[compression](packed, mode="rb"), CHUNK) as plain:
        head = plain.peek(4)
        encoding = next((name for mark, name in MARKS if head.startswith(mark)), source.encoding)
        yield io.TextIOWrapper(plain, encoding=encoding, errors="surrogateescape", newline="")


def read_header(source: FilesSource, drops: Drops, file: File) -> list[str]:
    """Column names of a file; empty for an empty file."""
    with drops.open(file.path) as content, open_text(source, content, file.path) as text:
        return next(csv.reader(text, delimiter=source.delimiter), [])


class Parser:
    """Reads files one after another. `readings` says what was read of each, `shape` which columns they supplied.

    `known` and `seen` are what the load before had of them: `find_drifts` compares each header with it.
    """

    def __init__(
        self,
        table: Table,
        source: FilesSource,
        files: Sequence[FileRows | KeptRows],
        known: Mapping[str, str],
        seen: Collection[str] | None = None,
    ) -> None:
        self.table = table
        self.source = source
        self.files = files
        self.shape = dict(known)
        self.seen = seen
        self.unmapped: set[str] = set()
        #: Columns that some files have and others need not have.
        self.optional = drift.accepted_as_gone(known)
        self.readings = [Reading() for _ in files]

    def chunks(self) -> Iterator[bytes]:
        """CSV for COPY, in pieces; files are counted from 1. Raises DriftError or ExtractError naming the file."""
        buffer = io.StringIO()
        # Both kinds of line end are quoted inside a field only when both are in the terminator.
        writer = csv.writer(buffer, lineterminator="\r\n")
        for number, file in enumerate(self.files):
            rows = self._file(number, file) if isinstance(file, FileRows) else self._kept(number, file)
            for line, row in rows:
                writer.writerow([number + 1, line, *row])
                if buffer.tell() > CHUNK:
                    yield buffer.getvalue().encode()
                    buffer.seek(0)
                    buffer.truncate()
        yield buffer.getvalue().encode()

    def _kept(self, number: int, kept: KeptRows) -> Iterator[tuple[int, list[str | None]]]:
        picks = self._picks(kept.header, kept.name)
        patterns = [(name, rule) for name, rule in self.source.columns.items() if rule is not None and rule.pattern]
        for line, row in kept.rows:
            self.readings[number].rows += 1
            if isinstance(row, list):
                yield line, self._columns(row, len(kept.header), picks)
                continue
            reason = next(filter(None, (_mismatch(name, rule, row.get(name)) for name, rule in patterns)), None)
            yield line, [reason, None, *(row.get(name) for name in self.table.columns)]

    def _file(self, number: int, file: FileRows) -> Iterator[tuple[int, list[str | None]]]:
        reading = self.readings[number]
        line = 1
        try:
            with file.drops.open(file.file.path) as content:
                with open_text(self.source, content, file.file.path) as text:
                    reader = csv.reader(text, delimiter=self.source.delimiter)
                    reading.header = next(reader, None)
                    if reading.header is None:
                        raise ExtractError(
                            f"{self.table.name}: file {file.name} is empty, without even a header. {NOTHING_LOADED}"
                        )
                    picks = self._picks(reading.header, file.name)
                    line = reader.line_num + 1
                    for row in reader:
                        if row:
                            reading.rows += 1
                            yield line, self._columns(row, len(reading.header), picks)
                        line = reader.line_num + 1
                    # What a packed file has behind its end is part of its hash.
                    while content.read(CHUNK):
                        pass
                reading.bytes, reading.sha256 = content.bytes, content.digest.hexdigest()
        except (csv.Error, UnicodeError, EOFError, zlib.error, lzma.LZMAError) as error:
            what = f"not {self.source.encoding}" if isinstance(error, UnicodeError) else "not delimited text"
            what = what if isinstance(error, csv.Error | UnicodeError) else "cut short or damaged where it was packed"
            raise ExtractError(
                f"{self.table.name}: file {file.name}, near line {line}: {what}. {NOTHING_LOADED}"
            ) from None

    def _columns(self, row: list[str], width: int, picks: dict[str, Pick]) -> list[str | None]:
        """Reason, row text and the columns of one row."""
        whole = "".join(row)
        if not whole.isascii() or "\0" in whole:
            try:
                whole.encode()
            except UnicodeEncodeError:
                return self._rejected(f"{NOT_TEXT} {self.source.encoding}", row)
            if "\0" in whole:
                return self._rejected(NUL, row)
        if len(row) != width:
            return self._rejected(f"{len(row)} columns, the header has {width}", row)
        try:
            return [None, None, *(pick(row) for pick in picks.values())]
        except ValueError as error:
            return self._rejected(str(error), row)

    def _rejected(self, reason: str, row: list[str]) -> list[str | None]:
        # What cannot be stored (a lone surrogate, a NUL) is written out: a person sees where it was.
        text = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
        return [reason, text, *[None] * len(self.table.columns)]

    def _picks(self, header: list[str], file: str) -> dict[str, Pick]:
        known, types = self.shape | self.optional, dict.fromkeys(header, "text")
        drift.refuse(
            self.table.name, drift.find_drifts(self.table, self.source, known, types, self.seen), f"file {file}"
        )
        mapping = map_columns(self.table, self.source, header)
        used = {field.source for field in mapping.mapped if field.source is not None}
        twice = [f'column "{c}" is twice in the header of file {file}' for c in sorted(used) if header.count(c) > 1]
        if twice:
            raise DriftError(f"{self.table.name}: {'; '.join(twice)}. {NOTHING_LOADED}")
        self.shape |= self.optional | {field.name: "text" for field in mapping.mapped}
        self.unmapped |= set(mapping.unused)
        picks: dict[str, Pick] = dict.fromkeys(self.table.columns, _nothing)
        for field in mapping.mapped:
            if field.source is not None:
                form = self.source.formats.get(field.name, self.source.formats.get(field.type))
                picks[field.name] = _pick(header.index(field.source), field, form)
        return picks


def _nothing(row: list[str]) -> None:
    """A column that the file does not supply."""


def _pick(place: int, field: Mapped, form: str | None) -> Pick:
    plain = cast("Pick", _parsed(place, field, form) if form is not None else lambda row: row[place])
    if field.rule.pattern is None:
        return plain

    def matched(row: list[str]) -> str | None:
        if reason := _mismatch(field.name, field.rule, row[place]):
            raise ValueError(reason)
        return plain(row)

    return matched


def _mismatch(name: str, rule: ColumnRule, text: str | None) -> str | None:
    """Why a text is not what the rule's pattern asks for; nothing is asked of an empty one."""
    if not text or re.search(str(rule.pattern), text, re.ASCII):
        return None
    return f"column {name} does not match {rule.pattern}"


def _parsed(place: int, field: Mapped, form: str) -> Pick:
    reason = f"column {field.name} is not a {field.type} in the given format"

    def parsed(row: list[str]) -> str | None:
        if not (text := row[place].strip()):
            return None
        try:
            # The zone is added by the warehouse, which knows its history.
            at = datetime.strptime(text, form)  # noqa: DTZ007
        except ValueError:
            raise ValueError(reason) from None
        return at.date().isoformat() if field.type == "date" else at.isoformat(" ")

    return parsed
