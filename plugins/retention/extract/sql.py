"""Reads sources that are not PostgreSQL, through SQLAlchemy: MariaDB and MySQL with PyMySQL, others with their driver.

Rows are streamed and written as COPY text for the one writer, in memory that does not grow with the table. A row with
what PostgreSQL cannot hold is a reject: a NUL character, a date that is none, a boolean of 2. A date of zeros is NULL.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any
from zoneinfo import ZoneInfo

import pymysql.converters  # type: ignore[import-untyped]
import sqlalchemy as sa
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.extract.copy import CHUNK, Chunks, copy_into
from retention.extract.errors import NOTHING_LOADED, ExtractError, without_values
from retention.extract.reader import AWARE, Copied, Fit, SourceColumn
from retention.extract.silence import SILENCE_SECONDS
from retention.extract.sql_values import ESCAPES, Unfit, bound, encoder, instant, of_reflection, of_wire, words_of
from retention.sources.mapping import Mapped
from retention.sources.profile import SqlSource

MYSQL = ("mysql", "mariadb")
#: Rows that SQLAlchemy holds at a time.
BUFFERED_ROWS = 500
#: Of rejects, before they go to a file.
SPOOL_BYTES = 1 << 20
#: One read-only snapshot, with UTC as the zone of what is shown in one. InnoDB's, that is: MyISAM has none.
SNAPSHOTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        MYSQL,
        (
            "set session transaction isolation level repeatable read",
            "set session time_zone = '+00:00'",
            # The warehouse may be slower than the source thinks proper.
            "set session net_write_timeout = 3600",
            "set session wait_timeout = 28800",
            "start transaction with consistent snapshot, read only",
        ),
    ),
    "sqlite": ("pragma query_only = on", "begin"),
}
#: Of the rest, the first that the database knows. All see only what was committed before.
ISOLATIONS = ("SNAPSHOT", "SERIALIZABLE", "REPEATABLE READ")
CLOCKS = {
    **dict.fromkeys(MYSQL, "select utc_timestamp(6)"),
    "sqlite": "select strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "mssql": "select sysutcdatetime()",
    "oracle": "select sys_extract_utc(systimestamp) from dual",
}
#: PyMySQL gives values as the server writes them: exact decimals, and dates that are none.
AS_WRITTEN = {kind: convert for kind, convert in pymysql.converters.conversions.items() if not isinstance(kind, int)}
DRIVER_OPTIONS: dict[str, dict[str, object]] = {
    "pymysql": {
        "charset": "utf8mb4",
        "connect_timeout": 10,
        "read_timeout": int(SILENCE_SECONDS),
        "conv": AS_WRITTEN,
    },
}


@contextmanager
def open_sql(url: str, table: str, what: str) -> Iterator["SqlReader"]:
    """A reader on an SQLAlchemy URL, for loading `table`; `what` names it in the ExtractError of a refusal."""
    with without_values(table, f"connecting to {what}"):
        try:
            options = DRIVER_OPTIONS.get(sa.make_url(url).get_dialect().driver, {})
            engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=options)
            conn = engine.connect()
            raw: Any = conn.connection.dbapi_connection
        except (ImportError, TypeError) as error:
            # A driver that is not installed, or an option that it does not know.
            raise ExtractError(f"{table}: connecting to {what} failed: {error}. {NOTHING_LOADED}") from None
    try:
        yield SqlReader(conn, table)
    except BaseException:
        if (unread := getattr(raw, "_result", None)) is not None:
            # PyMySQL would read what is left of the result, also from a connection that is lost.
            unread.unbuffered_active = False
        conn.invalidate()
        raise
    finally:
        conn.close()


class SqlReader:
    """A connection to a database that SQLAlchemy speaks to."""

    def __init__(self, conn: sa.Connection, table: str) -> None:
        self.conn = conn
        self.table = table
        self.dialect = conn.dialect.name

    def open_snapshot(self) -> datetime:
        """Make the session one read-only snapshot, as strict as the database has; returns its time of it.

        MySQL, MariaDB: REPEATABLE READ, WITH CONSISTENT SNAPSHOT, READ ONLY. SQLite: a read transaction. Others:
        SNAPSHOT or SERIALIZABLE, and nothing but SELECT is sent. A time without an offset is taken for UTC.
        """
        with without_values(self.table, "opening a snapshot of the source"):
            if self.dialect in SNAPSHOTS:
                self.conn.execution_options(isolation_level="AUTOCOMMIT")
                for statement in SNAPSHOTS[self.dialect]:
                    self.conn.exec_driver_sql(statement)
            else:
                known = self.conn.dialect.get_isolation_level_values(self.conn.connection.dbapi_connection)  # type: ignore[arg-type] # Open.
                level = next((level for level in ISOLATIONS if level in known), None)
                if level is None:
                    raise ExtractError(f"{self.table}: {self.dialect} has no snapshots to read from. {NOTHING_LOADED}")
                self.conn.execution_options(isolation_level=level)
            at = instant(self.conn.exec_driver_sql(CLOCKS.get(self.dialect, "select current_timestamp")).scalar(), UTC)
        if at is None:
            raise ExtractError(f"{self.table}: the source did not tell its time. {NOTHING_LOADED}")
        return at

    def describe(self, source: SqlSource) -> dict[str, SourceColumn]:
        """Columns of the source relation, in order. Only MySQL and MariaDB tell those of a query."""
        with without_values(self.table, "looking at the source"):
            if self.dialect in MYSQL:
                result = self.conn.execute(sa.select(sa.text("*")).select_from(relation(source, ())).limit(0))
                described = result.cursor.description if result.cursor is not None else ()
                return {name: of_wire(code, length, scale) for name, code, _, length, _, scale, _ in described}
            if source.table is None:
                raise ExtractError(
                    f"{self.table}: {self.dialect} does not tell the types of a query. {NOTHING_LOADED} Make it a view "
                    "there and name that as `table` in the profile."
                )
            schema, _, name = source.table.rpartition(".")
            columns = sa.inspect(self.conn).get_columns(name, schema or None)
            return {column["name"]: of_reflection(column["type"]) for column in columns}

    def query(self, fit: Fit, zone: ZoneInfo) -> "SqlQuery":
        """The rows of a relation whose columns fit; `zone` is that of timestamps without one."""
        return SqlQuery(self.conn, fit, zone)


def relation(source: SqlSource, names: Sequence[str]) -> sa.FromClause:
    """The source's table or query with columns of those names."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    if source.table is not None:
        schema, _, name = source.table.rpartition(".")
        return sa.table(name, *columns, schema=schema or None)
    # A colon begins no parameter here, and the query may end in a comment.
    query = str(source.query).rstrip().rstrip(";").replace(":", r"\:") + "\n"
    return sa.text(query).columns(*columns).subquery("source")


class SqlQuery:
    """The canonical rows of one relation: chosen by the source, brought into form here."""

    def __init__(self, conn: sa.Connection, fit: Fit, zone: ZoneInfo) -> None:
        self.conn = conn
        self.fit = fit
        self.table = fit.table
        self.zone = zone
        self.relation = relation(fit.source, list(fit.columns))

    @property
    def label(self) -> str:
        """The way of reading, for the ledger."""
        is_mariadb = getattr(self.conn.dialect, "is_mariadb", False)
        return f"sqlalchemy {'mariadb' if is_mariadb else self.conn.dialect.name}"

    def _value(self, name: str) -> sa.ColumnElement[Any]:
        """The source's value for a canonical column; of a constant there is none to fetch."""
        source = self.fit.fields[name].source
        return self.relation.c[source] if source is not None else sa.null()

    def _cursor(self) -> Mapped | None:
        field = self.fit.fields.get(str(self.table.cursor))
        return field if field is not None and field.is_plain else None

    def count(self) -> tuple[int, datetime | None]:
        """Rows of the whole relation and the greatest cursor (None without one)."""
        cursor = self._cursor()
        latest = sa.func.max(self._value(cursor.name)) if cursor else sa.null()
        with without_values(self.table.name, "reading the source"):
            rows, at = self.conn.execute(sa.select(sa.func.count(), latest).select_from(self.relation)).one()
        is_aware = cursor is not None and AWARE in self.fit.kinds_of(cursor)
        return int(rows), instant(at, UTC if is_aware else self.zone)

    def count_keys(self) -> int:
        """Distinct complete keys of the whole relation, as the source itself counts them, byte by byte."""
        keys = [self._key(self.fit.fields[name]).label(name) for name in self.table.key]
        complete = [self._value(name).is_not(None) for name in self.table.key if self.fit.fields[name].source]
        distinct = sa.select(*keys).select_from(self.relation).where(*complete).distinct().subquery("keys")
        with without_values(self.table.name, "reading the source"):
            return int(self.conn.execute(sa.select(sa.func.count()).select_from(distinct)).scalar_one())

    def _key(self, field: Mapped) -> sa.ColumnElement[Any]:
        """A key as bytes: the collation of a column there may hold 'A' and 'a' for the same."""
        if field.source is None:
            return sa.literal(1)
        value = self._bytes(self._value(field.name))
        if field.rule.map is None:
            return value
        words = [(value == self._bytes(sa.literal(source)), str(target)) for source, target in field.rule.map.items()]
        other = self._bytes(sa.literal(str(field.rule.default))) if field.rule.has_default else value
        return sa.case(*((is_word, self._bytes(sa.literal(target))) for is_word, target in words), else_=other)

    def _bytes(self, value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        is_needed = self.conn.dialect.name in (*MYSQL, "mssql")
        return sa.cast(value, sa.LargeBinary) if is_needed else value

    def copy(self, names: Sequence[str], since: datetime | None, target: Connection, into: sql.Identifier) -> Copied:
        """Copy the named columns of the rows written at or after `since` (None: all rows) into a warehouse table."""
        select = sa.select(*(self._value(name) for name in names)).select_from(self.relation)
        cursor = self._cursor()
        if since is not None and cursor is not None:
            select = select.where(self._value(cursor.name) >= self._bound(since, cursor))
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
        rows = Rows(self, names)
        # The warehouse reads timestamps without an offset in its session's zone.
        with target.cursor() as cur:
            cur.execute("select set_config('timezone', %s, true)", (self.zone.key,))
            statement = sql.SQL("copy {} ({}) from stdin").format(into, columns)
            copied = copy_into(target, statement, Chunks(rows.chunks(self.conn, select)), self.table.name)
            cur.execute("set local timezone = 'UTC'")
        rows.rejects.seek(0)
        return Copied(copied, rows.rejected, rows.rejects if rows.rejected else None)

    def _bound(self, since: datetime, cursor: Mapped) -> sa.ColumnElement[Any]:
        at = bound(since, self.fit.columns[str(cursor.source)], self.zone)
        if isinstance(at, datetime):
            return sa.literal(at.replace(tzinfo=None) if self.conn.dialect.name in MYSQL else at)
        return sa.literal(at)


class Rows:
    """One result as COPY text. `rejects` gets (reason, row text) of what cannot be told so, also as COPY text."""

    def __init__(self, query: SqlQuery, names: Sequence[str]) -> None:
        self.table = query.table
        fields = [query.fit.fields[name] for name in names]
        columns = [query.fit.columns[field.source] if field.source is not None else None for field in fields]
        self.encoders = [
            encoder(field, column, field.name in self.table.key) for field, column in zip(fields, columns, strict=True)
        ]
        self.words = {field.name: words_of(field, column) for field, column in zip(fields, columns, strict=True)}
        self.rejected = 0
        self.rejects: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - read by the caller

    def chunks(self, conn: sa.Connection, select: sa.Select[Any]) -> Iterator[bytes]:
        """The rows of a SELECT, some CHUNK bytes at a time."""
        lines: list[str] = []
        size = 0
        with without_values(self.table.name, "reading the source"):
            result = conn.execution_options(stream_results=True, max_row_buffer=BUFFERED_ROWS).execute(select)
            for row in result:
                try:
                    # Both have a value for each name.
                    line = "\t".join([encode(value) for encode, value in zip(self.encoders, row)])  # noqa: B905
                except Unfit as unfit:
                    self._reject(str(unfit), row)
                    continue
                lines.append(line)
                size += len(line)
                if size >= CHUNK:
                    yield _packed(lines)
                    lines, size = [], 0
        if lines:
            yield _packed(lines)

    def _reject(self, reason: str, row: sa.Row[Any]) -> None:
        self.rejected += 1
        words = {name: to_word(value) for (name, to_word), value in zip(self.words.items(), row, strict=True)}
        # jsonb cannot hold a NUL either: its picture stands for it.
        shown = {name: text and text.replace("\0", "\N{SYMBOL FOR NULL}") for name, text in words.items()}
        text = json.dumps(shown, ensure_ascii=False)
        self.rejects.write(_packed([f"{reason}\t{text.translate(ESCAPES)}"]))


def _packed(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
