"""kill -9 in each stage of a night, then rerun: marts equal an undisturbed night's, readers saw nothing half done."""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from fault_kit import Reader

from conftest import Warehouse, create_warehouse
from harness import NightSpec, as_of_after, hashes, on_another_warehouse, scalar, simulate
from retention.local.postgres import Cluster
from retention.night import STEPS
from retention.simulator.run import forward

DAYS = 120
#: Seconds into each stage at which the process dies: while connecting, and while working.
DELAYS = (0.0, 0.4)
ACTIVE = "select count(*) from pg_stat_activity where datname = current_database() and application_name like %s"


def kill_within(spec: NightSpec, as_of: datetime, killed_before: str, step: str, delay: float, log: Path) -> None:
    """Continue the night where it was killed before, wait until `step` is at work, kill -9 `delay` seconds later."""
    process = spec.start_in_a_process(as_of, killed_before, log)
    give_up = time.monotonic() + 90
    while scalar(spec.etl_dsn, ACTIVE, f"retention {step}%") == 0:
        assert process.poll() is None, f"the night ended before {step} began:\\n{log.read_text()[-2000:]}"
        assert time.monotonic() < give_up, f"{step} never began"
        time.sleep(0.005)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, f"{step} had ended before the kill:\\n{log.read_text()[-2000:]}"


@pytest.mark.soak
def test_a_night_killed_in_every_stage_ends_as_if_undisturbed(
    cluster: Cluster, role_passwords: dict[str, str], tmp_path: Path
) -> None:
    undisturbed = simulate(create_warehouse(cluster, role_passwords), tmp_path / "operator", 400, DAYS, seed=5)
    other = create_warehouse(cluster, role_passwords)
    disturbed = on_another_warehouse(undisturbed, other, tmp_path / "disturbed")
    for spec in (undisturbed, disturbed):
        spec.night("night 1").run(as_of_after(DAYS))
    forward(undisturbed.sources["crm"], undisturbed.sources["helpdesk"], tmp_path / "operator")
    undisturbed.night("night 2").run(as_of_after(DAYS + 1))

    log = tmp_path / "killed.log"
    killed_before = STEPS[0]
    with Reader(other.dsn("bi_reader")) as reader:
        for step in STEPS:
            for delay in DELAYS if step in ("extract", "transform", "build_marts") else DELAYS[:1]:
                kill_within(disturbed, as_of_after(DAYS + 1), killed_before, step, delay, log)
                killed_before = step
        last = disturbed.start_in_a_process(as_of_after(DAYS + 1), STEPS[-1], log)
        assert last.wait(120) == 0, log.read_text()[-2000:]

    for layer in ("staging", "intermediate", "outcomes", "marts"):
        assert hashes(disturbed.etl_dsn, layer) == hashes(undisturbed.etl_dsn, layer)
    assert reader.failure is None
    assert reader.polls > 50
    assert reader.seen == {frozenset({1}), frozenset({2})}
    assert scalar(disturbed.etl_dsn, "select count(*) from ops.publications") == 2
    assert scalar(disturbed.etl_dsn, "select count(*) from ops.lease_holds") == 0


def test_what_a_killed_process_leaves_in_the_server_ends_soon(warehouse: Warehouse) -> None:
    """A long statement of a task that is no more holds locks that the task's next try needs."""
    script = "import sys, psycopg2; psycopg2.connect(sys.argv[1]).cursor().execute('select pg_sleep(600)')"
    process = subprocess.Popen([sys.executable, "-c", script, warehouse.dsn("etl")])
    at_work = "select count(*) from pg_stat_activity where datname = current_database() and query like '%%sleep(600)'"
    wait_for(warehouse, at_work, 1)
    process.kill()
    process.wait()
    wait_for(warehouse, at_work, 0)


def wait_for(warehouse: Warehouse, query: str, wanted: int) -> None:
    """Ask until the answer is the wanted one."""
    give_up = time.monotonic() + 60
    while scalar(warehouse.dsn("postgres"), query) != wanted:
        assert time.monotonic() < give_up, f"{query} is not {wanted}"
        time.sleep(0.1)
