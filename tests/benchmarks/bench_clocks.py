"""Business time of a million clocks: from nothing, for a next night, and beside the expansion of schedules.

python tests/benchmarks/bench_clocks.py 100000
"""

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sql"))

from planting import MOSCOW, Planted

from conftest import create_roles, create_warehouse
from retention.local.postgres import Cluster
from retention.transform import Built

TOUCHED_SHARE = 0.003
#: Five codes in the seven zones of regions.
CALENDARS = 35
#: The expansion is measured on so many tickets: its time grows with them.
EXPANDED_TICKETS = 1_000
ZONES = (
    "Europe/Kaliningrad",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Novosibirsk",
    "Asia/Irkutsk",
    "Asia/Vladivostok",
)
# Ten events of a ticket, hours apart; the fourth pauses and the sixth resumes, in every other ticket the seventh and
# eighth do again; each event starts a clock that the third one after it stops; one ticket in ten is open.
PLANT = """
create table bench.events as
select
    ticket.id as ticket_id,
    event.no,
    timestamptz '2024-02-01 00:00+00' + (ticket.id * 300 + event.no * 7) * interval '1 second'
    + (event.no - 1) * (3600 + ticket.id * 7919 % 18000) * interval '1 second' as event_at
from generate_series(1, {tickets}) as ticket (id)
cross join generate_series(1, 10) as event (no);

create table bench.pauses as
select begins.ticket_id as pause_key, begins.event_at as paused_at, ends.event_at as resumed_at
from bench.events as begins
inner join bench.events as ends
    on begins.ticket_id = ends.ticket_id
    and (begins.no, ends.no) in ((4, 6), (7, 8)) and (begins.no = 4 or begins.ticket_id % 2 = 0);

create table bench.clocks as
select
    starts.ticket_id * 10 + starts.no as clock_id,
    starts.ticket_id as pause_key,
    calendars.calendar_id,
    starts.event_at as started_at,
    case when starts.ticket_id % 10 <> 0 or starts.no < 7 then stops.event_at end as stopped_at,
    cast(3600 * (1 + starts.no % 8) as bigint) as target_seconds
from bench.events as starts
inner join bench.events as stops on starts.ticket_id = stops.ticket_id and stops.no = least(starts.no + 3, 10)
inner join (
    select calendar_id, row_number() over (order by calendar_id) - 1 as place, count(*) over () as places
    from intermediate.int_calendars
) as calendars on starts.ticket_id % calendars.places = calendars.place;

create index on bench.clocks (pause_key);
create index on bench.pauses (pause_key);
analyze bench.clocks, bench.pauses
"""
QUERY = """
with

clocks as (select * from bench.clocks where {condition}),

pauses as (select * from bench.pauses where {condition}),

{{{{ clock_ctes('clocks', 'pauses') }}}}

select clocks.pause_key, clock_times.*
from clocks
inner join clock_times on clocks.clock_id = clock_times.clock_id
"""
# What dbt_zendesk does: every clock meets every window that it overlaps.
EXPANSION = """
select
    clocks.clock_id,
    coalesce(sum(extract(epoch from (
        least(intervals.closes_at, clocks.stopped_at) - greatest(intervals.opens_at, clocks.started_at)
    ))) filter (where intervals.opens_at is not null), 0) - coalesce(max(paused.seconds), 0) as business_seconds
from bench.clocks as clocks
left join intermediate.int_calendar_intervals as intervals
    on clocks.calendar_id = intervals.calendar_id
    and intervals.opens_at < clocks.stopped_at and clocks.started_at < intervals.closes_at
left join (
    select clocks.clock_id, sum(extract(epoch from (
        least(intervals.closes_at, clocks.stopped_at, pauses.resumed_at)
        - greatest(intervals.opens_at, clocks.started_at, pauses.paused_at)
    ))) as seconds
    from bench.clocks as clocks
    inner join bench.pauses as pauses
        on clocks.pause_key = pauses.pause_key
        and pauses.paused_at < clocks.stopped_at and clocks.started_at < pauses.resumed_at
    inner join intermediate.int_calendar_intervals as intervals
        on clocks.calendar_id = intervals.calendar_id
        and intervals.opens_at < least(clocks.stopped_at, pauses.resumed_at)
        and greatest(clocks.started_at, pauses.paused_at) < intervals.closes_at
    where clocks.pause_key <= {tickets}
    group by clocks.clock_id
) as paused on clocks.clock_id = paused.clock_id
where clocks.pause_key <= {tickets} and clocks.stopped_at is not null
group by clocks.clock_id
"""


@dataclass(frozen=True)
class ClockCost:
    """What one way of timing clocks took, and how many there were."""

    way: str
    clocks: int
    seconds: float


def plant(owner: Connection, planted: Planted, tickets: int) -> None:
    """The calendars of seven zones, and the tickets' events, pauses and clocks."""
    planted.open(datetime(2026, 1, 1, 2, tzinfo=MOSCOW))
    planted.load("crm.regions", [{"region_id": zone, "time_zone": zone} for zone in ZONES])
    built = Built()
    planted.dbt._run(["seed", "--select", "calendars", "calendar_days", "time_zones"], built)
    models = ["stg_helpdesk__teams", "stg_crm__regions", "path:models/intermediate/calendars"]
    planted.dbt._run(["run", "--select", *models], built)
    with owner, owner.cursor() as cur:
        cur.execute("create schema bench authorization etl")
    owner.close()
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(PLANT.format(tickets=tickets))


def timed(conn: Connection, *statements: str) -> tuple[float, int]:
    """Seconds of the statements in one transaction, and the rows that the last one wrote."""
    started = time.perf_counter()
    with conn, conn.cursor() as cur:
        for statement in statements:
            cur.execute(statement)
        rows = cur.rowcount
    return time.perf_counter() - started, rows


def measure(planted: Planted, tickets: int) -> list[ClockCost]:
    """Everything, a next night, and the expansion on fewer tickets, whose values must be the same."""
    touched = f"pause_key % {round(1 / TOUCHED_SHARE)} = 7"
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(f"create table bench.touched as select distinct pause_key from bench.clocks where {touched}")
        cur.execute("analyze bench.touched")
    keys = "pause_key in (select touched.pause_key from bench.touched as touched)"
    everything, some = planted.compiled(QUERY.format(condition="true"), QUERY.format(condition=keys))
    costs = []
    seconds, rows = timed(planted.conn, f"create table bench.timed as {everything}")
    costs.append(ClockCost("cumulative calendar, all", rows, seconds))
    timed(planted.conn, "create index on bench.timed (pause_key)", "analyze bench.timed")
    seconds, rows = timed(planted.conn, f"delete from bench.timed where {keys}", f"insert into bench.timed {some}")
    costs.append(ClockCost(f"cumulative calendar, next night ({TOUCHED_SHARE:.1%})", rows, seconds))
    few = min(tickets, EXPANDED_TICKETS)
    (fewer,) = planted.compiled(QUERY.format(condition=f"pause_key <= {few}"))
    seconds, rows = timed(planted.conn, f"create table bench.timed_few as {fewer}")
    costs.append(ClockCost("cumulative calendar, fewer", rows, seconds))
    seconds, rows = timed(planted.conn, f"create table bench.expanded as {EXPANSION.format(tickets=few)}")
    costs.append(ClockCost("schedules expanded, fewer", rows, seconds))
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(
            "select count(*) from bench.timed inner join bench.expanded using (clock_id)"
            " where timed.business_seconds is distinct from expanded.business_seconds"
        )
        (differing,) = cur.fetchone() or (None,)
    if differing != 0:
        raise RuntimeError(f"{differing} clocks have another business time when schedules are expanded")
    return costs


def run(tickets: int) -> list[ClockCost]:
    """Measure on a PostgreSQL of its own."""
    folder = Path(tempfile.mkdtemp(prefix="retention-bench-clocks-"))
    folder.chmod(0o755)
    cluster = Cluster(folder / "pg").start()
    try:
        warehouse = create_warehouse(cluster, create_roles(cluster))
        conn = warehouse.connect("etl")
        planted = Planted(warehouse.dsn("etl"), conn, folder / "dbt")
        plant(warehouse.connect("postgres"), planted, tickets)
        costs = measure(planted, tickets)
        conn.close()
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder)
    for cost in costs:
        print(f"{cost.way:<45} {cost.clocks:>10,} clocks {cost.seconds:8.2f} s", flush=True)
    return costs


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
