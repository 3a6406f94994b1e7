"""Tonight's loads against what was live before: keys alone do not show a status column that says everybody left.

Subscriptions that end in mass and columns that are emptied stop the night; a file that did not come is a warning. Rules
on keys and row counts are extraction's own (retention.extract.volume). Runbook: docs/runbooks/volume.md
"""

import logging
from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.extract.drift import GONE
from retention.extract.volume import RUNBOOK, SMALL_LOSS, USUAL_LOADS, is_large_loss, rows_of_new_files
from retention.quality.verdict import Check, GateFailed, Verdict, book_checks, what_is_served
from retention.sources.contract import Table, load_contract, raw_identifier
from retention.warehouse.batches import connected

log = logging.getLogger(__name__)

SUBSCRIPTIONS, EVENTS, USAGE = "crm.subscriptions", "crm.subscription_events", "crm.usage_months"
#: Events that end a subscription.
ENDINGS = (
    "port_completed", "disconnect_effective", "debt", "fraud", "death", "liquidation", "technical",
)  # fmt: skip
#: Of a table's live rows: a column that loses its value in more of them in one night is taken for emptied.
EMPTIED_RATIO = 0.2
#: Of a month's subscriptions with usage: the least share that the month after it has, or its extract is taken for cut.
#: Looked at in the first days of the next month, for it reads all usage.
LEAST_MONTH, FIRST_DAYS = 0.8, 5
#: Of the last loads: when more of them found a new file, a night without one is told.
USUAL_FILES = 0.5

_SEE = f"see {RUNBOOK}"
#: A subscription's version that is not over.
_IS_LIVE = sql.SQL(
    "({0}._op = 'u' and {0}.status is distinct from 'terminated'"
    " and ({0}.terminated_at is null or {0}.terminated_at > %(as_of)s))"
)
_LIVE_BEFORE = sql.SQL(
    "select count(*) from ("
    " select distinct on (subscription_id) * from {raw} where _load_id <> all(%(pending)s)"
    " order by subscription_id, _load_id desc) as latest where {is_live}"
)
#: The same without a walk through all versions, as far as a transform has come.
_STAGED = sql.Identifier("staging", "stg_crm__subscriptions")
_LIVE_STAGED = sql.SQL("select count(*) from (select *, 'u' as _op from {staged}) as latest where {is_live}")
#: Each key's latest version among tonight's loads (`now`) beside its latest of the loads before (`old`).
_COMPARED = sql.SQL(
    "with now as materialized ("
    " select distinct on ({key}) * from {raw} where _load_id = any(%(pending)s) order by {key}, _load_id desc)"
    " select {counts} from now left join lateral ("
    " select * from {raw} as r where {same} and r._load_id <> all(%(pending)s) order by r._load_id desc limit 1"
    ") as old on true where now._op = 'u'"
)


def check_loss(dsn: str, batch_id: int) -> Verdict:
    """Check the batch's pending loads as role etl, book every check in ops.checks (gate `volume`), return the verdict.

    Raises GateFailed, after booking, when too much ended or was emptied and nobody accepted that for the batch.
    """
    with connected(dsn, "check volume") as conn:
        with conn, conn.cursor() as cur:
            cur.execute("select table_name, array_agg(load_id) from ops.loads_to_stage group by table_name")
            pending: dict[str, list[int]] = dict(cur.fetchall())
            cur.execute("select table_name from ops.accepted_losses where batch_id = %s", (batch_id,))
            accepted = {name for (name,) in cur.fetchall()}
            tables = load_contract().tables
            checks = _endings(cur, tables, pending) + _usage_month(cur, pending.get(USAGE, ()))
            for name in sorted(pending):
                checks += _emptied(cur, tables[name], pending[name]) + _missing_file(cur, name, pending[name])
        checks = [_accepted(check) if check.table in accepted and not check.is_passed else check for check in checks]
        book_checks(conn, batch_id, "volume", checks)
        verdict = Verdict(tuple(checks))
        for warning in verdict.warnings:
            log.warning("%s", warning)
        if verdict.critical_failures:
            raise GateFailed("volume", verdict, what_is_served(conn))
    return verdict


def _endings(cur: Cursor, tables: Mapping[str, Table], pending: Mapping[str, Sequence[int]]) -> list[Check]:
    """Subscriptions that were live and are not any more, by their own row and by their events."""
    if not any(_has_rows(cur, name, pending.get(name, ())) for name in (SUBSCRIPTIONS, EVENTS)):
        return []
    cur.execute(
        "select as_of, greatest(round(extract(epoch from as_of - prev_as_of) / 86400), 1)::int from ops.current_run"
    )
    as_of, nights = cur.fetchone() or (None, 1)
    given = {"as_of": as_of, "pending": list(pending.get(SUBSCRIPTIONS, ())), "endings": list(ENDINGS)}
    live = _live_before(cur, given)
    if not live:
        return []
    was_live = sql.SQL("{} and not {}").format(_IS_LIVE.format(sql.SQL("old")), _IS_LIVE.format(sql.SQL("now")))
    is_ending = sql.SQL(
        "now.kind = any(%(endings)s) and not coalesce(old._op = 'u' and old.kind = any(%(endings)s), false)"
    )
    checks = []
    for name, check_name, condition in (
        (SUBSCRIPTIONS, "newly_ended", was_live),
        (EVENTS, "newly_ended_by_events", is_ending),
    ):
        loads = list(pending.get(name, ()))
        if not _has_rows(cur, name, loads):
            continue
        table = tables[name]
        counts = sql.SQL("count(distinct now.subscription_id) filter (where {})").format(condition)
        (ended,) = _compare(cur, table, counts, given | {"pending": loads})
        # What a night may lose is lost on each of those that were missed.
        is_passed = not is_large_loss(table, ended // nights, live)
        message = None if is_passed else f"live subscriptions end in one night; {_way_out(name)}"
        checks.append(Check(name, check_name, "critical", is_passed, live, ended, (), message))
    return checks


def _live_before(cur: Cursor, given: Mapping[str, object]) -> int:
    """Subscriptions that were live before tonight: by staging, unless it does not exist or has tonight's loads."""
    is_live = _IS_LIVE.format(sql.SQL("latest"))
    cur.execute(
        "select to_regclass(%s) is not null and not exists ("
        " select from ops.load_consumption where load_id = any(%s::bigint[]))",
        (_STAGED.as_string(cur), given["pending"]),
    )
    if cur.fetchone() == (True,):
        cur.execute(_LIVE_STAGED.format(staged=_STAGED, is_live=is_live), given)
    else:
        cur.execute(_LIVE_BEFORE.format(raw=raw_identifier(SUBSCRIPTIONS), is_live=is_live), given)
    (live,) = cur.fetchone() or (0,)
    return int(live)


def _usage_month(cur: Cursor, loads: Sequence[int]) -> list[Check]:
    """The last whole month's subscriptions with usage against the month before: who has no row fell silent.

    Once a night of this month has found it whole, nothing is looked at.
    """
    cur.execute(
        "select extract(day from run.as_of at time zone 'UTC') <= %s and not exists ("
        " select from ops.checks as c inner join ops.batches as b using (batch_id)"
        " where c.gate = 'volume' and c.table_name = %s and c.check_name = 'month_is_whole' and c.is_passed"
        # Of this night itself it is booked anew.
        " and b.batch_id <> run.batch_id and b.as_of < run.as_of"
        " and b.as_of >= date_trunc('month', run.as_of at time zone 'UTC') at time zone 'UTC')"
        " from ops.current_run as run",
        (FIRST_DAYS, USAGE),
    )
    (is_early,) = cur.fetchone() or (False,)
    if not is_early or not _has_rows(cur, USAGE, loads):
        return []
    cur.execute(
        "with months as ("
        " select (date_trunc('month', as_of at time zone 'UTC') - interval '1 month')::date as last_on,"
        " (date_trunc('month', as_of at time zone 'UTC') - interval '2 months')::date as before_on"
        " from ops.current_run)"
        " select count(distinct subscription_id) filter (where month_on = before_on),"
        " count(distinct subscription_id) filter (where month_on = last_on)"
        " from raw.crm__usage_months cross join months where month_on in (last_on, before_on) and _op = 'u'"
    )
    before, last = cur.fetchone() or (0, 0)
    is_passed = before < SMALL_LOSS or last >= LEAST_MONTH * before
    message = (
        None if is_passed else f"subscriptions have no usage in the last month, of those of the month before; {_SEE}"
    )
    return [Check(USAGE, "month_is_whole", "warning", is_passed, before, max(before - last, 0), (), message)]


def _emptied(cur: Cursor, table: Table, loads: Sequence[int]) -> list[Check]:
    """Columns that had a value in many rows and have none now, though the source still supplies them."""
    if not _has_rows(cur, table.name, loads):
        return []
    cur.execute(
        "select shapes.columns, loads.live_keys from ops.source_shapes as shapes"
        " inner join ops.loads as loads on shapes.table_name = loads.table_name"
        " where shapes.table_name = %s order by loads.load_id desc limit 1",
        (table.name,),
    )
    shape, live = cur.fetchone() or ({}, 0)
    columns = [name for name in table.columns if shape.get(name, GONE) != GONE and name not in table.key]
    least = max(SMALL_LOSS, EMPTIED_RATIO * live)
    columns = [name for name, rows in _empty(cur, table, columns, loads).items() if rows >= least]
    if not columns:
        return []
    counts = sql.SQL(", ").join(
        sql.SQL("count(*) filter (where old.{0} is not null and now.{0} is null)").format(sql.Identifier(name))
        for name in columns
    )
    emptied = zip(columns, _compare(cur, table, counts, {"pending": list(loads)}), strict=True)
    return [
        Check(table.name, f"{name}_emptied", "critical", False, live, rows, (),
              f"column {name} lost its values; {_way_out(table.name)}")
        for name, rows in emptied
        if rows >= least
    ]  # fmt: skip


def _empty(cur: Cursor, table: Table, columns: Sequence[str], loads: Sequence[int]) -> dict[str, int]:
    """Of tonight's rows, how many have no value in each column: cheap, and mostly all that there is to know."""
    if not columns:
        return {}
    counts = sql.SQL(", ").join(sql.SQL("count(*) - count({})").format(sql.Identifier(name)) for name in columns)
    query = sql.SQL("select {} from {} where _load_id = any(%s) and _op = 'u'")
    cur.execute(query.format(counts, raw_identifier(table.name)), (list(loads),))
    return dict(zip(columns, cur.fetchone() or (), strict=True))


def _compare(cur: Cursor, table: Table, counts: sql.Composable, given: Mapping[str, object]) -> tuple[int, ...]:
    key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
    same = sql.SQL(" and ").join(sql.SQL("r.{0} = now.{0}").format(sql.Identifier(name)) for name in table.key)
    cur.execute(_COMPARED.format(key=key, same=same, raw=raw_identifier(table.name), counts=counts), given)
    return cur.fetchone() or ()


def _missing_file(cur: Cursor, table: str, loads: Sequence[int]) -> list[Check]:
    """A table of files whose loads usually find a new one, and did not tonight."""
    cur.execute(
        # By the night that consumed them: ten-minute runs read files, too, when there are new ones.
        "select array_agg(loads.load_id) from ops.loads as loads"
        " left join ops.load_consumption as consumed on loads.load_id = consumed.load_id"
        " where loads.table_name = %s and loads.snapshot_at is null and loads.source_keys is null"
        " and loads.load_id <> all(%s) group by coalesce(consumed.batch_id, loads.batch_id)"
        " order by max(loads.load_id) desc limit %s",
        (table, list(loads), USUAL_LOADS),
    )
    before = [set(night) for (night,) in cur.fetchall()]
    if not before:
        return []
    count = len(loads) + sum(map(len, before))
    found = {load_id for load_id, _ in rows_of_new_files(cur, table, count)}
    is_usual = sum(bool(night & found) for night in before) > USUAL_FILES * len(before)
    is_passed = not is_usual or bool(set(loads) & found)
    message = None if is_passed else f"no new file came, though one usually does; {_SEE}"
    return [Check(table, "new_file", "warning", is_passed, None, None, (), message)]


def _has_rows(cur: Cursor, table: str, loads: Sequence[int]) -> bool:
    """Whether tonight's loads of a table brought rows, and are not its first."""
    cur.execute(
        "select coalesce(bool_or(load_id = any(%(loads)s) and rows_appended > 0), false)"
        " and coalesce(bool_or(load_id <> all(%(loads)s)), false) from ops.loads where table_name = %(table)s",
        {"loads": list(loads), "table": table},
    )
    (answer,) = cur.fetchone() or (False,)
    return bool(answer)


def _accepted(check: Check) -> Check:
    return Check(check.table, check.name, check.severity, True, check.rows_examined, check.rows_failed, (), "accepted")


def _way_out(table: str) -> str:
    return f"if the source is right: `retention accept-loss {table}`, then clear the task; {_SEE}"
