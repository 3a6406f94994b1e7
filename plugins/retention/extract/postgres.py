"""Reads one table of a PostgreSQL source: what it looks like, and the SELECT giving it canonical names and types."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.extract.errors import NOTHING_LOADED, DriftError, ExtractError
from retention.sources.contract import Table
from retention.sources.mapping import ColumnMapping, Mapped, map_columns
from retention.sources.profile import SqlSource

#: Of a declared numeric.
MAX_PRECISION = 1000
NAIVE = ("timestamp without time zone", "date")
INTEGERS = {"integer": ("smallint", "integer"), "bigint": ("smallint", "integer", "bigint")}
#: Source types whose binary form the warehouse's type reads.
SAME_BINARY = {"text": ("text", "character varying", "character", "name"), "timestamptz": ("timestamp with time zone",)}


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it; `scale` only for numeric with one."""

    type: str
    scale: int | None


def relation(source: SqlSource) -> sql.Composable:
    """The source's table or query as an item of FROM."""
    if source.table is not None:
        return sql.Identifier(*source.table.split("."))
    return sql.SQL("({}) as source").format(sql.SQL(str(source.query).rstrip().rstrip(";")))


def describe(cur: Cursor, source: SqlSource) -> dict[str, SourceColumn]:
    """Columns of the source relation, in order; errors are psycopg2's."""
    cur.execute(sql.SQL("select * from {} limit 0").format(relation(source)))
    described = list(cur.description or ())
    cur.execute(
        "select oid, format_type(oid, null) from pg_type where oid = any(%s)", ([c.type_code for c in described],)
    )
    names = dict(cur.fetchall())
    return {c.name: SourceColumn(names[c.type_code], c.scale if _has_scale(c.precision) else None) for c in described}


def _has_scale(precision: int | None) -> bool:
    # psycopg2 reads a type modifier that is not there (-1) as 65535.
    return precision is not None and precision <= MAX_PRECISION


class SourceQuery:
    """The canonical SELECT over a source relation. Raises DriftError when the columns do not fit the contract.

    `shape` is each supplied canonical column's type in the source, as the ledger remembers it.
    """

    def __init__(
        self, table: Table, source: SqlSource, columns: dict[str, SourceColumn], zone: ZoneInfo, known: dict[str, str]
    ) -> None:
        self.table = table
        self.relation = relation(source)
        self.columns = columns
        self.zone = zone
        mapping = map_columns(table, source, list(columns))
        # What the profile leaves out by name (null) is no drift.
        known = {name: kind for name, kind in known.items() if name not in source.columns}
        errors = self._missing(mapping, known) + [
            f'column "{field.source}" is {columns[field.source].type} in the source, which {field.name} ({field.type}) '
            "cannot take unchanged"
            for field in mapping.mapped
            if field.source is not None and field.is_plain and not self._fits(field)
        ]
        if errors:
            raise DriftError(f"{table.name}: {'; '.join(errors)}. {NOTHING_LOADED}")
        self.fields = {field.name: field for field in mapping.mapped}
        self.shape = {name: self._type(field) for name, field in self.fields.items()}

    def _missing(self, mapping: ColumnMapping, known: dict[str, str]) -> list[str]:
        gone = [*mapping.gone, *((name, name) for name in mapping.absent if name in known)]
        errors = [
            f'column "{source}" is gone from the source' + ("" if source == name else f" (it fills {name})")
            for name, source in gone
        ]
        named = {name for name, _ in gone}
        required = [name for name in mapping.missing_required(self.table) if name not in named]
        return errors + [f'the source has no column for "{name}", which is required' for name in required]

    def _type(self, field: Mapped) -> str:
        return self.columns[field.source].type if field.source is not None else "constant"

    def _fits(self, field: Mapped) -> bool:
        column = self.columns[str(field.source)]
        if field.type == "text":
            return True
        if field.type == "timestamptz":
            return column.type in (*SAME_BINARY["timestamptz"], *NAIVE)
        if field.type in INTEGERS:
            return column.type in INTEGERS[field.type]
        if field.type.startswith("numeric"):
            scale = int(field.type.rstrip(")").split(",")[1])
            return column.type in INTEGERS["bigint"] or (column.type == "numeric" and (column.scale or 0) <= scale)
        return column.type == field.type

    @property
    def is_binary(self) -> bool:
        """Whether every column's type is the warehouse's own, so that COPY can move binary values."""
        return all(
            not field.is_plain
            or self._is_converted(field)
            or self._type(field) in SAME_BINARY.get(field.type, (field.type.split("(")[0],))
            for field in self.fields.values()
        )

    def _is_converted(self, field: Mapped) -> bool:
        return field.type == "timestamptz" and self._type(field) in NAIVE

    def expression(self, name: str) -> sql.Composable:
        """The source's expression for a canonical column, in the contract's type."""
        field = self.fields[name]
        cast = sql.SQL("::" + field.type)
        if field.source is None:
            return sql.Literal(_word(field.rule.value)) + cast
        column = sql.Identifier(field.source)
        if field.rule.map is not None:
            words = sql.SQL(" ").join(
                sql.SQL("when {} then {}").format(sql.Literal(word), sql.Literal(_word(target)))
                for word, target in field.rule.map.items()
            )
            other = sql.Literal(_word(field.rule.default)) if field.rule.has_default else column + sql.SQL("::text")
            return sql.SQL("(case {}::text {} else {} end)").format(column, words, other) + cast
        if self._is_converted(field):
            return sql.SQL("({}::timestamp at time zone {})").format(column, sql.Literal(self.zone.key))
        return column

    def _since(self, since: datetime | None) -> sql.Composable:
        if since is None or self.table.cursor is None:
            return sql.SQL("")
        field = self.fields[self.table.cursor]
        if field.source is not None and self._is_converted(field):
            # The bound is converted, not the column: an index of the source stays usable.
            bound = sql.SQL("({}::timestamptz at time zone {})").format(sql.Literal(since), sql.Literal(self.zone.key))
            return sql.SQL(" where {} >= {}").format(sql.Identifier(field.source), bound)
        return sql.SQL(" where {} >= {}").format(self.expression(self.table.cursor), sql.Literal(since))

    def copy_out(self, names: Sequence[str], since: datetime | None, is_binary: bool) -> sql.Composable:
        """COPY statement for the named columns of the rows written at or after `since` (None: all rows)."""
        columns = sql.SQL(", ").join(self.expression(name) for name in names)
        form = sql.SQL("binary" if is_binary else "text")
        query = sql.SQL("copy (select {} from {}{}) to stdout (format {})")
        return query.format(columns, self.relation, self._since(since), form)

    def count(self, cur: Cursor) -> tuple[int, datetime | None]:
        """Rows of the whole relation and the greatest cursor (None without one), in the transaction's snapshot."""
        has_cursor = self.table.cursor is not None and self.table.cursor in self.fields
        latest = sql.SQL("max({})").format(self.expression(str(self.table.cursor))) if has_cursor else sql.SQL("null")
        cur.execute(sql.SQL("select count(*), {} from {}").format(latest, self.relation))
        rows, watermark = cur.fetchone() or (0, None)
        return int(rows), watermark

    def count_keys(self, cur: Cursor) -> int:
        """Distinct complete keys of the whole relation, in the transaction's snapshot."""
        keys = [self.expression(name) for name in self.table.key]
        complete = sql.SQL(" and ").join(key + sql.SQL(" is not null") for key in keys)
        query = sql.SQL("select count(*) from (select distinct {} from {} where {}) as keys")
        cur.execute(query.format(sql.SQL(", ").join(keys), self.relation, complete))
        (keys_count,) = cur.fetchone() or (0,)
        return int(keys_count)


def _word(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def open_snapshot(conn: Connection, table: str) -> datetime:
    """Make the source's session one read-only snapshot with plain text forms; returns the source's time of it."""
    conn.set_session(isolation_level="REPEATABLE READ", readonly=True)
    conn.set_client_encoding("UTF8")
    with conn.cursor() as cur:
        cur.execute("set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local extra_float_digits = 1")
        cur.execute("select transaction_timestamp()")
        row = cur.fetchone()
    if row is None:
        raise ExtractError(f"{table}: the source did not tell its time. {NOTHING_LOADED}")
    at: datetime = row[0]
    return at
