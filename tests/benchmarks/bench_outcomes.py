"""Outcome tracking at a million subscribers and 400 days, by part: seconds, of those in SQL, and peak memory.

A smaller simulated operator is taken to the end of `transform`; what the outcomes read of it is then copied beside
itself under other keys until there are as many subscribers as wanted. So every table that a part reads is there, with
the distributions of a simulated one, and no list of them is kept here.

python tests/benchmarks/bench_outcomes.py 1000000
"""

import contextlib
import cProfile
import multiprocessing
import pstats
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psycopg2
from bench_nights import DAYS, peak_mb
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from conftest import create_roles, create_warehouse
from harness import as_of_after, run_steps, simulate
from retention.local.postgres import Cluster
from retention.outcomes.track import track_outcomes

SIMULATED = 20_000
#: Keys that name something which does not grow with subscribers.
SHARED = {"team_id", "agent_id", "vendor_id", "region_id", "rule_id", "phrase_id", "calendar_id"}
READ = """
select schemaname, relname, seq_scan + coalesce(idx_scan, 0) from pg_stat_user_tables
where schemaname in ('staging', 'intermediate')
"""


@dataclass(frozen=True)
class PartCost:
    """What a part of the outcome step took. seconds are measured by a profiler, which slows Python, not SQL."""

    part: str
    seconds: float
    sql_seconds: float


@dataclass(frozen=True)
class OutcomeCost:
    """One run: without the profiler, and its parts with it."""

    subscribers: int
    episodes: int
    contacts: int
    seconds: float
    peak_mb: float
    parts: list[PartCost]


def scans(conn: Connection) -> dict[tuple[str, str], int]:
    """How often each table was scanned so far."""
    with conn, conn.cursor() as cur:
        cur.execute("select pg_stat_clear_snapshot()")
        cur.execute(READ)
        return {(schema, table): n for schema, table, n in cur.fetchall()}


def multiply(conn: Connection, tables: list[tuple[str, str]], times: int) -> int:
    """Copy every row of the tables `times` - 1 times with other keys; returns the rows added."""
    rows = 0
    for schema, table in tables:
        # What is unique by something shared, as agents are, does not grow.
        with contextlib.suppress(psycopg2.errors.UniqueViolation), conn, conn.cursor() as cur:
            rows += _multiply(cur, schema, table, times)
    return rows


def _multiply(cur: Cursor, schema: str, table: str, times: int) -> int:
    cur.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = %s and table_name = %s order by ordinal_position",
        (schema, table),
    )
    columns = cur.fetchall()
    is_key = [kind == "text" and name.endswith("_id") and name not in SHARED for name, kind in columns]
    if not any(is_key):
        return 0
    names = [sql.Identifier(name) for name, _ in columns]
    copied = [
        sql.SQL("{} || '~' || copy").format(name) if own else name for name, own in zip(names, is_key, strict=True)
    ]
    cur.execute(
        sql.SQL("insert into {0} ({1}) select {2} from {0} cross join generate_series(2, %s) as copy").format(
            sql.Identifier(schema, table), sql.SQL(", ").join(names), sql.SQL(", ").join(copied)
        ),
        (times,),
    )
    added = cur.rowcount
    cur.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, table)))
    return added


def _track(
    dsn: str, as_of: datetime, is_profiled: bool, answer: "multiprocessing.connection.Connection[object, object]"
) -> None:
    conn = psycopg2.connect(dsn)
    profile = cProfile.Profile()
    if is_profiled:
        profile.enable()
    summary = track_outcomes(conn, as_of, 1)
    profile.disable()
    parts = _parts(profile) if is_profiled else []
    answer.send((summary.seconds, peak_mb(), summary.episodes, summary.contacts, parts))


def _parts(profile: cProfile.Profile) -> list[PartCost]:
    """Functions that track_outcomes calls, with what of each was spent in the database's driver."""
    # As pstats keeps them: function -> (calls, primitive calls, own seconds, seconds with callees, by caller).
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    sql_seconds: dict[tuple[str, int, str], float] = {}

    def in_driver(function: tuple[str, int, str]) -> float:
        if function not in sql_seconds:
            sql_seconds[function] = 0.0
            if "psycopg2" in function[2]:
                sql_seconds[function] = found[function][3]
            else:
                sql_seconds[function] = sum(
                    # A callee's share by the seconds that it took when called from here.
                    in_driver(callee) * entry[4][function][3] / entry[3]
                    for callee, entry in found.items()
                    if function in entry[4] and entry[3]
                )
        return sql_seconds[function]

    # The night's function and the one it measures by.
    wholes = [function for function in found if function[2] in ("track_outcomes", "_measure")]
    direct = [
        (function, entry[4][whole][3])
        for function, entry in found.items()
        for whole in wholes
        if whole in entry[4] and function not in wholes
    ]
    return [
        PartCost(function[2], seconds, in_driver(function) * seconds / found[function][3])
        for function, seconds in sorted(direct, key=lambda one: -one[1])
        if seconds >= 0.05
    ]


def measure(dsn: str, as_of: datetime, subscribers: int) -> OutcomeCost:
    """Outcome tracking in processes of their own, once as it is and once profiled."""
    context = multiprocessing.get_context("spawn")
    answers = []
    for is_profiled in (False, True):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_track, args=(dsn, as_of, is_profiled, sender))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"outcomes of {subscribers} subscribers failed: see above")
        answers.append(receiver.recv())
    (seconds, peak, episodes, contacts, _), (*_, parts) = answers
    return OutcomeCost(subscribers, episodes, contacts, seconds, peak, parts)


def run(subscribers: int) -> OutcomeCost:
    """Simulate, transform, multiply and measure, on a PostgreSQL of its own."""
    folder = Path(tempfile.mkdtemp(prefix="retention-bench-outcomes-"))
    folder.chmod(0o755)
    cluster = Cluster(folder / "pg").start()
    try:
        spec = simulate(create_warehouse(cluster, create_roles(cluster)), folder / "work", SIMULATED, DAYS, seed=1)
        as_of = as_of_after(DAYS)
        run_steps(spec.night("bench"), as_of, "transform")
        cost = scale_and_measure(spec.etl_dsn, as_of, subscribers)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder)
    return cost


def scale_and_measure(dsn: str, as_of: datetime, subscribers: int) -> OutcomeCost:
    """Multiply what the outcomes read in a transformed warehouse of SIMULATED subscribers, and measure."""
    conn = psycopg2.connect(dsn)
    before = scans(conn)
    measure(dsn, as_of, SIMULATED)
    time.sleep(1)
    read = [table for table, n in scans(conn).items() if n > before.get(table, 0)]
    started = time.perf_counter()
    rows = multiply(conn, read, round(subscribers / SIMULATED))
    conn.close()
    print(f"{len(read)} tables, {rows:,} rows added in {time.perf_counter() - started:.0f} s", flush=True)
    cost = measure(dsn, as_of, subscribers)
    print(
        f"{cost.subscribers:>9,} subscribers, {cost.episodes:,} index episodes, {cost.contacts:,} contacts:"
        f" {cost.seconds:.1f} s, {cost.peak_mb:.0f} MB",
        flush=True,
    )
    for part in cost.parts:
        print(f"  {part.part:<40} {part.seconds:7.1f} s, in SQL {part.sql_seconds:7.1f} s", flush=True)
    return cost


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
