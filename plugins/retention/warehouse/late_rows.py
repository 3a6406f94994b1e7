"""Books what a night brought about the past: why figures of earlier days may change (marts.trust_restatements, and by
month the mart restatements).
"""

from collections.abc import Iterable
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.sources.contract import Table, load_contract, raw_identifier

#: Tables that figures by month rest on, with the columns that move none of them: a ticket that is answered or closed
#: is written again, and its log tells when; revenue in roubles is in no such figure.
_RESTED_ON: dict[str, frozenset[str]] = {
    "crm.subscription_events": frozenset(),
    "crm.usage_months": frozenset({"revenue_rub", "margin_rub"}),
    "helpdesk.tickets": frozenset(
        {
            "priority", "status", "closure_code", "resolved_at", "closed_at", "agent_id", "team_id",
            "merged_into_ticket_id",
        }
    ),
    "helpdesk.ticket_events": frozenset(),
    "helpdesk.contacts": frozenset(),
    "vendor.survey_invitations": frozenset(),
    "vendor.survey_responses": frozenset({"comment"}),
    "web.public_reviews": frozenset({"author_name"}),
}  # fmt: skip
#: The last instant that a row tells of, where the contract names none: a month that goes on is about the past later.
_TELLS_OF = {
    "crm.usage_months": (
        "(({row}.month_on + interval '1 month') at time zone 'Europe/Moscow' - interval '1 microsecond')"
    ),
}
#: Per table, what tonight's loads move from one ticket, or holder, to another: when that happened.
_MERGES = {
    "helpdesk.ticket_events": """
        select tickets.opened_at as moved_at
        from tonight
        cross join lateral (values (tonight.ticket_id), (tonight.from_value), (tonight.to_value)) as named (ticket_id)
        inner join lateral (
            select raw.opened_at from raw.helpdesk__tickets as raw
            where raw.ticket_id = named.ticket_id and raw._op = 'u' order by raw._load_id desc limit 1
        ) as tickets on true
        where tonight.kind in ('merge', 'unmerge')
    """,
    "helpdesk.tickets": """
        select tonight.opened_at as moved_at from tonight
        where tonight.was_op = 'u' and tonight.merged_into_ticket_id is distinct from tonight.was_moved_from
    """,
    "crm.subscriptions": """
        select episodes.started_at as moved_at
        from tonight inner join intermediate.int_episodes as episodes
            on tonight.subscription_id = episodes.subscription_id
        where tonight.was_op = 'u' and tonight.party_id is distinct from tonight.was_moved_from
    """,
}
#: What of a row names the ticket, or holder, that it belongs to.
_BELONGS_TO = {"helpdesk.tickets": "merged_into_ticket_id", "crm.subscriptions": "party_id"}


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
    """Book, by month, the rows of one table's loads that change what was known of the past, and what was merged.

    A row is about the past when its key is new and it tells of an instant before `before`, or when an earlier version
    said otherwise of one; what a figure does not rest on may change at will.
    """
    values = {"batch": batch_id, "name": table.name, "loads": loads, "first_load": min(loads), "before": before}
    if table.name in _RESTED_ON:
        ignored = _RESTED_ON[table.name] | {table.cursor, "recorded_at"}
        told = [name for name in table.columns if name not in table.key and name not in ignored]
        _book(
            cur,
            values,
            "about_past",
            sql.SQL(
                "select distinct {key}, instants.told_at as moved_at from {versions}"
                " cross join lateral (values ({now}), ({then})) as instants (told_at)"
                " where e._load_id is null or e._op = 'd' or ({ours}) is distinct from ({theirs})"
            ).format(
                key=_list(table.key, "n"),
                versions=_versions(table),
                now=_tells_of(table, "n"),
                then=_tells_of(table, "e"),
                ours=_list(told, "n"),
                theirs=_list(told, "e"),
            ),
        )
    if table.name in _MERGES and not (table.name == "crm.subscriptions" and _has_no_episodes(cur)):
        belongs_to = _BELONGS_TO.get(table.name)
        _book(
            cur,
            values,
            "merge",
            sql.SQL(
                "with tonight as (select n.*, e._op as was_op, {was} as was_moved_from from {versions}) {merges}"
            ).format(
                was=sql.Identifier("e", belongs_to) if belongs_to else sql.SQL("null"),
                versions=_versions(table),
                merges=sql.SQL(_MERGES[table.name]),
            ),
        )


def _book(cur: Cursor, values: dict[str, object], what: str, query: sql.Composable) -> None:
    """Book the rows of `query` whose moved_at lies before the night before, by its month."""
    cur.execute(
        sql.SQL(
            "insert into ops.past_changes"
            " select %(batch)s, %(name)s, {},"
            " date_trunc('month', moved_at at time zone 'Europe/Moscow')::date, count(*)"
            " from ({}) as moved where moved_at < %(before)s group by 4"
        ).format(sql.Literal(what), query),
        values,
    )


def _versions(table: Table) -> sql.Composed:
    """Tonight's versions (n), each beside the last one that was known before (e), as a `from` clause's content."""
    same = sql.SQL(" and ").join(sql.SQL("r.{0} = n.{0}").format(sql.Identifier(name)) for name in table.key)
    # A month of usage that goes on is most of a night's rows: not looked up.
    return sql.SQL(
        "(select * from {raw} as n where n._load_id = any(%(loads)s) and n._op = 'u' {past}) as n"
        " left join lateral (select * from {raw} as r where {same} and r._load_id < %(first_load)s"
        " order by r._load_id desc limit 1) as e on true"
    ).format(
        raw=raw_identifier(table.name),
        past=sql.SQL("and {} < %(before)s").format(_tells_of(table, "n")) if table.name in _TELLS_OF else sql.SQL(""),
        same=same,
    )


def _tells_of(table: Table, row: str) -> sql.Composable:
    if table.name in _TELLS_OF:
        return sql.SQL(_TELLS_OF[table.name].format(row=row))
    assert table.event_at is not None  # of every other table in _RESTED_ON
    return sql.Identifier(row, table.event_at)


def _list(columns: Iterable[str], row: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(row, name) for name in columns)


def _has_no_episodes(cur: Cursor) -> bool:
    cur.execute("select to_regclass('intermediate.int_episodes') is null")
    return cur.fetchone() == (True,)


def _count(table: Table) -> sql.Composed:
    def before(column: str | None) -> sql.Composable:
        if column is None:
            return sql.SQL("0")
        return sql.SQL("count(*) filter (where {} < %(before)s)").format(sql.Identifier(column))

    return sql.SQL("select {}, {} from {} where _load_id = any(%(loads)s) and _op = 'u'").format(
        before(table.cursor), before(table.event_at), raw_identifier(table.name)
    )
