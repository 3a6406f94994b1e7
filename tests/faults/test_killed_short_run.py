"""kill -9 of a ten-minute run while it builds and while it hands over: the next run ends as an undisturbed one."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
from fault_kit import NIGHT_1, NIGHT_3, Mould, Site, exit_code

from harness import SHORT_RUN, NightSpec, hashes, scalar
from retention.handover import live

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

FIRST, SECOND = NIGHT_1 + timedelta(minutes=10), NIGHT_3 + timedelta(minutes=10)
OUTBOX = (
    "select coalesce(string_agg(escalation_id || evidence_key || to_role || due_at, ' ' order by escalation_id), '')"
    " from ops.handovers"
)
BUILDING = (
    "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'dbt'"
    " and state = 'active' and query like '%%live_intermediate%%'"
)
HANDING_OVER = (
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    " and query like '%%retention hand over%%'"
)


@pytest.fixture(scope="module")
def site(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with mould.cast(tmp_path_factory.mktemp("site")) as running:
        yield running


def state(spec: NightSpec) -> object:
    tables = {name: content for name, content in hashes(spec.etl_dsn, *live.ROOMS).items() if "_touched" not in name}
    return tables, scalar(spec.etl_dsn, OUTBOX)


@pytest.mark.parametrize("at_work", [BUILDING, HANDING_OVER], ids=["while it builds", "while it hands over"])
def test_a_killed_run_is_gone_past_by_the_next(site: Site, tmp_path: Path, at_work: str) -> None:
    name = "built" if at_work == BUILDING else "handed"
    undisturbed, disturbed = (site.clone("night_1", f"{name}_{kind}") for kind in ("undisturbed", "disturbed"))
    for spec in (undisturbed, disturbed):
        spec.short_run().run(FIRST)
    undisturbed.short_run().run(SECOND)

    with closing(psycopg2.connect(disturbed.etl_dsn)) as blocker, blocker.cursor() as cur:
        if at_work == HANDING_OVER:
            cur.execute("select pg_advisory_xact_lock(hashtext('retention hand over'))")
        log = tmp_path / "killed.log"
        process = disturbed.start_in_a_process(SECOND - timedelta(minutes=10), SHORT_RUN, log)
        give_up = time.monotonic() + 300
        while scalar(disturbed.etl_dsn, at_work) == 0:
            assert process.poll() is None, f"it ended before:\n{log.read_text()[-2000:]}"
            assert time.monotonic() < give_up, "it never began"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        assert exit_code(process, 30) == -signal.SIGKILL
    assert (
        scalar(disturbed.etl_dsn, "select count(*) from ops.handovers where kind = 'escalations' and as_of > %s", FIRST)
        == 0
    )

    done = disturbed.short_run("after the kill").run(SECOND)
    assert done.handed is not None
    assert state(disturbed) == state(undisturbed)
    assert disturbed.short_run("once more").run(SECOND + timedelta(minutes=10)).handed == 0
