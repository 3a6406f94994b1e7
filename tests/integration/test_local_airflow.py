"""`retention run` under a real scheduler: two nights, kills in between, and nothing left running. Long."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from private_data import allowed_columns, personal_values, search_database, search_files
from retention.local import processes, settings, setup
from retention.local.home import Home

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(PROJECT, tmp_path_factory.mktemp("night") / "home")
    assert retention(home, "simulate", "--subscribers", "300", "--days", "50").returncode == 0
    yield home
    setup.down(home)


def command(home: Home, *words: str, **overrides: str) -> subprocess.Popen[str]:
    environment = os.environ | {"RETENTION_HOME": str(home.folder)} | overrides
    return subprocess.Popen(
        [sys.executable, "-m", "retention.cli", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def retention(home: Home, *words: str, **overrides: str) -> subprocess.CompletedProcess[str]:
    process = command(home, *words, **overrides)
    output, _ = process.communicate(timeout=900)
    return subprocess.CompletedProcess(words, process.returncode, output)


def rows(home: Home, query: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn.cursor() as cur:
        cur.execute(query)
        return list(cur.fetchall())


def of_this_home(home: Home) -> list[str]:
    """Commands of living processes that work for this home, PostgreSQL apart."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            environment = process.environ()
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        words = " ".join(process.info["cmdline"] or [])
        if environment.get("AIRFLOW_HOME") == str(home.airflow) and "postgres" not in words:
            found.append(words)
    return found


def wait_for_step(home: Home, night: subprocess.Popen[str], step: str) -> None:
    deadline = time.monotonic() + 400
    while not rows(home, f"select 1 from ops.steps where step = '{step}'"):
        assert time.monotonic() < deadline
        assert night.poll() is None, night.communicate()[0]
        time.sleep(0.2)


def test_a_night_killed_and_interrupted_goes_on_and_is_published(home: Home) -> None:
    night = command(home, "run")
    wait_for_step(home, night, "extract crm.plans")
    night.send_signal(signal.SIGKILL)
    night.wait()
    # Nobody stopped Airflow: the next start does.
    assert processes.alive(home)

    night = command(home, "run")
    wait_for_step(home, night, "read_texts")
    night.send_signal(signal.SIGTERM)
    output, _ = night.communicate(timeout=120)
    assert night.returncode == 130, output
    assert "the same command goes on from there" in output
    assert of_this_home(home) == []

    done = retention(home, "run")
    assert done.returncode == 0, done.stdout
    assert "continued:" in done.stdout
    assert "Complaint episodes" in done.stdout
    assert rows(home, "select state from ops.batches") == [("published",)]
    assert rows(home, "select max(count) from (select count(*) from ops.loads group by table_name) as loads") == [(1,)]
    assert of_this_home(home) == []


def test_the_next_night_is_a_day_later(home: Home) -> None:
    done = retention(home, "run")
    assert done.returncode == 0, done.stdout
    nights = rows(
        home, "select to_char(as_of at time zone 'Europe/Moscow', 'YYYY-MM-DD HH24') from ops.batches order by 1"
    )
    assert nights == [("2025-02-20 02",), ("2025-02-21 02",)]
    assert of_this_home(home) == []
    rolled = retention(home, "rollback")
    assert rolled.returncode == 0, rolled.stdout
    assert "rolled back to batch 1" in rolled.stdout
    # A night that was withdrawn is run again, not skipped.
    again = retention(home, "run")
    assert again.returncode == 0, again.stdout
    assert rows(home, "select batch_id, action from ops.publications order by publication_id") == [
        (1, "publish"), (2, "publish"), (1, "rollback"), (2, "publish")
    ]  # fmt: skip
    assert rows(home, "select count(*) from ops.batches where state = 'published'") == [(2,)]


def test_a_failing_step_is_explained_and_marts_keep_serving(home: Home) -> None:
    published = rows(home, "select count(*) from ops.publications")
    failed = retention(home, "run", AIRFLOW_CONN_CRM="postgres://nobody:nothing@127.0.0.1:1/crm")
    assert failed.returncode == 1
    assert "extract failed and will be tried again: ExtractError: crm.plans: " in failed.stdout
    assert "stopped before publish" in failed.stdout
    assert "extract crm.plans: " in failed.stdout
    assert "Traceback" not in failed.stdout
    assert rows(home, "select count(*) from ops.publications") == published
    assert of_this_home(home) == []
    done = retention(home, "run")
    assert done.returncode == 0, done.stdout
    assert "continued:" in done.stdout


def test_up_serves_a_ui_with_a_login_on_loopback_and_down_leaves_nothing(home: Home) -> None:
    up = retention(home, "up")
    assert up.returncode == 0, up.stdout
    ui = setup.ui(home)
    assert ui.url in up.stdout
    assert ui.password in up.stdout
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for record in processes.alive(home).values()
        for process in record.members()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {ip for ip, _ in listening} == {"127.0.0.1"}
    assert retention(home, "down").returncode == 0
    assert of_this_home(home) == []
    assert not home.cluster.is_running()


def test_nothing_that_airflow_keeps_holds_personal_data_or_a_secret(home: Home, tmp_path: Path) -> None:
    """Of the nights above, failed ones too: logs, rendered templates, XCom, task instances, the files of the home."""
    home.cluster.start()
    try:
        sources = {name: home.cluster.dsn(name) for name in ("crm", "helpdesk")}
        values = personal_values(sources, home.drops)
        assert len(values) > 300
        secrets = {value for name, value in settings.read_env(home.env_file).items() if name in settings.SECRETS}
        secrets |= {home.cluster.password}
        # The cluster's data are the databases searched below; drops and the simulator's state are sources.
        apart = {home.cluster.data, home.simulator}
        holders = {home.env_file, home.airflow / "passwords.json", home.cluster.folder / "password"}
        assert list((home.airflow / "logs").rglob("attempt=*.log"))

        def is_allowed(path: Path) -> bool:
            return bool(apart & set(path.parents)) or path in holders

        for wanted in (values, secrets):
            assert search_files(wanted, [home.folder], is_allowed) == []
            assert search_database(wanted, home.cluster.dsn("airflow"), (), tmp_path / "airflow") == []
        allowed = allowed_columns(home.work / "dbt" / "marts_a" / "manifest.json")
        assert search_database(values, home.cluster.dsn("warehouse"), allowed, tmp_path / "warehouse") == []
        assert search_database(secrets, home.cluster.dsn("warehouse"), (), tmp_path / "warehouse") == []
        # The search finds what is there: a planted log line, and a planted rendered template.
        planted = home.airflow / "logs" / "planted.log"
        name = next(value for value in sorted(values) if len(value) > 15 and not value.isascii())
        planted.write_text(json.dumps({"event": f"failing row contains (1, {name})"}))
        with closing(psycopg2.connect(home.cluster.dsn("airflow"))) as conn, conn, conn.cursor() as cur:
            cur.execute("create table planted (rendered_fields json)")
            cur.execute("insert into planted values (%s)", (json.dumps({"table": name}),))
        assert [leak.place for leak in search_files(values, [home.airflow], lambda _: False)] == [str(planted)]
        found = search_database(values, home.cluster.dsn("airflow"), (), tmp_path / "airflow")
        assert [leak.place for leak in found] == ["public.planted.rendered_fields"]
    finally:
        home.cluster.stop()
