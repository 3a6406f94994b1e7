"""Writing rows to the two source databases: COPY into fresh tables, or upserts of one day."""

import io
from types import TracebackType

import numpy as np
import psycopg2
from psycopg2 import sql

from retention.simulator.codes import Ints
from retention.simulator.render import copy_text
from retention.simulator.schema import DATABASES, TABLES, Table, database_tables

# Rows per table kept in memory before they are copied out.
FLUSH_ROWS = 100_000
READER = "source_reader"


class Databases:
    """One transaction in each source database; leaving the block with an error rolls both back."""

    def __init__(self, crm_dsn: str, helpdesk_dsn: str) -> None:
        self._connections = dict(
            zip(DATABASES, (psycopg2.connect(crm_dsn), psycopg2.connect(helpdesk_dsn)), strict=True)
        )
        for connection in self._connections.values():
            with connection.cursor() as cursor:
                # Instants are written without an offset, in UTC.
                cursor.execute("set timezone to 'UTC'")

    def __enter__(self) -> "Databases":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        for connection in self._connections.values():
            if kind is None:
                connection.commit()
            else:
                connection.rollback()
        for connection in self._connections.values():
            connection.close()

    def create_tables(self) -> None:
        """Drops and creates every source table, without keys: they come after the rows."""
        for database in DATABASES:
            with self._connections[database].cursor() as cursor:
                for table in database_tables(database):
                    cursor.execute(sql.SQL("drop table if exists public.{}").format(sql.Identifier(table.name)))
                    columns = sql.SQL(", ").join(
                        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.sql))
                        for column in table.columns
                    )
                    cursor.execute(sql.SQL("create table public.{} ({})").format(sql.Identifier(table.name), columns))

    def copy(self, table: Table, rows: Ints, into: str | None = None) -> None:
        """Appends rows (column x row) by COPY, in pieces."""
        statement = sql.SQL("copy {} from stdin with (null '')").format(sql.Identifier(into or table.name))
        with self._connections[table.place].cursor() as cursor:
            for start in range(0, rows.shape[1], FLUSH_ROWS):
                cursor.copy_expert(statement, io.StringIO(copy_text(table, rows[:, start : start + FLUSH_ROWS])))

    def finish_tables(self) -> None:
        """Keeps the last version of each row, then adds keys, cursor indexes, grants and statistics."""
        for database in DATABASES:
            with self._connections[database].cursor() as cursor:
                for table in database_tables(database):
                    name = sql.Identifier(table.name)
                    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
                    if table.is_versioned:
                        cursor.execute(_keep_last(table))
                    cursor.execute(sql.SQL("alter table public.{} add primary key ({})").format(name, key))
                    if table.cursor:
                        index = sql.SQL("create index on public.{} ({})").format(name, sql.Identifier(table.cursor))
                        cursor.execute(index)
                    cursor.execute(sql.SQL("analyze public.{}").format(name))
                cursor.execute("select 1 from pg_roles where rolname = %s", (READER,))
                if cursor.fetchone():
                    reader = sql.Identifier(READER)
                    cursor.execute(sql.SQL("grant usage on schema public to {}").format(reader))
                    cursor.execute(sql.SQL("grant select on all tables in schema public to {}").format(reader))

    def upsert(self, table: Table, rows: Ints) -> None:
        """Inserts rows or replaces those with the same key. Of several versions in `rows` the last one stays."""
        if rows.shape[1] == 0:
            return
        rows = last_versions(table, rows)
        incoming = f"incoming_{table.name}"
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        changes = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in table.names if name not in table.key
        )
        with self._connections[table.place].cursor() as cursor:
            cursor.execute(
                sql.SQL("create temporary table {} (like public.{}) on commit drop").format(
                    sql.Identifier(incoming), sql.Identifier(table.name)
                )
            )
        self.copy(table, rows, incoming)
        with self._connections[table.place].cursor() as cursor:
            cursor.execute(
                sql.SQL("insert into public.{} select * from {} on conflict ({}) do update set {}").format(
                    sql.Identifier(table.name), sql.Identifier(incoming), key, changes
                )
            )


def last_versions(table: Table, rows: Ints) -> Ints:
    """Of the rows with one key, the one with the greatest cursor."""
    if not table.is_versioned:
        return rows
    key = rows[table.names.index(table.key[0])]
    order = np.lexsort((rows[table.names.index(table.cursor or "")], key))
    is_last = np.append(key[order][1:] != key[order][:-1], True)
    return rows[:, order[is_last]]


def _keep_last(table: Table) -> sql.Composed:
    return sql.SQL(
        "delete from public.{0} old using public.{0} new where old.{1} = new.{1} and old.{2} < new.{2}"
    ).format(sql.Identifier(table.name), sql.Identifier(table.key[0]), sql.Identifier(table.cursor or ""))


class Buffer:
    """Collects small pieces of rows and copies them out in large ones."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._pieces: dict[str, list[Ints]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, name: str, rows: Ints) -> None:
        """Takes rows of a table; copies when there are many."""
        self._pieces.setdefault(name, []).append(rows)
        self._sizes[name] = self._sizes.get(name, 0) + rows.shape[1]
        if self._sizes[name] >= FLUSH_ROWS:
            self._copy(name)

    def flush(self) -> None:
        """Copies what is left."""
        for name in list(self._pieces):
            self._copy(name)

    def _copy(self, name: str) -> None:
        self._databases.copy(TABLES[name], np.concatenate(self._pieces.pop(name), axis=1))
        self._sizes[name] = 0
