"""Who is told what under a real scheduler: a good night, one that is late and fails, and a backfill of both. Long."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from test_alerts import SECRET, Receiver
from test_local_airflow import command, retention, rows

from retention.local import settings, setup
from retention.local.home import Home

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]
NO_CRM = "postgres://nobody:planted-source-secret@127.0.0.1:1/crm"
SECRETS = ("planted-source-secret", SECRET)
PHONE = re.compile(r"\+?7\d{10}")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(PROJECT, tmp_path_factory.mktemp("watched") / "home")
    assert retention(home, "simulate", "--subscribers", "200", "--days", "40").returncode == 0
    yield home
    setup.down(home)


def wait_until(what: Callable[[], bool], run: "subprocess.Popen[str] | None" = None, seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        assert run is None or run.poll() is None, run.communicate()[0]
        time.sleep(0.05)


def airflow(home: Home, query: str) -> list[tuple[object, ...]]:
    """Rows of a statement in Airflow's metadata."""
    with closing(psycopg2.connect(home.cluster.dsn("airflow"))) as conn, conn, conn.cursor() as cur:
        cur.execute(query)
        return list(cur.fetchall())


def test_nobody_is_told_of_a_good_night(home: Home, receiver: Receiver) -> None:
    done = retention(home, "run", RETENTION_ALERT_URL=receiver.url)
    assert done.returncode == 0, done.stdout
    assert receiver.told == []
    assert rows(home, "select count(*) from ops.alerts") == [(0,)]


def test_a_late_night_and_its_failure_are_told_and_that_it_came_through(home: Home, receiver: Receiver) -> None:
    """One source refuses, the other hangs; the night is late while it hangs, fails, and goes on when both are back."""
    told = {"RETENTION_ALERT_URL": receiver.url, "RETENTION_NIGHT_DEADLINE_MINUTES": "90"}
    with closing(psycopg2.connect(settings.dsn(home, "helpdesk", "postgres"))) as conn, conn.cursor() as cur:
        run = command(home, "run", AIRFLOW_CONN_CRM=NO_CRM, **told)
        wait_until(lambda: rows(home, "select count(*) from ops.batches") == [(2,)], run)
        cur.execute("lock table agents in access exclusive mode")
        hanging = "select 1 from ops.lease_holds where step = 'extract helpdesk.agents'"
        wait_until(lambda: rows(home, hanging) != [], run)
        due = (
            "select round(extract(epoch from deadline_time - queued_at)) from deadline"
            " join dag_run on dagrun_id = dag_run.id"
        )
        assert airflow(home, due) == [(90 * 60,)]
        airflow(home, "update deadline set deadline_time = now() returning 1")
        wait_until(lambda: len(receiver.told) == 1, run)
        conn.rollback()
    output, _ = run.communicate(timeout=400)
    assert run.returncode == 1, output
    late, failed = receiver.told
    assert "is not published 90 minutes after it was queued" in late["message"]
    assert late["title"] == "Night of 2025-02-11 02:00 Moscow is late"
    assert "It is in extract helpdesk.agents" in late["message"]
    assert "Runbook: docs/runbooks/late.md" in late["message"]
    assert failed["title"].startswith("Night of 2025-02-11 02:00 Moscow failed in extract crm.")
    told_reason = r"\n  extract (crm\.\w+): ExtractError: \1: connecting to the source crm failed"
    assert re.search(told_reason, failed["message"])
    assert "BI shows the night of 2025-02-10 02:00 Moscow." in failed["message"]
    assert "clear the failed tasks of nightly__2025-02-11 in Airflow" in failed["message"]
    assert "Runbook: docs/runbooks/failed.md" in failed["message"]

    done = retention(home, "run", **told | {"RETENTION_NIGHT_DEADLINE_MINUTES": "240"})
    assert done.returncode == 0, done.stdout
    assert [message["title"] for message in receiver.told[2:]] == ["Night of 2025-02-11 02:00 Moscow is published"]
    assert rows(home, "select kind, batch_id, channel, delivered_at is not null, error from ops.alerts order by 1") == [
        (kind, 2, "JSON", True, None) for kind in ("failed", "late", "recovered")
    ]


def test_no_alert_log_or_book_repeats_a_secret_or_a_phone(home: Home, receiver: Receiver) -> None:
    texts = {f"message {number}": json.dumps(body) for number, body in enumerate(receiver.told)}
    texts |= {"ops": str(rows(home, "select a.message, a.error, f from ops.alerts a left join ops.failures f on true"))}
    assert [name for name, text in texts.items() if PHONE.search(text)] == []
    logs = [*(home.airflow / "logs").rglob("*.log"), *home.logs.glob("*.log")]
    assert len(logs) > 20
    texts |= {str(log): log.read_text(errors="replace") for log in logs}
    assert [name for name, text in texts.items() for secret in SECRETS if secret in text] == []


def test_a_backfill_rebuilds_past_nights_and_loads_and_publishes_nothing(home: Home, receiver: Receiver) -> None:
    books = "select (select count(*) from ops.loads), (select count(*) from ops.publications), count(*) from ops.steps"
    before = rows(home, books)
    up = retention(home, "up", RETENTION_ALERT_URL=receiver.url)
    assert up.returncode == 0, up.stdout
    # By the beginnings of the nights' intervals; the first of the three was never run.
    words = "backfill create --dag-id nightly --from-date 2025-02-08T02:00+03:00 --to-date 2025-02-10T02:00+03:00"
    made = subprocess.run(
        [sys.executable, "-m", "airflow", *words.split(), "--reprocess-behavior", "completed"],
        env=settings.environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr

    wait_until(lambda: airflow(home, "select count(*) from dag_run where state not in ('success', 'failed')") == [(0,)])
    assert airflow(home, "select run_type, state from dag_run") == [("backfill", "success")] * 3
    rebuilt = "select state, count(*) from task_instance where task_id = 'rebuild' group by state order by state"
    assert airflow(home, rebuilt) == [("skipped", 1), ("success", 2)]
    idle = "select count(*) from task_instance where state = 'success' and task_id not in ('rebuild', 'alert')"
    assert airflow(home, idle) == [(0,)]
    assert rows(home, "select batch_id, marts_differing, is_same_code, is_same_seeds from ops.rebuilds order by 1") == [
        (1, [], True, True), (2, [], True, True),
    ]  # fmt: skip
    assert rows(home, "select min(marts_compared) > 5 from ops.rebuilds") == [(True,)]
    assert rows(home, books) == before
    assert len(receiver.told) == 3
    assert retention(home, "down").returncode == 0
