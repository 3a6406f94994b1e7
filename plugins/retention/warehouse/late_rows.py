"""Books what a night brought about the past: why figures of earlier days may change (marts.trust_restatements, and by
month the mart restatements).
"""

from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.sources.contract import Table, load_contract, raw_identifier

#: When what a row tells happened, where the contract names no instant.
_MONTHS = {"crm.usage_months": "month_on::timestamp at time zone 'Europe/Moscow'"}
#: Rows of tonight's loads that move what is known from one ticket, or holder, to another.
_MERGES = {
    "helpdesk.ticket_events": """
        select count(*) from raw.helpdesk__ticket_events
        where _load_id = any(%(loads)s) and _op = 'u' and kind in ('merge', 'unmerge')
    """,
    "crm.subscriptions": """
        with tonight as (
            select subscription_id, party_id from raw.crm__subscriptions
            where _load_id = any(%(loads)s) and _op = 'u'
        ),
        earlier as (
            select
                raw.subscription_id, raw.party_id,
                row_number() over (partition by raw.subscription_id order by raw._load_id desc) as recency
            from raw.crm__subscriptions as raw
            inner join tonight on raw.subscription_id = tonight.subscription_id
            where raw._load_id < %(first_load)s and raw._op = 'u'
        )
        select count(*) from tonight inner join earlier
            on tonight.subscription_id = earlier.subscription_id and earlier.recency = 1
        where tonight.party_id <> earlier.party_id
    """,
}


def book_late_rows(conn: Connection, batch_id: int) -> int:
    """Count, by table, the rows of the loads that this batch consumed which reach behind the night before.

    Late: the source wrote them before the last transformed night's as_of (cursor). About the past: what they tell
    happened before it (event_at). A table's first load counts nothing: all of it is new. Replaces what was booked for
    the batch; returns the late rows. `conn` is the role etl's.
    """
    with conn, conn.cursor() as cur:
        cur.execute("delete from ops.late_rows where batch_id = %s", (batch_id,))
        cur.execute("delete from ops.past_changes where batch_id = %s", (batch_id,))
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
                _book_months(cur, batch_id, table, consumed[name], before)
        return late


def _book_months(cur: Cursor, batch_id: int, table: Table, loads: list[int], before: datetime) -> None:
    """Book, of one table's loads, the rows about the past by month, and what was merged."""
    values = {"batch": batch_id, "name": table.name, "loads": loads, "first_load": min(loads), "before": before}
    about = sql.Identifier(table.event_at) if table.event_at else sql.SQL(_MONTHS.get(table.name, "null::timestamptz"))
    cur.execute(
        sql.SQL(
            """
            insert into ops.past_changes
            select %(batch)s, %(name)s, 'about_past',
                date_trunc('month', {about} at time zone 'Europe/Moscow')::date, count(*)
            from {raw} where _load_id = any(%(loads)s) and _op = 'u' and {about} < %(before)s
            group by 4
            """
        ).format(about=about, raw=raw_identifier(table.name)),
        values,
    )
    if table.name in _MERGES:
        cur.execute(
            "insert into ops.past_changes "  # noqa: S608 - constants of this module
            "select %(batch)s, %(name)s, 'merge', date_trunc('month', as_of at time zone 'Europe/Moscow')::date, n "
            f"from ops.batches cross join ({_MERGES[table.name]}) as merges (n) where batch_id = %(batch)s and n > 0",
            values,
        )


def _count(table: Table) -> sql.Composed:
    def before(column: str | None) -> sql.Composable:
        if column is None:
            return sql.SQL("0")
        return sql.SQL("count(*) filter (where {} < %(before)s)").format(sql.Identifier(column))

    return sql.SQL("select {}, {} from {} where _load_id = any(%(loads)s) and _op = 'u'").format(
        before(table.cursor), before(table.event_at), raw_identifier(table.name)
    )
