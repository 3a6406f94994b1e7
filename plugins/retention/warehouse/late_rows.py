"""Books what a night brought about the past: why figures of earlier days may change (marts.trust_restatements)."""

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.sources.contract import Table, load_contract, raw_identifier


def book_late_rows(conn: Connection, batch_id: int) -> int:
    """Count, by table, the rows of the loads that this batch consumed which reach behind the night before.

    Late: the source wrote them before the last transformed night's as_of (cursor). About the past: what they tell
    happened before it (event_at). A table's first load counts nothing: all of it is new. Replaces what was booked for
    the batch; returns the late rows. `conn` is the role etl's.
    """
    with conn, conn.cursor() as cur:
        cur.execute("delete from ops.late_rows where batch_id = %s", (batch_id,))
        cur.execute("select prev_as_of from ops.current_run where batch_id = %s", (batch_id,))
        (before,) = cur.fetchone() or (None,)
        if before is None:
            return 0
        cur.execute(
            """
            select loads.table_name, array_agg(loads.load_id)
            from ops.load_consumption as consumed
            inner join ops.loads as loads on consumed.load_id = loads.load_id
            where
                consumed.batch_id = %s and loads.rows_appended > 0
                and exists (select from ops.loads as e where e.table_name = loads.table_name and e.batch_id < %s)
            group by loads.table_name
            """,
            (batch_id, batch_id),
        )
        consumed: dict[str, list[int]] = dict(cur.fetchall())
        late = 0
        for name, table in load_contract().tables.items():
            if name in consumed and (table.cursor or table.event_at):
                cur.execute(_count(table), {"before": before, "loads": consumed[name]})
                counts = cur.fetchone() or (0, 0)
                cur.execute("insert into ops.late_rows values (%s, %s, %s, %s)", (batch_id, name, *counts))
                late += counts[0]
        return late


def _count(table: Table) -> sql.Composed:
    def before(column: str | None) -> sql.Composable:
        if column is None:
            return sql.SQL("0")
        return sql.SQL("count(*) filter (where {} < %(before)s)").format(sql.Identifier(column))

    return sql.SQL("select {}, {} from {} where _load_id = any(%(loads)s) and _op = 'u'").format(
        before(table.cursor), before(table.event_at), raw_identifier(table.name)
    )
