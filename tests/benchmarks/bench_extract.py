"""Extraction beside the fastest and the usual way of moving the same rows: `psql COPY | psql COPY` and pandas.to_sql.

    python tests/benchmarks/bench_extract.py [rows]

All ways fill the same table from the same source, in turns; CPU is that of the client and of both servers' processes.
"""

import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import psycopg2
import sqlalchemy

from retention.extract import extract_table
from retention.local.postgres import Cluster, binary
from retention.sources.contract import create_raw_tables
from retention.sources.profile import Profile, SqlSource
from retention.warehouse.install import ROLES, install_roles, install_schemas

ROWS = 1_000_000
#: to_sql is two orders slower: it gets fewer rows.
PANDAS_SHARE = 20
AS_OF = datetime(2026, 2, 3, tzinfo=UTC)
ROUNDS = 5
TABLE = "crm.usage_months"
COLUMNS = "subscription_id, month_on, first_revenue_at, last_revenue_at, revenue_rub, margin_rub, updated_at"
SOURCE = """
create table usage_months (subscription_id text, month_on date, first_revenue_at timestamptz,
    last_revenue_at timestamptz, revenue_rub numeric(12,2), margin_rub numeric(12,2), updated_at timestamptz,
    primary key (subscription_id, month_on));
insert into usage_months
select 'S' || lpad((n / 13)::text, 8, '0'), date '2025-01-01' + (n % 13) * 31, t, t + interval '20 days',
    n % 90000 / 100.0, n % 30000 / 100.0 - 20, t + interval '31 days'
from generate_series(1, {rows}) n,
    lateral (select timestamptz '2025-01-01' + (n % 13) * interval '31 days' as t) s;
vacuum analyze usage_months;
"""
PROFILE = Profile(name="bench", zone="Europe/Moscow",
                  tables={TABLE: SqlSource(connection="crm", table="usage_months")})  # fmt: skip


class Servers:
    """A throw-away cluster with a source of `rows` rows and a warehouse."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.cluster = Cluster(folder).start()
        passwords = dict.fromkeys(ROLES, "bench")
        self.execute("postgres", "create database source; create database warehouse")
        admin = psycopg2.connect(self.cluster.dsn("postgres"))
        install_roles(admin, passwords)
        admin.close()
        self.source = self.cluster.dsn("source")
        self.warehouse = self.cluster.dsn("warehouse", "etl", "bench")
        owner = psycopg2.connect(self.cluster.dsn("warehouse"))
        install_schemas(owner)
        owner.close()
        etl = psycopg2.connect(self.warehouse)
        create_raw_tables(etl)
        etl.close()
        self.execute("source", SOURCE.format(rows=rows))
        self.postmaster = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))

    def execute(self, database: str, statements: str) -> None:
        """Run statements one by one, each committed, as the superuser."""
        conn = psycopg2.connect(self.cluster.dsn(database))
        conn.autocommit = True
        with conn.cursor() as cur:
            for statement in filter(str.strip, statements.split(";")):
                cur.execute(statement)
        conn.close()

    def empty(self) -> int:
        """Empty the target and open a batch; returns the batch."""
        self.execute("warehouse", "truncate raw.crm__usage_months; checkpoint")
        self.execute("warehouse", "truncate ops.batches restart identity cascade")
        self.execute(
            "warehouse", "insert into ops.batches (kind, as_of, run_id, state) values ('b', now(), 'b', 'open')"
        )
        return 1

    def cpu_seconds(self) -> float:
        """CPU of us, our finished children and the servers' finished backends."""
        # A server's CPU is known when its backend is gone.
        time.sleep(0.5)
        own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        times = self.postmaster.cpu_times()
        return own + times.children_user + times.children_system


def with_retention(servers: Servers, batch: int) -> int:
    """Our extraction: with the ledger, reconciliation, the check for repeated keys, statistics."""
    return extract_table(servers.warehouse, TABLE, PROFILE, {"crm": servers.source}, batch, AS_OF, {}).rows_read


def with_psql(servers: Servers, batch: int) -> int:
    """Two psql and a pipe, binary, nothing checked."""
    out = f"copy (select {COLUMNS} from usage_months) to stdout (format binary)"
    into = f"copy raw.crm__usage_months ({COLUMNS}) from stdin (format binary)"
    psql = shlex.quote(str(binary("psql")))
    command = (
        f"{psql} -qXd {shlex.quote(servers.source)} -c {shlex.quote(out)} |"
        f" PGOPTIONS='-c retention.load_id=1' {psql} -qXd {shlex.quote(servers.warehouse)} -c {shlex.quote(into)}"
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, env=os.environ | {"LC_ALL": "C"})
    return _count(servers)


def with_pandas(servers: Servers, batch: int) -> int:
    """read_sql and to_sql in chunks."""
    source = sqlalchemy.create_engine(servers.source.replace("postgresql:", "postgresql+psycopg2:"))
    target = sqlalchemy.create_engine(
        servers.warehouse.replace("postgresql:", "postgresql+psycopg2:"),
        connect_args={"options": "-c retention.load_id=1"},
    )
    query = f"select {COLUMNS} from usage_months limit (select count(*) / {PANDAS_SHARE} from usage_months)"
    with source.connect() as reading, target.begin() as writing:
        for frame in pd.read_sql(sqlalchemy.text(query), reading, chunksize=10_000):
            frame.to_sql("crm__usage_months", writing, schema="raw", if_exists="append", index=False, method="multi",
                         chunksize=1_000)  # fmt: skip
    source.dispose()
    target.dispose()
    return _count(servers)


def _count(servers: Servers) -> int:
    conn = psycopg2.connect(servers.warehouse)
    with conn, conn.cursor() as cur:
        cur.execute("select count(*) from raw.crm__usage_months")
        (rows,) = cur.fetchone() or (0,)
    conn.close()
    return int(rows)


WAYS: dict[str, tuple[Callable[[Servers, int], int], int]] = {
    "retention extract": (with_retention, ROUNDS),
    "psql COPY | psql COPY": (with_psql, ROUNDS),
    "pandas.to_sql": (with_pandas, 1),
}


def run(rows: int = ROWS) -> list[dict[str, Any]]:
    """Medians by way: rows, seconds, rows_per_second, cpu_us_per_row, and speed as a ratio to the psql pipe."""
    folder = Path(tempfile.mkdtemp(prefix="retention-bench-"))
    folder.chmod(0o755)
    taken: dict[str, list[tuple[int, float, float]]] = {way: [] for way in WAYS}
    try:
        servers = Servers(folder, rows)
        for turn in range(ROUNDS):
            for way, (move, rounds) in WAYS.items():
                if turn < rounds:
                    batch = servers.empty()
                    cpu, started = servers.cpu_seconds(), time.perf_counter()
                    moved = move(servers, batch)
                    seconds = time.perf_counter() - started
                    taken[way].append((moved, seconds, servers.cpu_seconds() - cpu))
    finally:
        Cluster(folder).stop("immediate")
        shutil.rmtree(folder)
    results = []
    for way, turns in taken.items():
        speed = statistics.median(moved / seconds for moved, seconds, _ in turns)
        results.append({
            "way": way,
            "rows": turns[0][0],
            "seconds": round(statistics.median(seconds for _, seconds, _ in turns), 2),
            "rows_per_second": round(speed),
            "cpu_us_per_row": round(statistics.median(cpu / moved * 1e6 for moved, _, cpu in turns), 1),
        })  # fmt: skip
    # Turn by turn: what else the machine does then slows both.
    pipe = [moved / seconds for moved, seconds, _ in taken["psql COPY | psql COPY"]]
    for result in results:
        speeds = [moved / seconds for moved, seconds, _ in taken[result["way"]]]
        ratio = statistics.median(speed / of_pipe for speed, of_pipe in zip(speeds, pipe, strict=False))
        result["ratio_to_psql"] = round(ratio, 2)
    return results


def main() -> None:
    """Print the table."""
    results = run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    print(" | ".join(results[0]))
    for result in results:
        print(" | ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in result.values()))


if __name__ == "__main__":
    main()
