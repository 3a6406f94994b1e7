"""Reads PostgreSQL sources: what a table looks like, and the COPY giving it canonical names and types."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.extract.copy import stream
from retention.extract.errors import NOTHING_LOADED, ExtractError, without_values
from retention.extract.reader import AWARE, NAIVE, Copied, Fit, SourceColumn
from retention.extract.silence import KEEPALIVES, ended_when_silent
from retention.sources.mapping import Mapped
from retention.sources.profile import SqlSource

#: Of a declared numeric.
MAX_PRECISION = 1000
#: Source types whose binary form the warehouse's type reads.
SAME_BINARY = {"text": ("text", "character varying", "character", "name"), "timestamptz": (AWARE,)}


def connect(dsn: str, table: str, what: str) -> Connection:
    """A connection for loading `table`; `what` names the server in the ExtractError of a refusal."""
    with without_values(table, f"connecting to {what}"):
        conn: Connection = psycopg2.connect(
            dsn, connect_timeout=10, application_name=f"retention extract {table}", **KEEPALIVES
        )
        conn.set_client_encoding("UTF8")
    return conn


@contextmanager
def open_postgres(dsn: str, table: str, what: str) -> Iterator["PostgresReader"]:
    """A reader on a libpq URL, for reading `table`; ended when the source falls silent."""
    with closing(connect(dsn, table, what)) as conn, ended_when_silent(conn, table):
        yield PostgresReader(conn, table)


def relation(source: SqlSource) -> sql.Composable:
    """The source's table or query as an item of FROM."""
    if source.table is not None:
        return sql.Identifier(*source.table.split("."))
    # The query may end in a comment.
    return sql.SQL("({}\n) as source").format(sql.SQL(str(source.query).rstrip().rstrip(";")))


class PostgresReader:
    """A connection to a PostgreSQL source."""

    def __init__(self, conn: Connection, table: str) -> None:
        self.conn = conn
        self.table = table

    def open_snapshot(self) -> datetime:
        """Make the session one read-only snapshot with plain text forms; returns the source's time of it."""
        self.conn.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with without_values(self.table, "reading the source"), self.conn.cursor() as cur:
            cur.execute(
                "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local extra_float_digits = 1;"
                # The session waits while the warehouse works on what it gave.
                " set local idle_in_transaction_session_timeout = 0"
            )
            cur.execute("select transaction_timestamp()")
            row = cur.fetchone()
        if row is None:
            raise ExtractError(f"{self.table}: the source did not tell its time. {NOTHING_LOADED}")
        at: datetime = row[0]
        return at

    def describe(self, source: SqlSource) -> dict[str, SourceColumn]:
        """Columns of the source relation, in order."""
        with without_values(self.table, "looking at the source"), self.conn.cursor() as cur:
            cur.execute(sql.SQL("select * from {} limit 0").format(relation(source)))
            described = list(cur.description or ())
            codes = [c.type_code for c in described]
            cur.execute("select oid, format_type(oid, null) from pg_type where oid = any(%s)", (codes,))
            names = dict(cur.fetchall())
        return {
            c.name: SourceColumn(
                names[c.type_code], c.scale if _has_scale(c.precision) else None, (names[c.type_code],)
            )
            for c in described
        }

    def query(self, fit: Fit, zone: ZoneInfo) -> "PostgresQuery":
        """The rows of a relation whose columns fit; `zone` is that of timestamps without one."""
        return PostgresQuery(self.conn, fit, zone)


def _has_scale(precision: int | None) -> bool:
    # psycopg2 reads a type modifier that is not there (-1) as 65535.
    return precision is not None and precision <= MAX_PRECISION


class PostgresQuery:
    """The canonical SELECT over a source relation."""

    def __init__(self, conn: Connection, fit: Fit, zone: ZoneInfo) -> None:
        self.conn = conn
        self.fit = fit
        self.table = fit.table
        self.fields = fit.fields
        self.relation = relation(fit.source)
        self.zone = zone

    @property
    def label(self) -> str:
        """The way of reading, for the ledger."""
        return "postgres binary" if self.is_binary else "postgres text"

    @property
    def is_binary(self) -> bool:
        """Whether every column's type is the warehouse's own, so that COPY can move binary values."""
        return all(
            not field.is_plain
            or self._is_converted(field)
            or self.fit.type_of(field) in SAME_BINARY.get(field.type, (field.type.split("(")[0],))
            for field in self.fields.values()
        )

    def _is_converted(self, field: Mapped) -> bool:
        return field.type == "timestamptz" and self.fit.type_of(field) in NAIVE

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

    def count(self) -> tuple[int, datetime | None]:
        """Rows of the whole relation and the greatest cursor (None without one)."""
        has_cursor = self.table.cursor is not None and self.table.cursor in self.fields
        latest = sql.SQL("max({})").format(self.expression(str(self.table.cursor))) if has_cursor else sql.SQL("null")
        rows, watermark = self._one(sql.SQL("select count(*), {} from {}").format(latest, self.relation))
        return int(rows), watermark

    def count_keys(self) -> int:
        """Distinct complete keys of the whole relation."""
        keys = [self.expression(name) for name in self.table.key]
        complete = sql.SQL(" and ").join(key + sql.SQL(" is not null") for key in keys)
        query = sql.SQL("select count(*), null from (select distinct {} from {} where {}) as keys")
        rows, _ = self._one(query.format(sql.SQL(", ").join(keys), self.relation, complete))
        return int(rows)

    def _one(self, query: sql.Composable) -> tuple[int, datetime | None]:
        with without_values(self.table.name, "reading the source"), self.conn.cursor() as cur:
            cur.execute(query)
            rows, latest = cur.fetchone() or (0, None)
        return rows, latest

    def copy(self, names: Sequence[str], since: datetime | None, target: Connection, into: sql.Identifier) -> Copied:
        """Copy the named columns of the rows written at or after `since` (None: all rows) into a warehouse table."""
        form = sql.SQL("binary" if self.is_binary else "text")
        expressions = sql.SQL(", ").join(self.expression(name) for name in names)
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
        query = sql.SQL("copy (select {} from {}{}) to stdout (format {})")
        rows = stream(
            self.conn,
            query.format(expressions, self.relation, self._since(since), form),
            target,
            sql.SQL("copy {} ({}) from stdin (format {})").format(into, columns, form),
            self.table.name,
        )
        return Copied(rows)


def _word(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
