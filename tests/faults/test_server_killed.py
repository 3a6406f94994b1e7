"""kill -9 of PostgreSQL in mid-load, in mid-build, at each publish statement; run again, it is an undisturbed night."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import psycopg2
import pytest
from fault_kit import BUILDING, LAYERS, LOADING, NIGHT_2, Mould, Reader, Site, Strike, kill_server, run
from psycopg2.extensions import connection as Connection
from test_publish_crash import Killer, everything, prepare, switch

from conftest import create_warehouse
from harness import hashes
from publishing import Publisher
from retention.extract.errors import ExtractError
from retention.local.postgres import Cluster
from retention.transform import TransformError

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with mould.cast(tmp_path_factory.mktemp("killed")) as site:
        yield site


def test_killed_in_mid_load_and_in_mid_build(mould: Mould, site: Site) -> None:
    spec = site.clone("night_1", "killed")
    with Reader(site.warehouse("killed").dsn("bi_reader"), survives=True) as reader:
        for first, last, at_work, error, said in (
            ("extract", "extract", LOADING, ExtractError, r"^\w+\.\w+: .* failed: .*Nothing of this table was loaded"),
            ("extract", "transform", BUILDING.format("intermediate"), TransformError, r"^dbt run: "),
            ("transform", "build_marts", BUILDING.format("marts_b"), TransformError, r"^dbt run: "),
        ):  # fmt: skip
            with (
                pytest.raises(error, match=said),
                Strike(site.cluster, at_work, lambda: kill_server(site.cluster)),
            ):
                run(spec.night("night 2"), NIGHT_2, first, last)
            site.cluster.start()
        run(spec.night("night 2"), NIGHT_2, "build_marts")
    assert hashes(spec.etl_dsn, *LAYERS) == mould.hashes[1]
    assert reader.failure is None
    assert reader.seen == {frozenset({1}), frozenset({2})}


class BackendKiller(Killer):
    """kill -9 of the server's process that serves the connection: PostgreSQL then ends all others and recovers."""

    def step(self, conn: Connection) -> None:
        """Count, and strike."""
        self.steps += 1
        if self.steps == self.kill_at:
            os.kill(conn.info.backend_pid, signal.SIGKILL)


def test_killed_at_each_publish_statement(site: Site) -> None:
    calm = Publisher.of(create_warehouse(site.cluster, site.passwords))
    batch_id = prepare(calm, switch)
    before = everything(calm)
    counter = Killer(calm.warehouse, None)
    switch(counter.connect(), batch_id)
    after = everything(calm)
    hit = Publisher.of(create_warehouse(site.cluster, site.passwords))
    assert prepare(hit, switch) == batch_id
    for kill_at in range(1, counter.steps + 1):
        killer = BackendKiller(hit.warehouse, kill_at)
        conn = killer.connect()
        with suppress(psycopg2.Error):
            switch(conn, batch_id)
        assert killer.steps == kill_at, "the kill was survived"
        wait_until_recovered(site.cluster, conn.info.backend_pid)
        assert everything(hit) == before, f"something was left half done by a kill before statement {kill_at}"
    switch(hit.warehouse.connect("publisher"), batch_id)
    # Committed is committed, whatever becomes of the server.
    kill_server(site.cluster)
    site.cluster.start()
    assert everything(hit) == after


def wait_until_recovered(cluster: Cluster, killed: int) -> None:
    """PostgreSQL answers again after one of its processes was killed."""
    deadline = time.monotonic() + 30
    while psutil.pid_exists(killed) or not cluster.is_running():
        assert time.monotonic() < deadline, "PostgreSQL does not recover"
        time.sleep(0.02)
