"""Rows whose parent has never been seen: a warning on their first night, quarantine or a stop when it stays away.

The contract's `references` say which columns name a parent. Only tonight's rows and the remembered orphans are looked
at. A parent that was deleted was seen: its children are not orphans.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.quality.quarantine import can_be_set_aside, is_tolerable, too_many
from retention.quality.raw_versions import has_no_parent, key_of, latest_version, tonights_rows
from retention.quality.suites import Suite
from retention.quality.verdict import MAX_KEYS, Check
from retention.sources.contract import Table, load_contract


def examine_orphans(
    conn: Connection,
    batch_id: int,
    suites: Sequence[Suite],
    pending: Mapping[str, Sequence[int]],
    examined: Mapping[str, int | None],
    supplied: Collection[str] | None,
) -> list[Check]:
    """Checks of every reference of which both tables are supplied (None: all are).

    `pending` are the loads and `examined` the rows of each table tonight. Orphans are collected in found_orphans, those
    that are to be set aside in failing_versions too: nothing is changed before `settle`.
    """
    checks = []
    for suite in suites:
        table = load_contract().tables[suite.table]
        for column, parent in table.references.items():
            if supplied is not None and not {table.name, parent} <= set(supplied):
                continue
            with conn, conn.cursor() as cur:
                _find(cur, batch_id, table, column, parent, pending.get(table.name, ()))
                if table.name in pending:
                    checks.append(_tonight(cur, batch_id, suite, column, parent, examined[table.name]))
                checks += _older(cur, batch_id, suite, column, parent)
    return checks


def _find(cur: Cursor, batch_id: int, table: Table, column: str, parent: str, load_ids: Sequence[int]) -> None:
    """Note the orphans among tonight's rows and among those remembered since an earlier batch."""
    names: dict[str, sql.Composable] = {
        "table": sql.Literal(table.name),
        "column": sql.Literal(column),
        "parent": sql.Literal(parent),
        "batch": sql.Literal(batch_id),
        "key": key_of(table, "r"),
        "is_orphan": has_no_parent("r", column, parent),
    }
    cur.execute(
        sql.SQL(
            """
            insert into found_orphans (table_name, column_name, key, load_id, parent_table, batch_id)
            select known.table_name, known.column_name, known.key, known.load_id, known.parent_table, known.batch_id
            from ops.orphans as known
            cross join lateral ({latest}) as r
            where known.table_name = {table} and known.column_name = {column} and known.batch_id < {batch}
                and r._load_id = known.load_id and r._op = 'u' and {is_orphan}
            """
        ).format(latest=latest_version(table, "known.key"), **names)
    )
    if not load_ids:
        return
    columns = list(dict.fromkeys([*table.key, column, "_load_id"]))
    cur.execute(
        sql.SQL(
            """
            insert into found_orphans (table_name, column_name, key, load_id, parent_table, batch_id)
            select {table}, {column}, {key}, r._load_id, {parent}, coalesce((
                select min(known.batch_id) from ops.orphans as known
                where known.table_name = {table} and known.column_name = {column} and known.key = {key}
            ), {batch})
            from ({rows}) as r
            where {is_orphan} and not exists (
                select from found_orphans as older
                where older.table_name = {table} and older.column_name = {column}
                    and older.key = {key} and older.load_id = r._load_id
            )
            """
        ).format(rows=tonights_rows(table, load_ids, columns), **names)
    )


def _tonight(cur: Cursor, batch_id: int, suite: Suite, column: str, parent: str, examined: int | None) -> Check:
    cur.execute(
        """
        select count(*), (array_agg(key order by key))[:%s] from found_orphans
        where table_name = %s and column_name = %s and batch_id = %s
        """,
        (MAX_KEYS, suite.table, column, batch_id),
    )
    count, keys = cur.fetchone() or (0, None)
    message = f"no such row in {parent} yet; critical if there is none tomorrow" if count else None
    name = _name(column, parent)
    return Check(suite.table, name, "warning", not count, examined, int(count), _shown(suite, keys), message)


def _older(cur: Cursor, batch_id: int, suite: Suite, column: str, parent: str) -> list[Check]:
    """The check of the remembered ones, when some are not yet set aside; those are to be, unless they are too many."""
    cur.execute(
        """
        create temp table overdue on commit drop as
        select load_id, key from found_orphans as found
        where table_name = %(table)s and column_name = %(column)s and batch_id < %(batch)s and not exists (
            select from ops.quarantine as q
            where q.table_name = %(table)s and q.load_id = found.load_id and q.key = found.key
                and q.released_batch_id is null and q.batch_id < %(batch)s
        );
        select count(*), (array_agg(key order by key))[:%(shown)s], (
            select coalesce(sum(rows_appended), 0) from ops.loads where load_id in (select load_id from overdue)
        )
        from overdue
        """,
        {"table": suite.table, "column": column, "batch": batch_id, "shown": MAX_KEYS},
    )
    count, keys, rows = cur.fetchone() or (0, None, 0)
    checks = []
    if count:
        is_quarantined = can_be_set_aside(load_contract().tables[suite.table]) and is_tolerable(
            count, int(rows), suite.max_quarantine_ratio
        )
        fate = "set aside" if is_quarantined else too_many(count, int(rows), suite.max_quarantine_ratio)
        message = f"still no such row in {parent} a night later; {fate}"
        name = _name(column, parent)
        checks.append(
            Check(suite.table, name, "critical", False, int(rows), count, _shown(suite, keys), message, is_quarantined)
        )
        cur.execute("insert into failing_versions select %s, load_id, key, array[%s] from overdue", (suite.table, name))
    cur.execute("drop table overdue")
    return checks


def _name(column: str, parent: str) -> str:
    return f"has_parent({column} in {parent})"


def _shown(suite: Suite, keys: Sequence[Mapping[str, Any]] | None) -> tuple[dict[str, str | None], ...]:
    if not suite.key:
        return ()
    return tuple({column: str(key[column]) for column in suite.key} for key in keys or ())
