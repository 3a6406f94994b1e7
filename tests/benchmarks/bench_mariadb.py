"""Extraction from MariaDB beside the usual way of moving the same rows: pandas.read_sql and to_sql.

    python tests/benchmarks/bench_mariadb.py [rows]

Both fill the same table of a warehouse from the same source, in turns. CPU is ours and PostgreSQL's, not MariaDB's.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy
from bench_extract import AS_OF, COLUMNS, PROFILE, TABLE, Servers, _count

from retention.extract import extract_table
from retention.local.postgres import Cluster

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mariadb

ROWS = 50_000
ROUNDS = 3
SOURCE = (
    "create table usage_months (subscription_id varchar(20), month_on date, first_revenue_at datetime,"
    " last_revenue_at datetime, revenue_rub decimal(12,2), margin_rub decimal(12,2), updated_at timestamp(6),"
    " primary key (subscription_id, month_on))",
    "insert into usage_months select concat('S', lpad(seq div 13, 8, '0')),"
    " date '2025-01-01' + interval (seq % 13) month, timestamp '2025-01-01 00:00:00' + interval seq % 13 * 31 day,"
    " timestamp '2025-01-21 00:00:00' + interval seq % 13 * 31 day, seq % 90000 / 100, seq % 30000 / 100 - 20,"
    " timestamp '2025-02-01 00:00:00' + interval seq % 13 * 31 day from seq_1_to_{rows}",
)


def with_retention(servers: Servers, url: str, batch: int) -> int:
    """Our extraction: with the ledger, reconciliation, the check for repeated keys, statistics."""
    return extract_table(servers.warehouse, TABLE, PROFILE, {"crm": url}, batch, AS_OF, {}).rows_read


def with_pandas(servers: Servers, url: str, batch: int) -> int:
    """read_sql and to_sql in chunks."""
    source = sqlalchemy.create_engine(url)
    target = sqlalchemy.create_engine(
        servers.warehouse.replace("postgresql:", "postgresql+psycopg2:"),
        connect_args={"options": "-c retention.load_id=1"},
    )
    with source.connect() as reading, target.begin() as writing:
        for frame in pd.read_sql(sqlalchemy.text(f"select {COLUMNS} from usage_months"), reading, chunksize=10_000):
            frame.to_sql("crm__usage_months", writing, schema="raw", if_exists="append", index=False, method="multi",
                         chunksize=1_000)  # fmt: skip
    source.dispose()
    target.dispose()
    return _count(servers)


WAYS = {"retention extract": with_retention, "pandas.read_sql, to_sql": with_pandas}


def run(rows: int = ROWS) -> list[dict[str, Any]]:
    """Medians by way: rows, seconds, rows_per_second, cpu_us_per_row; nothing where MariaDB is not installed."""
    if mariadb.missing_programs():
        return []
    folder = Path(tempfile.mkdtemp(prefix="retention-bench-"))
    folder.chmod(0o755)
    taken: dict[str, list[tuple[int, float, float]]] = {way: [] for way in WAYS}
    source = mariadb.start()
    try:
        database = source.create_database()
        source.execute(database, *(statement.replace("{rows}", str(rows)) for statement in SOURCE))
        servers = Servers(folder, 1)
        for _ in range(ROUNDS):
            for way, move in WAYS.items():
                batch = servers.empty()
                cpu, started = servers.cpu_seconds(), time.perf_counter()
                moved = move(servers, source.url(database), batch)
                seconds = time.perf_counter() - started
                taken[way].append((moved, seconds, servers.cpu_seconds() - cpu))
    finally:
        source.remove()
        Cluster(folder).stop("immediate")
        shutil.rmtree(folder)
    return [
        {
            "way": way,
            "rows": turns[0][0],
            "seconds": round(statistics.median(seconds for _, seconds, _ in turns), 2),
            "rows_per_second": round(statistics.median(moved / seconds for moved, seconds, _ in turns)),
            "cpu_us_per_row": round(statistics.median(cpu / moved * 1e6 for moved, _, cpu in turns), 1),
        }
        for way, turns in taken.items()
    ]


def main() -> None:
    """Print the table."""
    for result in run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS):
        print(" | ".join(f"{name} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
