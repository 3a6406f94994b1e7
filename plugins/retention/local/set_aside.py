"""`retention quarantine`: which rows are kept out of the marts, since when and why.

Runbook: docs/runbooks/quarantine.md
"""

from contextlib import closing

import psycopg2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retention.local import settings
from retention.local.home import Home

_SUMMARY = """
select
    q.table_name,
    check_name,
    count(*),
    to_char(min(b.as_of) at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
    count(*) filter (where q.batch_id = (select max(batch_id) from ops.batches where kind = 'nightly'))
from ops.quarantine as q
cross join unnest(q.checks) as check_name
inner join ops.batches as b on q.batch_id = b.batch_id
where q.released_batch_id is null
group by q.table_name, check_name
order by q.table_name, check_name
"""
_ROWS = """
select
    (select string_agg(value, ' ' order by place) from jsonb_each_text(q.key) with ordinality as k(name, value, place)),
    q.load_id,
    array_to_string(q.checks, ', '),
    to_char(b.as_of at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
from ops.quarantine as q
inner join ops.batches as b on q.batch_id = b.batch_id
where q.released_batch_id is null and q.table_name = %s
order by q.quarantine_id
limit %s
"""


def show_quarantine(home: Home, console: Console, table: str | None, limit: int) -> None:
    """What is set aside now: one line a check, or the versions of one table by their surrogate keys."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn, conn.cursor() as cur:
        columns: tuple[str, ...]
        if table is None:
            columns = ("table", "check", "rows", "since (UTC)", "of the last night")
            cur.execute(_SUMMARY)
        else:
            columns = ("key", "load", "checks", "since (UTC)")
            cur.execute(_ROWS, (table, limit))
        rows = cur.fetchall()
    if not rows:
        console.print("  nothing is in quarantine", highlight=False)
        return
    listed = Table()
    for column in columns:
        is_number = column in ("rows", "load", "of the last night")
        listed.add_column(column, overflow="fold", justify="right" if is_number else "left")
    for row in rows:
        listed.add_row(*(f"{value:,}" if isinstance(value, int) else escape(str(value)) for value in row))
    console.print(listed)
