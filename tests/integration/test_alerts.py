"""What a person is told of a night, from real books, to a real receiver; nothing breaks or leaks without them."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from conftest import Warehouse
from retention import alerts, messenger, tasks
from retention.alerts import Books, Run
from retention.warehouse import batches
from retention.warehouse.lease import LeaseError, lease

AS_OF = datetime(2026, 2, 4, 23, tzinfo=UTC)
RUN = Run(AS_OF, "nightly__2026-02-05", ("check_raw",))
SECRET = "planted-alert-secret"


class Receiver:
    """A JSON webhook on loopback that answers with `status`; `told` are the bodies it got."""

    def __init__(self) -> None:
        self.status = 200
        self.told: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://somebody:{SECRET}@127.0.0.1:{self.server.server_port}/{SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def rows(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    conn = warehouse.connect("etl")
    with conn, conn.cursor() as cur:
        cur.execute(query)
        found = list(cur.fetchall())
    conn.close()
    return found


def open_failed_night(warehouse: Warehouse) -> int:
    """A published night before, and this one with a failed check."""
    conn = warehouse.connect("etl")
    before = batches.open_batch(conn, AS_OF - timedelta(days=1), "before").batch_id
    batch = batches.open_batch(conn, AS_OF, RUN.run_id).batch_id
    batches.book_failure(conn, batch, "check_raw", LeaseError("crm.parties: 3 keys are there twice"))
    with conn, conn.cursor() as cur:
        cur.execute("update ops.batches set state = 'published' where batch_id = %s", (before,))
    conn.close()
    publisher = warehouse.connect("publisher")
    with publisher, publisher.cursor() as cur:
        cur.execute("update ops.slots set state = 'live', batch_id = %s where slot = 'marts_a'", (before,))
    publisher.close()
    return batch


def test_a_failed_night_is_told_with_what_a_person_needs(warehouse: Warehouse, receiver: Receiver) -> None:
    batch = open_failed_night(warehouse)
    alert = alerts.compose_failed(RUN, alerts.read_books(warehouse.dsn(), AS_OF))
    assert alert.title == "Night of 2026-02-05 02:00 Moscow failed in check_raw"
    assert alert.message.splitlines() == [
        f"The night of 2026-02-05 02:00 Moscow failed (batch {batch}, run nightly__2026-02-05) and was not published.",
        "  check_raw: LeaseError: crm.parties: 3 keys are there twice",
        "Marts were not touched: BI shows the night of 2026-02-04 02:00 Moscow.",
        "Next: mend the cause, clear the failed tasks of nightly__2026-02-05 in Airflow (DAG nightly), or on one "
        "machine `retention run`: the night goes on where it stopped. `retention status` shows more.",
        "Runbook: docs/runbooks/failed.md",
    ]
    alerts.raise_alert(alert, warehouse.dsn(), receiver.url)
    told = [(told["type"], told["title"], told["message"]) for told in receiver.told]
    assert told == [("failure", alert.title, alert.message)]
    booked = "select kind, batch_id, message, channel, delivered_at is not null, error from ops.alerts"
    assert rows(warehouse, booked) == [("failed", batch, alert.message, "JSON", True, None)]


def test_recovery_is_told_once_and_only_after_an_alert(warehouse: Warehouse) -> None:
    open_failed_night(warehouse)
    run = Run(AS_OF, RUN.run_id)

    def books() -> Books:
        found = alerts.read_books(warehouse.dsn(), AS_OF)
        assert found is not None
        return found

    failed = alerts.compose_failed(RUN, books())
    rows(warehouse, "update ops.batches set state = 'published' where state = 'open' returning 1")
    assert alerts.compose_recovered(run, books()) is None
    alerts.raise_alert(failed, warehouse.dsn(), None)
    recovered = alerts.compose_recovered(run, books())
    assert recovered is not None
    assert recovered.message.startswith("Night of 2026-02-05 02:00 Moscow is published after all: BI shows ")
    alerts.raise_alert(recovered, warehouse.dsn(), None)
    assert alerts.compose_recovered(run, books()) is None


def test_without_a_receiver_an_alert_is_logged_and_booked(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    alert = alerts.compose_failed(RUN, alerts.read_books(warehouse.dsn(), AS_OF))
    assert "BI shows nothing yet" in alert.message
    assert "check_raw: it left no message" in alert.message
    alerts.raise_alert(alert, warehouse.dsn(), None)
    assert rows(warehouse, "select delivered_at, channel, error from ops.alerts") == [(None, None, None)]
    assert alert.message in caplog.messages
    assert "nobody was told: RETENTION_ALERT_URL is not set" in caplog.messages


@pytest.mark.parametrize("fault", ["refused", "no receiver", "no url"])
def test_what_cannot_be_delivered_is_seen_and_leaks_no_url(
    warehouse: Warehouse, receiver: Receiver, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url, error = receiver.url, "JSON: the receiver answered 500"
    if fault == "refused":
        receiver.status = 500
    elif fault == "no receiver":
        url, error = f"json://u:{SECRET}@127.0.0.1:1/{SECRET}", "JSON: no connection to the receiver"
    else:
        url, error = f"nothing://{SECRET}", "RETENTION_ALERT_URL holds what apprise does not read as a URL"
    alert = alerts.compose_late(RUN, alerts.read_books(warehouse.dsn(), AS_OF), 240)
    alerts.raise_alert(alert, warehouse.dsn(), url)
    assert rows(warehouse, "select delivered_at, error from ops.alerts") == [(None, error)]
    assert f"the alert was not delivered: {error}. See docs/runbooks/failed.md" in caplog.messages
    assert SECRET not in caplog.text
    assert SECRET not in str(rows(warehouse, "select a from ops.alerts a"))


def test_one_receiver_of_two_is_reached(receiver: Receiver) -> None:
    assert messenger.deliver(f"json://127.0.0.1:1/, {receiver.url}", "title", "message") == (
        "JSON, JSON",
        "JSON: no connection to the receiver",
    )
    assert len(receiver.told) == 1


def test_a_warehouse_that_is_down_is_told_of(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    down = f"postgresql://etl:{SECRET}@127.0.0.1:1/warehouse"
    books = alerts.read_books(down, AS_OF)
    assert books is None
    run = Run(AS_OF, RUN.run_id, ("open_batch",), {"open_batch": "OperationalError"})
    alerts.raise_alert(alerts.compose_failed(run, books), down, receiver.url)
    (told,) = receiver.told
    assert "\n  open_batch: OperationalError\n" in told["message"]
    assert "The warehouse does not answer: BI cannot read it either" in told["message"]
    assert "Next: start PostgreSQL" in told["message"]
    assert SECRET not in caplog.text + told["message"]
    assert "The warehouse does not answer" in alerts.compose_late(run, None, 240).message


def test_a_late_night_says_where_it_stands(warehouse: Warehouse) -> None:
    late = alerts.compose_late(RUN, alerts.read_books(warehouse.dsn(), AS_OF), 240)
    assert late.message.startswith(
        "The night of 2026-02-05 02:00 Moscow is not published 240 minutes after it was queued.\n"
        "It has not begun: no batch was opened for it.\n"
    )
    open_failed_night(warehouse)
    late = alerts.compose_late(RUN, alerts.read_books(warehouse.dsn(), AS_OF), 240)
    assert "\n  check_raw failed: LeaseError: crm.parties: 3 keys are there twice\n" in late.message
    with lease(warehouse.dsn(), "another night", "transform", 0):
        late = alerts.compose_late(RUN, alerts.read_books(warehouse.dsn(), AS_OF), 240)
    assert "\nThe warehouse is held by run another night (transform).\n" in late.message
    with lease(warehouse.dsn(), RUN.run_id, "extract crm.plans", 0):
        late = alerts.compose_late(RUN, alerts.read_books(warehouse.dsn(), AS_OF), 240)
    assert "\nIt is in extract crm.plans, since 20" in late.message
    assert late.message.endswith("Runbook: docs/runbooks/late.md")


def test_a_night_that_is_published_or_overtaken_is_not_late() -> None:
    assert Books(is_published=True).has_passed(AS_OF)
    assert Books(served=AS_OF + timedelta(days=1)).has_passed(AS_OF)
    assert not Books(served=AS_OF - timedelta(days=1)).has_passed(AS_OF)
    assert not Books().has_passed(AS_OF)


def test_failed_tasks_are_named_as_their_steps() -> None:
    states = {
        "extract_0": "success", "extract_1": "failed", "extract_7": "failed", "transform": "failed", "alert": "failed",
        "publish": "upstream_failed", "rebuild": None,
    }  # fmt: skip
    assert alerts.failed_steps(states, ["a.x", "b.y"]) == ("extract b.y", "extract_7", "transform")
    steps = tuple(f"extract t{number}" for number in range(8))
    many = alerts.compose_failed(Run(AS_OF, "r", steps), Books(served=AS_OF))
    assert "failed in extract t0, extract t1, extract t2 and 5 more" in many.title
    assert "\n  and 5 more: `retention status` lists them\n" in many.message


def test_a_backfill_that_fails_is_told_as_such() -> None:
    run = Run(AS_OF, "backfill__x", ("rebuild",), is_backfill=True)
    told = alerts.compose_failed(run, Books(4, True, {"rebuild": "RebuildError: batch 4 differs"}, AS_OF))
    assert told.title == "Night of 2026-02-05 02:00 Moscow cannot be rebuilt as it was published"
    assert "  rebuild: RebuildError: batch 4 differs" in told.message
    assert told.message.endswith("Runbook: docs/runbooks/backfill.md")


def test_a_failed_upkeep_is_told(warehouse: Warehouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(messenger.URL_VARIABLE, receiver.url)
    monkeypatch.setattr(tasks, "_warehouse", warehouse.dsn)
    context = {
        "run_id": "scheduled__2026-02-08", "data_interval_end": AS_OF, "ti": SimpleNamespace(task_id="forget_texts"),
        "exception": LeaseError("run nightly is at work"),
    }  # fmt: skip
    tasks.upkeep_failed(context)
    (told,) = receiver.told
    assert (told["type"], told["title"]) == ("failure", "Upkeep failed in forget_texts")
    assert told["message"].splitlines()[0] == (
        "Upkeep (scheduled__2026-02-08) failed in forget_texts: LeaseError: run nightly is at work"
    )
    assert rows(warehouse, "select kind, run_id, error from ops.alerts") == [("failed", "scheduled__2026-02-08", None)]
    tasks.upkeep_failed(context | {"exception": ValueError("79990000001"), "data_interval_end": None})
    assert "79990000001" not in receiver.told[1]["message"]


def test_a_late_run_without_an_interval_is_nobody_s_night(caplog: pytest.LogCaptureFixture) -> None:
    run = {"dag_run_id": "manual__1", "data_interval_end": None, "run_type": "manual"}
    with caplog.at_level(logging.WARNING):
        tasks.night_is_late({"dag_run": run})
    assert "run manual__1 has no data interval" in caplog.text


def test_a_ten_minute_run_that_fails_is_told_once_and_once_when_it_works_again(
    warehouse: Warehouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(messenger.URL_VARIABLE, receiver.url)
    monkeypatch.setattr(tasks, "_warehouse", lambda: warehouse.dsn("etl"))
    for minutes in (0, 10, 20):
        end = AS_OF + timedelta(minutes=minutes)
        context = {
            "run_id": f"scheduled__{minutes}", "data_interval_start": end - timedelta(minutes=10),
            "data_interval_end": end, "ti": SimpleNamespace(task_id="run_escalations"),
            "exception": LeaseError("helpdesk.contacts: a column is gone"),
        }  # fmt: skip
        tasks.escalations_failed(context)
    assert [one["title"] for one in receiver.told] == ["Hand-over every ten minutes fails"]
    assert "a column is gone" in receiver.told[0]["message"]
    run = Run(AS_OF, "scheduled__30")
    recovered = alerts.compose_escalations_recovered(run, alerts.last_about(warehouse.dsn(), alerts.ESCALATIONS))
    assert recovered is not None
    alerts.raise_alert(recovered, warehouse.dsn(), receiver.url)
    assert alerts.compose_escalations_recovered(run, alerts.last_about(warehouse.dsn(), alerts.ESCALATIONS)) is None
    assert rows(warehouse, "select kind from ops.alerts where about = 'escalations' order by alert_id") == [
        ("failed",), ("recovered",),
    ]  # fmt: skip
    # A night of the same moment knows nothing of it.
    books = alerts.read_books(warehouse.dsn(), AS_OF)
    assert books is not None
    assert books.last_alert is None
    # It begins again: told again. Without the warehouse Airflow knows whether the run before failed.
    tasks.escalations_failed(context)
    assert len(receiver.told) == 3
    monkeypatch.setattr(tasks, "_warehouse", lambda: None)
    tasks.escalations_failed(context | {"prev_data_interval_end_success": AS_OF})
    assert len(receiver.told) == 3
    tasks.escalations_failed(context | {"prev_data_interval_end_success": context["data_interval_start"]})
    assert len(receiver.told) == 4
