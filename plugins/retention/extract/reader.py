"""What a load asks of a database, whichever it is: a snapshot, its columns, counts, and rows for the one writer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.extract import drift
from retention.sources.contract import Table
from retention.sources.mapping import Mapped, map_columns
from retention.sources.profile import SqlSource

NAIVE = ("timestamp without time zone", "date")
INTEGERS = {"integer": ("smallint", "integer"), "bigint": ("smallint", "integer", "bigint")}
AWARE = "timestamp with time zone"


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it: its own word for the type, and PostgreSQL's types that hold the same values.

    `scale` only for numeric with one.
    """

    type: str
    scale: int | None
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Copied:
    """Rows that went into the warehouse, and those that it cannot hold: their reasons and texts, as COPY text."""

    rows: int
    rejected: int = 0
    rejects: IO[bytes] | None = None


def find_drifts(
    table: Table,
    source: SqlSource,
    columns: Mapping[str, SourceColumn],
    known: Mapping[str, str],
    seen: Collection[str] | None,
) -> list[drift.Drift]:
    """What of a source relation's columns is not as the load before had it, or does not fit the contract."""
    types = {name: column.type for name, column in columns.items()}
    return drift.find_drifts(table, source, known, types, seen, lambda field: _fits(field, columns[str(field.source)]))


def _fits(field: Mapped, column: SourceColumn) -> bool:
    return field.type == "text" or any(_takes(field.type, kind, column.scale or 0) for kind in column.kinds)


def _takes(wanted: str, kind: str, scale: int) -> bool:
    if wanted == "timestamptz":
        return kind in (AWARE, *NAIVE)
    if wanted in INTEGERS:
        return kind in INTEGERS[wanted]
    if wanted.startswith("numeric"):
        digits = int(wanted.rstrip(")").split(",")[1])
        return kind in INTEGERS["bigint"] or (kind == "numeric" and scale <= digits)
    return kind == wanted


class Fit:
    """A source relation's columns laid onto the contract's. Raises DriftError when they do not fit.

    `shape` is each supplied canonical column's type in the source, as the ledger remembers it, `unmapped` what nothing
    takes; `known` and `seen` are those of the load before.
    """

    def __init__(
        self,
        table: Table,
        source: SqlSource,
        columns: Mapping[str, SourceColumn],
        known: Mapping[str, str],
        seen: Collection[str] | None = None,
    ) -> None:
        self.table = table
        self.source = source
        self.columns = columns
        drift.refuse(table.name, find_drifts(table, source, columns, known, seen))
        mapping = map_columns(table, source, list(columns))
        self.unmapped = list(mapping.unused)
        self.fields = {field.name: field for field in mapping.mapped}
        self.shape = drift.accepted_as_gone(known) | {name: self.type_of(field) for name, field in self.fields.items()}

    def type_of(self, field: Mapped) -> str:
        """The source's word for a field's type."""
        return self.columns[field.source].type if field.source is not None else drift.CONSTANT

    def kinds_of(self, field: Mapped) -> tuple[str, ...]:
        """PostgreSQL's types of what the source has for a field; none for a constant."""
        return self.columns[field.source].kinds if field.source is not None else ()


class Query(Protocol):
    """The canonical rows of one source relation, in the reader's snapshot."""

    @property
    def label(self) -> str:
        """The way of reading, for the ledger."""

    def count(self) -> tuple[int, datetime | None]:
        """Rows of the whole relation and the greatest cursor (None without one)."""

    def count_keys(self) -> int:
        """Distinct complete keys of the whole relation, as the source itself counts them, byte by byte."""

    def copy(self, names: Sequence[str], since: datetime | None, target: Connection, into: sql.Identifier) -> Copied:
        """Copy the named canonical columns of rows written at or after `since` (None: all) into a warehouse table.

        Raises ExtractError when either side fails; the warehouse's transaction is then aborted.
        """


class Reader(Protocol):
    """A connection to a source's database. Its methods raise ExtractError without values of rows."""

    def open_snapshot(self) -> datetime:
        """Make all that follows one read-only snapshot with plain text forms; returns the source's time of it."""

    def describe(self, source: SqlSource) -> dict[str, SourceColumn]:
        """Columns of the source relation, in order."""

    def query(self, fit: Fit, zone: ZoneInfo) -> Query:
        """The rows of a relation whose columns fit; `zone` is that of timestamps without one."""
