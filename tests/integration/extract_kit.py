"""What the extraction tests share: a source database, a profile for it, a batch."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import connection as Connection

from retention.extract import LoadResult, extract_table
from retention.extract.load import Progress
from retention.local.postgres import Cluster
from retention.sources.contract import create_raw_tables
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse

#: A Tuesday, 02:00 in Moscow.
FIRST_NIGHT = datetime(2026, 1, 5, 23, tzinfo=UTC)


@dataclass
class Bench:
    """A warehouse, one source database `db`, and the nights between them."""

    warehouse: "Warehouse"
    source_dsn: str
    folder: Path
    nights: int = 0

    @property
    def as_of(self) -> datetime:
        """End of the data interval of the night under way."""
        return FIRST_NIGHT + timedelta(days=self.nights - 1)

    def open_source(self, statements: str) -> None:
        """Run statements on the source, committed."""
        conn = psycopg2.connect(self.source_dsn)
        with conn, conn.cursor() as cur:
            cur.execute(statements)
        conn.close()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the warehouse."""
        conn: Connection = self.warehouse.connect()
        with conn, conn.cursor() as cur:
            cur.execute(statement)
            rows = cur.fetchall()
        conn.close()
        return rows

    def new_batch(self) -> int:
        """The next night's batch."""
        self.nights += 1
        conn = self.warehouse.connect()
        with conn, conn.cursor() as cur:
            cur.execute(
                "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', %s, 'r', 'open')"
                " returning batch_id",
                (self.as_of,),
            )
            (batch_id,) = cur.fetchone() or (0,)
        conn.close()
        return int(batch_id)

    def load(
        self, table: str, profile: str, batch_id: int | None = None, force: bool = False,
        connections: Mapping[str, str] | None = None, on_progress: Progress | None = None,
    ) -> LoadResult:  # fmt: skip
        """Load a table with a profile given as YAML text; a new night unless `batch_id` is given."""
        path = self.folder / "profile.yml"
        path.write_text(profile)
        return extract_table(
            self.warehouse.dsn(),
            table,
            load_profile(path),
            {"db": self.source_dsn} if connections is None else connections,
            batch_id or self.new_batch(),
            self.as_of,
            {"DROPS": str(self.folder)},
            force,
            on_progress,
        )


def make_bench(cluster: Cluster, warehouse: "Warehouse", folder: Path) -> Bench:
    """A fresh warehouse with raw tables beside an empty source database."""
    conn = warehouse.connect()
    create_raw_tables(conn)
    conn.close()
    # The warehouse's name is unique in the cluster, so this one is too.
    name = f"source_of_{warehouse.database}"
    admin = psycopg2.connect(cluster.dsn("postgres"))
    admin.autocommit = True
    with admin.cursor() as cur:
        cur.execute(f'create database "{name}"')
    admin.close()
    return Bench(warehouse, cluster.dsn(name), folder)


def memory_growth(bench: "Bench", profile: Path, warm_up: str) -> tuple[int, int]:
    """Load helpdesk.vendors in a process of its own, after `warm_up`: rows read, and growth of its peak memory in KB.

    VmHWM starts anew with the program; ru_maxrss begins with what the parent had.
    """
    script = f"""
import re
from datetime import UTC, datetime
from pathlib import Path
from retention.extract import extract_table
from retention.sources.profile import load_profile

def peak_kb():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

{warm_up}
profile = load_profile(Path({str(profile)!r}))
before = peak_kb()
result = extract_table({bench.warehouse.dsn()!r}, "helpdesk.vendors", profile, {{"db": {bench.source_dsn!r}}},
    {bench.new_batch()}, datetime(2026, 1, 6, tzinfo=UTC), {{}})
print(result.rows_read, peak_kb() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows, growth_kb = map(int, done.stdout.split())
    return rows, growth_kb
