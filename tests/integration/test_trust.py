"""What BI and the operator of the platform are told: trust_ views and `retention status`, on good and on bad nights."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from rich.console import Console

from conftest import Warehouse
from publishing import TWO_MARTS, Publisher
from retention import publish
from retention.local import settings, setup, status
from retention.local.console import Progress
from retention.local.home import Home
from retention.local.state import read_state
from retention.sources.contract import create_raw_tables
from retention.warehouse import batches
from retention.warehouse.late_rows import book_late_rows

PROJECT = Path(__file__).resolve().parents[2]
ONE = "select {n}::bigint as _batch_id, 1"
FAILURE = "ExtractError: crm.parties: the source refused the connection. Nothing of this table was loaded."


@pytest.fixture
def books(warehouse: Warehouse) -> Iterator[Publisher]:
    publisher = Publisher.of(warehouse)
    create_raw_tables(publisher.etl)
    yield publisher
    publisher.conn.close()
    publisher.etl.close()


def load(books: Publisher, batch_id: int, table: str, lag_hours: float | None, rows: int = 1) -> int:
    """A load of a night whose newest row is so many hours old at its end."""
    with books.etl, books.etl.cursor() as cur:
        cur.execute(
            "insert into ops.loads (batch_id, table_name, watermark_to, rows_read, rows_appended, keys_new,"
            " keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds) select batch_id, %s,"
            " as_of - %s * interval '1 hour', %s, %s, %s, 2, 0, 10, '', 'test', 1 from ops.batches where batch_id = %s"
            " returning load_id",
            (table, lag_hours, rows, rows, rows, batch_id),
        )
        (load_id,) = cur.fetchone() or (0,)
    return int(load_id)


def do(books: Publisher, statement: str, *parameters: object) -> None:
    with books.etl, books.etl.cursor() as cur:
        cur.execute(statement, parameters)


def test_a_failed_night_is_told_to_bi(books: Publisher) -> None:
    books.night(1)
    batch_id = books.open(2)
    do(
        books,
        "insert into ops.failures (batch_id, step, message) values (%s, 'extract crm.parties', %s)",
        batch_id,
        FAILURE + "\n- crm.parties: 1 rows fail, party_id P1",
    )
    do(books, "insert into ops.steps (batch_id, step, seconds) values (%s, 'extract crm.plans', 90)", batch_id)
    told = "select batch_id, state, is_live, steps_done, minutes::float, failed_steps, failure from marts.trust_nights"
    assert books.rows(f"{told} order by as_of desc") == [
        (2, "open", False, 1, 1.5, "extract crm.parties", FAILURE),
        (1, "published", True, 0, 0.0, None, None),
    ]


def test_a_table_is_late_when_it_did_not_come_or_is_older_than_usual(books: Publisher) -> None:
    tables = {
        "crm.parties": 2.0,
        "helpdesk.incidents": 900.0,
        "crm.plans": None,
        "crm.consents": 20.0,
        "crm.regions": None,
    }
    first = books.open(1)
    for table, lag in tables.items():
        load(books, first, table, lag)
    second = books.open(2)
    for table, lag in {**tables, "crm.parties": 30.0, "crm.consents": 25.0}.items():
        if table != "crm.regions":
            load(books, second, table, lag)
    reject = "insert into raw.rejects (load_id, table_name, reason, replayed_load_id) values (1, 'crm.plans', 'r', %s)"
    for replayed in (None, None, 2):
        do(books, reject, replayed)
    told = "select table_name, lag_hours::float, usual_lag_hours::float, rejects_open, is_loaded_tonight, is_late"
    assert books.rows(f"{told} from marts.trust_freshness order by 1") == [
        ("crm.consents", 25.0, 20.0, 0, True, False),
        ("crm.parties", 30.0, 2.0, 0, True, True),
        ("crm.plans", None, None, 2, True, False),
        ("crm.regions", None, None, 0, False, True),
        ("helpdesk.incidents", 900.0, 900.0, 0, True, False),
    ]


def test_checks_are_told_without_keys(books: Publisher) -> None:
    batch_id = books.open(1)
    do(
        books,
        "insert into ops.checks (batch_id, gate, table_name, check_name, severity, is_passed, rows_examined,"
        " rows_failed, failing_keys, message)"
        " values (%s, 'raw', 'crm.parties', 'unique(party_id)', 'critical', false, 9, 2,"
        """ '[{"party_id": "C1"}]', 'Keys: C1')""",
        batch_id,
    )
    assert "C1" not in str(books.rows("select to_jsonb(c) from marts.trust_checks as c"))
    told = (
        "select gate, table_name, check_name, severity, is_passed, is_quarantined, rows_failed from marts.trust_checks"
    )
    assert books.rows(told) == [("raw", "crm.parties", "unique(party_id)", "critical", False, False, 2)]


def test_rows_that_came_late_and_rows_about_the_past_are_booked(books: Publisher) -> None:
    """helpdesk.contacts has both clocks; a first load, an on-time row and a deletion count nothing. By month of what
    they tell, with what was merged: a subscription that has another holder, not one that is only written again. A
    version that says the same of the past, or a month of usage that goes on, is not about the past.
    """
    first = books.open(1)
    old = load(books, first, "helpdesk.contacts", 1)
    held = load(books, first, "crm.subscriptions", 1)
    tickets, usage = load(books, first, "helpdesk.tickets", 1), load(books, first, "crm.usage_months", 1)
    events = load(books, first, "helpdesk.ticket_events", 1)
    batches.set_current_run(books.etl, batches.get_batch(books.etl, first))
    batches.consume_loads(books.etl, first)
    assert book_late_rows(books.etl, first) == 0
    with batches.recorded_step(books.etl, first, "transform"):
        pass
    second = books.open(2)
    new, other = load(books, second, "helpdesk.contacts", 1, 4), load(books, second, "crm.consents", 1)
    rows = [
        (old, "u", "2020-01-01", "2020-01-01"),  # of the first night
        (new, "u", "2026-01-01 12:00Z", "2026-01-01 12:00Z"),
        (new, "u", "2025-12-30 00:00Z", "2026-01-01 12:00Z"),  # corrected today, about the past
        (new, "u", "2025-12-30 00:00Z", "2025-12-30 01:00Z"),  # written then, came today
        (new, "d", None, None),
    ]
    for number, (load_id, op, started_at, updated_at) in enumerate(rows):
        do(
            books,
            "insert into raw.helpdesk__contacts (contact_id, started_at, updated_at, _load_id, _op)"
            " values (%s, %s, %s, %s, %s)",
            f"c{number}", started_at, updated_at, load_id, op,
        )  # fmt: skip
    do(books, "insert into raw.crm__consents (consent_id, updated_at, _load_id) values ('k', '2020-01-01', %s)", other)
    holders = [(held, "s1", "p1"), (held, "s2", "p2")]
    moved = load(books, second, "crm.subscriptions", 1, 2)
    for load_id, subscription_id, party_id in [*holders, (moved, "s1", "p1"), (moved, "s2", "p1"), (moved, "s3", "p3")]:
        do(
            books,
            "insert into raw.crm__subscriptions (subscription_id, party_id, updated_at, _load_id, _op)"
            " values (%s, %s, '2026-01-01 12:00Z', %s, 'u')",
            subscription_id, party_id, load_id,
        )  # fmt: skip
    do(books, "create table intermediate.int_episodes (subscription_id text, started_at timestamptz)")
    do(
        books,
        "insert into intermediate.int_episodes values"
        " ('s2', '2025-07-05Z'), ('s2', '2026-01-02Z'), ('s1', '2025-06-05Z')",
    )
    written = load(books, second, "helpdesk.tickets", 1)
    for load_id, ticket_id, opened_at, state, topic, root in [
        (tickets, "t1", "2025-10-05Z", "open", "a", None),
        (tickets, "t2", "2025-09-05Z", "open", "a", None),
        (tickets, "t3", "2025-08-05Z", "open", "a", None),
        (written, "t1", "2025-10-05Z", "closed", "a", None),  # answered: its log tells when
        (written, "t2", "2025-09-05Z", "open", "b", None),  # about something else than was thought
        (written, "t3", "2025-08-05Z", "open", "a", "t1"),
    ]:
        do(
            books,
            "insert into raw.helpdesk__tickets (ticket_id, opened_at, status, topic_code, merged_into_ticket_id,"
            " updated_at, _load_id) values (%s, %s, %s, %s, %s, '2026-01-01 12:00Z', %s)",
            ticket_id, opened_at, state, topic, root, load_id,
        )  # fmt: skip
    logged = load(books, second, "helpdesk.ticket_events", 1, 2)
    for load_id, event_id, ticket_id, kind, value in [
        (events, "e0", "t2", "merge", "t1"), (logged, "e1", "t3", "merge", "t1"), (logged, "e2", "t2", "status", "t2"),
    ]:  # fmt: skip
        do(
            books,
            "insert into raw.helpdesk__ticket_events (ticket_event_id, ticket_id, kind, to_value, event_at,"
            " recorded_at, _load_id) values (%s, %s, %s, %s, '2026-01-01 12:00Z', '2026-01-01 12:00Z', %s)",
            event_id, ticket_id, kind, value, load_id,
        )  # fmt: skip
    used = load(books, second, "crm.usage_months", 1, 3)
    for load_id, month_on, revenue_at, roubles in [
        (usage, "2025-10-01", "2025-10-09Z", 1),
        (usage, "2025-11-01", "2025-11-09Z", 1),
        (used, "2025-10-01", "2025-10-09Z", 2),  # roubles alone
        (used, "2025-11-01", "2025-11-10Z", 1),
        (used, "2026-01-01", "2026-01-01 12:00Z", 1),  # goes on
    ]:
        do(
            books,
            "insert into raw.crm__usage_months (subscription_id, month_on, last_revenue_at, revenue_rub, updated_at,"
            " _load_id) values ('s1', %s, %s, %s, '2026-01-01 12:00Z', %s)",
            month_on, revenue_at, roubles, load_id,
        )  # fmt: skip
    batches.set_current_run(books.etl, batches.get_batch(books.etl, second))
    batches.consume_loads(books.etl, second)
    for _ in range(2):
        assert book_late_rows(books.etl, second) == 1
    assert books.rows("select * from ops.late_rows where rows_about_past > 0 order by table_name", "etl") == [
        (second, "helpdesk.contacts", 1, 2),
        (second, "helpdesk.tickets", 0, 3),
    ]
    told = "select table_name, what, month_on::text, rows from ops.past_changes where batch_id = %s order by 1, 2, 3"
    assert books.rows(told.replace("%s", str(second)), "etl") == [
        ("crm.subscriptions", "merge", "2025-07-01", 1),
        ("crm.usage_months", "about_past", "2025-11-01", 1),
        ("helpdesk.contacts", "about_past", "2025-12-01", 2),
        ("helpdesk.ticket_events", "merge", "2025-08-01", 1),
        ("helpdesk.ticket_events", "merge", "2025-10-01", 1),
        ("helpdesk.tickets", "about_past", "2025-09-01", 1),
        ("helpdesk.tickets", "merge", "2025-08-01", 1),
    ]


def test_a_restatement_says_what_changed_and_what_may_have_done_it(books: Publisher) -> None:
    books.night(1)
    second = books.checked(2, {"churn": f"{ONE} as days", "new": f"{ONE} as one"})
    load(books, second, "crm.parties", 1)
    do(books, "insert into ops.late_rows values (%s, 'crm.parties', 3, 4)", second)
    do(books, "update ops.batches set code_hash = 'new' where batch_id = %s", second)
    do(books, "insert into ops.erasures (party_hash, performed_by, found_after) values ('x', 'test', '{}')")
    publish.publish(books.conn, second)
    told = (
        "select mart, rows_before, rows_after, is_changed, is_later_night, is_rollback, is_code_changed,"
        " are_policies_changed, rows_late, late_tables, rows_about_past, keys_deleted, persons_erased"
        " from marts.trust_restatements where publication_id = %s order by mart"
    )
    why = (True, False, True, False, 3, "crm.parties 3", 4, 2, 1)
    assert books.rows(told.replace("%s", "2")) == [
        ("churn", 5, 1, True, *why), ("episodes", 9, None, True, *why), ("new", None, 1, True, *why)
    ]  # fmt: skip
    publish.rollback(books.conn)
    back = books.rows(
        "select mart, is_rollback, is_later_night from marts.trust_restatements where publication_id = 3 order by 1"
    )
    assert back == [("churn", True, False), ("episodes", True, False), ("new", True, False)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(PROJECT, tmp_path_factory.mktemp("home") / "home")
    setup.up_databases(home, Progress(Console(quiet=True)))
    yield home
    setup.down(home)


def shown(home: Home, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    status.show_status(home, console)
    return console.export_text()


def test_status_before_the_first_night(home: Home) -> None:
    text = shown(home, 80)
    assert "none was run yet: `retention run`" in text
    assert "lease     free" in text
    assert read_state(home).night is None


def test_status_of_a_night_that_failed_while_another_step_works(home: Home) -> None:
    dsn = settings.dsn(home, "warehouse", "etl")
    warehouse = Warehouse(
        home.cluster, "warehouse", {r: settings.password(home, r) for r in ("etl", "publisher", "bi_reader")}
    )
    books = Publisher.of(warehouse)
    books.night(1, TWO_MARTS)
    batch_id = books.open(2)
    for table, lag in (("crm.parties", 2.0), ("helpdesk.retention_actions", 400.0)):
        load(books, batch_id, table, lag, 12_345_678)
    do(
        books,
        "insert into ops.failures (batch_id, step, message) values (%s, 'extract crm.plans', %s)",
        batch_id,
        FAILURE,
    )
    do(
        books,
        "insert into ops.lease_holds (holder, step, process) values ('nightly__1', 'extract crm.usage_months', 'p')",
    )
    do(
        books,
        "insert into raw.rejects (load_id, table_name, reason, row_text) values (1, 'crm.parties', 'r', 'her words')",
    )
    books.conn.close()
    books.etl.close()
    for width in (80, 110):
        text = shown(home, width)
        tables = [line for line in text.splitlines() if "│" in line or "─" in line or line.startswith("  crm.")]
        assert tables
        assert max(map(len, tables)) <= width
        assert "stopped in extract crm.plans" in text
        assert FAILURE in text
        assert "BI reads    batch 1" in text
        assert "Not loaded" in text
        assert "extract crm.usage_months" in text
        assert "Rejects     1 rows" in text
        assert "her words" not in text
    told = json.loads(json.dumps(status.status_json(home), default=str))
    assert told["night"]["failed_steps"] == "extract crm.plans"
    assert {row["table"]: row["lag_hours"] for row in told["tables"]} == {
        "crm.parties": 2.0,
        "helpdesk.retention_actions": 400.0,
    }
    assert told["sizes"]["database_bytes"] > 1_000_000
    # A table that dbt makes anew is locked whole: the rest is told all the same.
    with closing(psycopg2.connect(dsn)) as conn, conn.cursor() as cur:
        cur.execute("lock table raw.crm__parties in access exclusive mode")
        assert "Sizes: a table is being made anew" in shown(home, 80)
        assert read_state(home).sizes is None


def test_status_for_machines_is_json(home: Home) -> None:
    command = [sys.executable, "-m", "retention.cli", "status", "--json"]
    done = subprocess.run(
        command, env=os.environ | {"RETENTION_HOME": str(home.folder)}, capture_output=True, check=True
    )
    assert set(json.loads(done.stdout)) == {
        "airflow", "night", "publication", "failures", "steps", "tables", "checks", "failed_checks", "slots", "at_work",
        "not_loaded", "sizes", "alerts",
    }  # fmt: skip
