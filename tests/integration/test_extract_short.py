"""A ten-minute run's load: what was written since, and nothing else; the next night counts it as its own."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from extract_kit import Bench, make_bench

from retention.extract import LoadResult, VolumeError, extract_table
from retention.extract.errors import NothingNewError, WaitsForNightError
from retention.local.postgres import Cluster
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse

TABLE = "helpdesk.tickets"
PROFILE = f"zone: Europe/Moscow\ntables:\n  {TABLE}: {{connection: db, table: tickets}}\n"


@pytest.fixture(scope="module")
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = make_bench(cluster, shared_warehouse, tmp_path_factory.mktemp("short"))
    bench.open_source("create table tickets (ticket_id text, opened_at timestamptz, updated_at timestamptz)")
    yield bench


def execute(bench: Bench, statement: str) -> None:
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        cur.execute(statement)


def write(bench: Bench, day: int, rows: int, hour: int = 12) -> None:
    bench.open_source(
        f"insert into tickets select '{day}-{hour}-' || n, ts, ts from generate_series(1, {rows}) n,"
        f" lateral (select timestamptz '2026-01-{day:02} {hour}:00Z' as ts) t"
    )


def night(bench: Bench) -> LoadResult:
    """A day passes after it."""
    result = bench.load(TABLE, PROFILE)
    execute(bench, "update ops.loads set snapshot_at = snapshot_at - interval '1 day'")
    return result


def short(bench: Bench, profile: str = PROFILE, table: str = TABLE) -> LoadResult:
    path = bench.folder / "short.yml"
    path.write_text(profile)
    batch_id = bench.new_batch()
    execute(bench, f"update ops.batches set kind = 'escalations' where batch_id = {batch_id}")
    return extract_table(
        bench.warehouse.dsn(), table, load_profile(path), {"db": bench.source_dsn}, batch_id, bench.as_of,
        {"DROPS": str(bench.folder)}, is_short=True,
    )  # fmt: skip


def test_it_reads_what_was_written_since_and_sweeps_nothing(bench: Bench) -> None:
    write(bench, 1, 100)
    with pytest.raises(WaitsForNightError, match="is to be read whole, as the next night will"):
        short(bench)
    night(bench)
    write(bench, 2, 5)
    bench.open_source("delete from tickets where ticket_id = '1-12-1'")
    loaded = short(bench)
    assert (loaded.rows_appended, loaded.keys_deleted, loaded.source_keys, loaded.live_keys) == (5, 0, None, 105)
    # Nothing new: nothing is appended or booked; 144 empty loads a day and table would be.
    booked = bench.query("select count(*) from ops.loads")
    with pytest.raises(NothingNewError, match="nothing was written since"):
        short(bench)
    assert bench.query("select count(*) from ops.loads") == booked
    # The night counts, and finds what is gone.
    swept = night(bench)
    assert (swept.rows_appended, swept.keys_deleted, swept.source_keys, swept.live_keys) == (1, 1, 104, 104)


def test_a_source_that_shows_less_than_before_waits_for_the_night(bench: Bench) -> None:
    """A replica that lags would put old versions over newer ones."""
    write(bench, 2, 1, hour=14)
    assert short(bench).rows_appended == 1
    bench.open_source("delete from tickets where ticket_id = '2-14-1'")
    with pytest.raises(WaitsForNightError, match=r"the source's latest write is of .* the last load had seen one of"):
        short(bench)
    # Which asks a person.
    with pytest.raises(VolumeError, match="Is it a replica that lags"):
        night(bench)


def test_a_night_is_judged_with_what_came_by_day(bench: Bench) -> None:
    for day in (3, 4, 5, 6):
        write(bench, day, 300)
        night(bench)
    write(bench, 7, 280, hour=10)
    short(bench)
    write(bench, 7, 20)
    assert night(bench).rows_appended == 20
    # Planted: a day on which little came, by day or night.
    write(bench, 8, 20, hour=10)
    short(bench)
    write(bench, 8, 20)
    with pytest.raises(
        VolumeError, match="40 new or changed rows in the source, the last 6 such loads had a median of 300"
    ):
        night(bench)


def test_of_files_only_new_ones_are_a_load(bench: Bench) -> None:
    table = "web.public_reviews"
    profile = f'zone: Europe/Moscow\ntables:\n  {table}: {{files: "${{DROPS}}/*.csv"}}\n'
    with pytest.raises(NothingNewError, match="no new file"):
        short(bench, profile, table)
    (bench.folder / "a.csv").write_text("review_id,posted_at\nr1,2026-01-03\n")
    assert short(bench, profile, table).rows_appended == 1
    with pytest.raises(WaitsForNightError, match="no new file"):
        short(bench, profile, table)
    assert bench.query(f"select count(*) from ops.loads where table_name = '{table}'") == [(1,)]
