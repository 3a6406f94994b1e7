"""kill -9 of each task of the night under the real scheduler: Airflow's retries or `retention run` bring it to its end.

The first night is published already, so BI watches; the second is the one that is shot at.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import psutil
import psycopg2
import pytest
from fault_kit import LAYERS, NIGHT_2, Mould, Reader
from rich.console import Console

from harness import PROJECT, hashes, scalar
from retention.local import night, services, settings, setup
from retention.local.console import Progress
from retention.local.home import Home

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]

#: In the night's order, with whether Airflow tries it again by itself: a gate says no once, and a person looks.
TASKS = {
    "open_batch": True, "supplied_tables": True, "extract": True, "check_raw": False, "read_texts": True,
    "transform": True, "track_outcomes": True, "build_marts": True, "check_marts": False, "publish": True,
}  # fmt: skip
IN_STATE = "select count(*) from task_instance where task_id = %s and state = %s"


@pytest.fixture(scope="module")
def home(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation whose first night is that of the mould."""
    home = Home(PROJECT, tmp_path_factory.mktemp("tasks") / "home")
    home.create()
    home.folder.chmod(0o755)
    subprocess.run(["cp", "-a", str(mould.site.cluster.folder), str(home.folder / "pg")], check=True)
    shutil.copytree(mould.site.operator, home.simulator, dirs_exist_ok=True)
    home.cluster.start()
    try:
        with closing(psycopg2.connect(home.cluster.dsn("postgres"))) as conn:
            conn.autocommit = True
            with conn.cursor() as cur:
                for old, new in {**{v: k for k, v in mould.site.sources.items()}, "night_1": "warehouse"}.items():
                    cur.execute(f'alter database "{old}" rename to "{new}"')
        setup.up_databases(home, Progress(Console(file=(home.folder / "console").open("w"))))
        yield home
    finally:
        setup.down(home)


def wait_for(home: Home, seconds: float, what: str, look: Callable[[], object]) -> object:
    """Look until there is something to see; returns it."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not seen within {seconds:.0f} s\n{airflow_says(home)}"
        time.sleep(0.02)
    return found


def airflow_says(home: Home) -> str:
    """States of the night's tasks, for a failed test's message."""
    with closing(psycopg2.connect(home.cluster.dsn("airflow"))) as conn, conn.cursor() as cur:
        cur.execute("select task_id, map_index, state, try_number from task_instance order by task_id, map_index")
        return "\n".join(map(str, cur.fetchall()))


def process_of(home: Home, task: str) -> int | None:
    """The process that runs the task's code: of a step as the lease says, else as Airflow entitles it."""
    holder = scalar(
        settings.dsn(home, "warehouse", "etl"),
        "select process from ops.lease_holds where step = %s or step like %s",
        task, f"{task} %",
    )  # fmt: skip
    if holder is not None:
        return int(str(holder).rpartition(":")[2])
    if task not in ("open_batch", "supplied_tables"):
        return None
    instance = scalar(
        home.cluster.dsn("airflow"), "select id from task_instance where task_id = %s and state = 'running'", task
    )
    title = f"airflow worker -- {instance}"
    processes = psutil.process_iter(["cmdline"])
    return next((one.pid for one in processes if " ".join(one.info["cmdline"] or []).strip() == title), None)


def test_each_task_killed(mould: Mould, home: Home) -> None:
    metadata, warehouse = home.cluster.dsn("airflow"), settings.dsn(home, "warehouse", "etl")
    with Reader(settings.dsn(home, "warehouse", "bi_reader")) as reader:
        api = services.start(home, services.FOR_A_RUN)
        run_id = night.launch(home, api, NIGHT_2)
        for task, is_retried in TASKS.items():
            pid = wait_for(home, 200, f"{task} at work", partial(process_of, home, task))
            os.kill(int(str(pid)), signal.SIGKILL)
            state = "up_for_retry" if is_retried else "failed"
            wait_for(home, 60, f"{task} {state}", partial(scalar, metadata, IN_STATE, task, state))
            if is_retried:
                # The pause before a retry is not what is tested.
                with closing(psycopg2.connect(metadata)) as conn, conn, conn.cursor() as cur:
                    cur.execute(
                        "update task_instance set end_date = end_date - interval '1 hour' where state = 'up_for_retry'"
                    )
            else:
                # What `retention run` does with a night that failed.
                wait_for(home, 60, "the run's end", lambda: api.run_state(night.DAG_ID, run_id) == "failed")
                assert night.launch(home, api, NIGHT_2) == run_id
        wait_for(home, 200, "the night's end", lambda: api.run_state(night.DAG_ID, run_id) in ("success", "failed"))
        assert api.run_state(night.DAG_ID, run_id) == "success", airflow_says(home)
    assert hashes(warehouse, *LAYERS) == mould.hashes[1]
    assert reader.failure is None
    assert reader.seen == {frozenset({1}), frozenset({2})}
    loads = "select max(n) from (select count(*) as n from ops.loads where batch_id = 2 group by table_name) as loads"
    assert scalar(warehouse, loads) == 1
    assert scalar(warehouse, "select count(*) from ops.publications where batch_id = 2") == 1
    assert scalar(warehouse, "select count(*) from ops.lease_holds") == 0
    assert scalar(warehouse, "select count(*) from ops.failures") == 0
