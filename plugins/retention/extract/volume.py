"""Loss: an empty, half or old extract is refused by three rules, each against what the last loads saw.

Keys: more than max_delete_ratio of the live keys are gone. Rows: an incremental load, or a night's new files, have
fewer rows than min_rows_ratio of the usual number. Time: the source's latest write is before one that was seen already.
Runbook: docs/runbooks/volume.md
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from psycopg2.extensions import cursor as Cursor

from retention.extract.errors import NOTHING_LOADED, DeletesRefusedError, VolumeError
from retention.extract.ledger import LoadResult, Previous
from retention.sources.contract import Table

RUNBOOK = "docs/runbooks/volume.md"
#: A loss of fewer keys is never refused for its ratio, unless it is all of them.
SMALL_LOSS = 20
#: How many loads say what is usual, how many are the least, and the median below which nothing is said.
USUAL_LOADS, LEAST_LOADS, LEAST_MEDIAN = 7, 3, 200
#: How many nights are looked through for them: some were forced, or read everything.
NIGHTS_LOOKED_AT = 30
#: Of the usual time between loads: a load sooner after the last has fewer rows for that reason.
LEAST_INTERVAL = 0.25


def is_large_loss(table: Table, lost: int, of: int) -> bool:
    """Whether so many of a table's keys are more than one night may lose."""
    return (lost >= SMALL_LOSS or lost == of) and lost > table.max_delete_ratio * of


def refuse_lost_keys(table: Table, live_keys: int, lost: int) -> None:
    """Raise DeletesRefusedError when the source lost more of the live keys than one load may delete."""
    if is_large_loss(table, lost, live_keys):
        raise DeletesRefusedError(
            f"{table.name}: the source has {live_keys - lost:,} of the {live_keys:,} keys of the last load "
            f"(ratio {(live_keys - lost) / live_keys:.2f}): refusing. {NOTHING_LOADED} {_way_out(table)}"
        )


def refuse_more_than_accepted(table: Table, least_keys: int, source_keys: int) -> None:
    """Raise DeletesRefusedError when the source lost more keys since somebody accepted that it has `least_keys`."""
    if is_large_loss(table, least_keys - source_keys, least_keys):
        raise DeletesRefusedError(
            f"{table.name}: the source has {source_keys:,} of the {least_keys:,} keys that were accepted "
            f"(ratio {source_keys / least_keys:.2f}): refusing. {NOTHING_LOADED} {_way_out(table)}"
        )


def refuse_old_snapshot(table: Table, previous: Previous, latest: datetime | None) -> None:
    """Raise VolumeError when the source's latest write is before one that the last load saw.

    A replica that lags would bring back what was deleted, and delete what is new.
    """
    seen, snapshot_at = previous.watermark, previous.snapshot_at
    # A stamp of the future tells nothing: it may have been corrected.
    if latest is None or seen is None or snapshot_at is None or snapshot_at < seen or seen <= latest:
        return
    raise VolumeError(
        f"{table.name}: the source's latest write is of {latest:%Y-%m-%d %H:%M:%S %Z}, the last load had seen one of "
        f"{seen:%Y-%m-%d %H:%M:%S %Z}: refusing. {NOTHING_LOADED} Is it a replica that lags, or a restored backup? "
        f"{_way_out(table)}"
    )


def refuse_few_rows(cur: Cursor, table: Table, result: LoadResult) -> None:
    """Raise VolumeError when a night's load has far fewer new or changed rows than usual; whole reads are not judged.

    What ten-minute runs loaded since the night before counts as the night's. Of files those count that were never seen
    before, all and the smallest; a load without any is a warning of the raw checks.
    """
    if result.snapshot_at is None:
        usuals = _files_usuals(cur, table, result)
    else:
        usuals = _incremental_usuals(cur, table, result)
    for usual in usuals:
        if len(usual.before) < LEAST_LOADS:
            continue
        middle = median(usual.before)
        if middle < LEAST_MEDIAN or usual.now >= table.min_rows_ratio * middle:
            continue
        raise VolumeError(
            f"{table.name}: {usual.now:,} {usual.what}, the last {len(usual.before)} such loads had a median of "
            f"{middle:,.0f} (ratio {usual.now / middle:.2f}): refusing. {NOTHING_LOADED} {_way_out(table)}"
        )


@dataclass(frozen=True)
class _Usual:
    """Rows of this load and of the ones before it."""

    what: str
    now: int
    before: list[int]


#: The last nights' loads of a table up to the one being made (which is not booked yet), each with what ten-minute runs
#: loaded since the one before: rows, snapshot, is judged.
_NIGHTS = """
    with booked as (
        select l.load_id, l.rows_appended - l.keys_deleted as rows, l.snapshot_at,
            not l.is_forced and l.watermark_from is not null and l.snapshot_at is not null as is_judged
        from ops.loads as l inner join ops.batches as b on l.batch_id = b.batch_id
        where l.table_name = %(table)s and b.kind <> 'escalations'
        order by l.load_id desc limit %(nights)s + 1
    ),
    nights as (
        select *, lag(load_id, 1, 0::bigint) over (order by load_id) as before_id
        from (select * from booked union all select %(now)s, %(rows)s, %(at)s, null) as all_nights
        -- The one more says only where the first of the others begins.
        order by load_id desc limit %(nights)s + 1
    )
    select nights.rows + coalesce((
            select sum(l.rows_appended - l.keys_deleted)
            from ops.loads as l inner join ops.batches as b on l.batch_id = b.batch_id
            where l.table_name = %(table)s and b.kind = 'escalations'
                and l.load_id > nights.before_id and l.load_id < nights.load_id
        ), 0)::bigint, nights.snapshot_at, nights.is_judged
    from nights order by load_id desc
"""


def _incremental_usuals(cur: Cursor, table: Table, result: LoadResult) -> list[_Usual]:
    if result.watermark_from is None or result.snapshot_at is None:
        return []
    cur.execute(
        _NIGHTS,
        {
            "table": table.name, "now": result.load_id, "rows": result.rows_appended - result.keys_deleted,
            "at": result.snapshot_at, "nights": NIGHTS_LOOKED_AT,
        },
    )  # fmt: skip
    (now, _, _), *earlier = cur.fetchall()
    previous_at = earlier[0][1] if earlier else None
    before = [(rows, at) for rows, at, is_judged in earlier if is_judged][:USUAL_LOADS]
    times = [at for _, at in before]
    intervals = [later - earlier for later, earlier in pairwise(times)]
    since_last = None if previous_at is None else result.snapshot_at - previous_at
    is_soon = bool(intervals) and since_last is not None and since_last < LEAST_INTERVAL * _median(intervals)
    if is_soon:
        return []
    return [_Usual("new or changed rows in the source", int(now), [int(rows) for rows, _ in before])]


def _files_usuals(cur: Cursor, table: Table, result: LoadResult) -> list[_Usual]:
    found = _new_files(cur, table.name, USUAL_LOADS + 1)
    if not found or found[0][0] != result.load_id:
        return []
    _, rows, smallest = zip(*found, strict=True)
    return [
        _Usual("rows in new files", rows[0], list(rows[1:])),
        # A short file that was refused comes again beside the next night's, which would hide it.
        _Usual("rows in the smallest new file", smallest[0], list(smallest[1:])),
    ]


def rows_of_new_files(cur: Cursor, table: str, loads: int) -> list[tuple[int, int]]:
    """(load, rows) of the last loads that found files never seen before, the last first."""
    return [(load_id, rows) for load_id, rows, _ in _new_files(cur, table, loads)]


def _new_files(cur: Cursor, table: str, loads: int) -> list[tuple[int, int, int]]:
    """(load, rows, rows of its smallest file) of the same loads."""
    cur.execute(
        "select files.load_id, sum(files.rows_read), min(files.rows_read) from ops.files as files"
        " inner join (select file, min(load_id) as load_id from ops.files where table_name = %(table)s group by file)"
        " as first_seen on files.file = first_seen.file and files.load_id = first_seen.load_id"
        " where files.table_name = %(table)s group by files.load_id order by files.load_id desc limit %(loads)s",
        {"table": table, "loads": loads},
    )
    return [(int(load_id), int(rows), int(smallest)) for load_id, rows, smallest in cur.fetchall()]


def _median(intervals: list[timedelta]) -> timedelta:
    return timedelta(seconds=median(interval.total_seconds() for interval in intervals))


def _way_out(table: Table) -> str:
    return (
        f"Mend the source and clear the task. If the source is right: `retention accept-loss {table.name}`. "
        f"See {RUNBOOK}."
    )
