"""What the tests of files share: one warehouse a module, emptied for each test, and a folder of drops."""

from pathlib import Path
from typing import TYPE_CHECKING

from extract_kit import Bench, make_bench

from retention.local.postgres import Cluster

if TYPE_CHECKING:
    from tests.conftest import Warehouse

PLAIN = """
zone: Europe/Moscow
tables:
  vendor.call_attempts: {files: "${DROPS}/calls/*.csv"}
"""
HEADER = "attempt_id,vendor_id,attempted_at,is_answered,connected_seconds,ignored\n"


def empty_bench(cluster: Cluster, warehouse: "Warehouse", folder: Path) -> Bench:
    """The module's warehouse without any rows, and an empty folder `calls`."""
    (folder / "calls").mkdir()
    conn = warehouse.connect("postgres")
    with conn, conn.cursor() as cur:
        cur.execute("select exists (select from pg_database where datname = %s)", (f"source_of_{warehouse.database}",))
        is_made = (cur.fetchone() or (False,))[0]
        if is_made:
            cur.execute(
                "truncate ops.batches, raw.rejects, raw.file_statements, raw.vendor__call_attempts,"
                " raw.web__public_reviews, raw.helpdesk__tickets, raw.crm__plans cascade"
            )
    conn.close()
    if not is_made:
        return make_bench(cluster, warehouse, folder)
    return Bench(warehouse, cluster.dsn(f"source_of_{warehouse.database}"), folder)


def drop(bench: Bench, name: str, content: str | bytes) -> Path:
    """Put a file into the folder `calls`."""
    path = bench.folder / "calls" / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def call(attempt: str, seconds: int | str = 1, at: str = "2026-01-05") -> str:
    """A line below HEADER."""
    return f"{attempt},v,{at},true,{seconds},x\n"


def seconds_by_attempt(bench: Bench) -> dict[str, int | None]:
    """What the latest version of each call says."""
    return dict(
        bench.query(
            "select distinct on (attempt_id) attempt_id, connected_seconds from raw.vendor__call_attempts"
            " order by attempt_id, _load_id desc"
        )
    )
