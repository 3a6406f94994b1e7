"""`retention escalations`: the outbox of this machine's warehouse, and a ten-minute run by hand."""

from contextlib import closing
from datetime import datetime, timedelta

import psycopg2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retention.handover.outbox import open_handovers
from retention.handover.run import Done, ShortRun
from retention.local import night, settings, setup
from retention.local.home import Home, LocalError

INTERVAL = timedelta(minutes=10)
_LAST = """
    select max(batches.as_of) filter (where steps.step = 'hand_over' and batches.kind = 'escalations'),
        max(steps.finished_at) filter (where steps.step = 'extract' and steps.detail ->> 'skipped' is null),
        (array_agg(steps.detail -> 'waiting' order by batches.as_of desc)
            filter (where steps.step = 'extract' and steps.detail ? 'waiting'))[1]
    from ops.batches as batches left join ops.steps as steps using (batch_id)
"""
#: An episode's id is long: its beginning tells it from others on a screen; ops.handovers has it whole.
_SHOWN = 12
#: Runs by hand take the simulated operator's clock on by ten minutes each; not by more than this.
_AHEAD = timedelta(days=1)


def run_now(home: Home, as_of: datetime | None) -> Done:
    """One ten-minute run in this process, up to `as_of` (Moscow when it has no zone; None: now, see `next_as_of`)."""
    environment, sources = settings.environment(home), settings.source_dsns(home)
    at = next_as_of(home, datetime.now(tz=night.ZONE)) if as_of is None else as_of.replace(tzinfo=night.ZONE)
    return ShortRun(
        etl_dsn=settings.dsn(home, "warehouse", "etl"),
        source_dsn=lambda name: sources[name],
        project=home.project,
        work=home.work,
        profile=environment["RETENTION_SOURCES"],
        run_id="retention escalations",
        environment=environment,
    ).run(at)


def next_as_of(home: Home, now: datetime) -> datetime:
    """The last full ten minutes; of the simulated operator, who has a clock of his own, see `after_simulated`."""
    day = setup.operator_day(home) if setup.profile(home) == setup.SIMULATOR_PROFILE else None
    if day is None:
        return now - timedelta(minutes=now.minute % 10, seconds=now.second, microseconds=now.microsecond)
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn.cursor() as cur:
        cur.execute("select max(as_of) from ops.batches where kind = 'escalations'")
        (last,) = cur.fetchone() or (None,)
    return after_simulated(night.as_of_night(day + timedelta(days=1)), last)


def after_simulated(lived: datetime, last: datetime | None) -> datetime:
    """The end of what the simulated operator lived; after a run up to `last` that was there already, ten minutes later.

    LocalError when `last` is far beyond what he lived: a run went by the real clock.
    """
    if last is None or last < lived:
        return lived
    if last - lived > _AHEAD:
        raise LocalError(
            f"a run up to {_at(last)} was done (the DAG escalations goes by the real clock), and the simulated "
            f"operator has lived until {_at(lived)}: nothing he writes is young enough for a later one. Nothing was "
            "done. Pause the DAG; his nights hand over what is due (`retention run`), or start anew with "
            "`retention simulate`."
        )
    return last + INTERVAL


def describe(done: Done) -> str:
    """One line on what a run did."""
    if done.handed is None:
        return f"batch {done.batch_id} was done before, or a later run went past it: nothing to do"
    loaded = f", and loaded nothing: {done.skipped}" if done.skipped else ""
    return f"batch {done.batch_id}: {done.handed:,} handed over in {done.seconds:.0f} s{loaded}"


def show_outbox(home: Home, console: Console, limit: int) -> None:
    """What is not delivered, by what is due first, and when the last run was."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn:
        shown, count = open_handovers(conn, limit)
        with conn.cursor() as cur:
            cur.execute(_LAST)
            last, loaded_at, waiting = cur.fetchone() or (None, None, None)
    console.print(f"  Last run    {_at(last) or 'none yet'}; last loaded {_at(loaded_at) or 'never'}", highlight=False)
    for reason in waiting or ():
        console.print(f"  Waits       {escape(reason)}", highlight=False)
    console.print(f"  Outbox      {count:,} not delivered", highlight=False)
    if not shown:
        return
    table = Table(box=None)
    for column in ("id", "episode", "level", "to", "has it", "triggered", "due"):
        table.add_column(column, no_wrap=True)
    for one in shown:
        to = " ".join(filter(None, (one.to_role, one.to_team_id)))
        table.add_row(
            str(one.handover_id), escape(one.episode_id[:_SHOWN]), one.level, escape(to),
            escape(one.owner_agent_id or "nobody"), _at(one.triggered_at), _at(one.due_at),
        )  # fmt: skip
    console.print(table)
    if count > len(shown):
        console.print(f"  and {count - len(shown):,} more: --limit", highlight=False)


def _at(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(night.ZONE):%Y-%m-%d %H:%M}"
