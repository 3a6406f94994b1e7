"""A real ticket system (Rabobank's, 4,000 incidents) through the whole night, by a profile and no code."""

import csv
import gzip
from collections import Counter
from datetime import datetime
from pathlib import Path

import psycopg2
import pytest

from conftest import Warehouse
from harness import MOSCOW, NightSpec, prepare, scalar

# The last event is of 2014-04-02 14:04: what happens after as_of would wait for the next night.
AS_OF = datetime(2014, 4, 3, 2, tzinfo=MOSCOW)
PROFILE = Path(__file__).with_name("bpic14_rabobank.yml")


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def cases(real_data: Path) -> list[dict[str, str]]:
    return rows(real_data / "bpic14_rabobank" / "BPIC14_incident_case_attributes.csv.gz")


@pytest.fixture(scope="module")
def events(real_data: Path) -> list[dict[str, str]]:
    return rows(real_data / "bpic14_rabobank" / "BPIC14_incident_log.csv.gz")


@pytest.fixture(scope="module")
def published(shared_warehouse: Warehouse, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> NightSpec:
    """One published night of it."""
    work = tmp_path_factory.mktemp("bpic14")
    spec = prepare(shared_warehouse, work, {}, str(PROFILE), REAL_DATA_DIR=str(real_data))
    spec.night().run(AS_OF)
    return spec


def test_raw_holds_every_row_of_the_files(
    published: NightSpec, cases: list[dict[str, str]], events: list[dict[str, str]]
) -> None:
    assert scalar(published.etl_dsn, "select count(*) from raw.helpdesk__tickets") == len(cases) == 4_000
    assert scalar(published.etl_dsn, "select count(*) from raw.helpdesk__ticket_events") == len(events) == 39_911
    assert scalar(published.etl_dsn, "select count(*) from raw.rejects") == 0


def test_marts_count_events_reassignments_and_reopens_of_each_case_as_the_files_do(
    published: NightSpec, events: list[dict[str, str]]
) -> None:
    expected = {
        kind: Counter(event["incident_id"] for event in events if kind in ("", event["incident_activity_type"]))
        for kind in ("", "Reassignment", "Reopen")
    }
    conn = psycopg2.connect(published.etl_dsn)
    with conn.cursor() as cur:
        cur.execute("select ticket_id, event_count, reassignment_count, reopen_count from marts.fct_tickets")
        found = {ticket: counts for ticket, *counts in cur.fetchall()}
    conn.close()
    assert len(found) == 4_000
    tickets = set(found)
    assert found == {ticket: [expected[kind][ticket] for kind in ("", "Reassignment", "Reopen")] for ticket in tickets}
    assert sum(counts[0] for counts in found.values()) == 39_911


def test_the_figures_that_the_source_states(published: NightSpec, cases: list[dict[str, str]]) -> None:
    conn = psycopg2.connect(published.etl_dsn)
    with conn.cursor() as cur:
        cur.execute("select ticket_id, reassignment_count, reopen_count from marts.fct_tickets")
        found = {ticket: (reassignments, reopens) for ticket, reassignments, reopens in cur.fetchall()}
    conn.close()
    same = sum(found[case["incident_id"]][0] == int(case["x_reassignments"]) for case in cases)
    assert round(100 * same / len(cases), 2) == 97.25
    reopened = [case["incident_id"] for case in cases if case["reopen_time"]]
    assert len(reopened) == 183
    assert round(100 * len(reopened) / len(cases), 1) == 4.6
    assert round(100 * sum(found[ticket][1] > 0 for ticket in reopened) / len(reopened), 1) == 94.0


def test_without_a_crm_the_marts_about_subscribers_are_empty_and_published(published: NightSpec) -> None:
    assert scalar(published.etl_dsn, "select count(*) from marts.dim_subscription") == 0
    assert scalar(published.etl_dsn, "select count(*) from marts.complaint_to_churn") == 0
    assert scalar(published.etl_dsn, "select state from ops.batches") == "published"
    assert scalar(published.etl_dsn, "select count(*) from marts.fct_complaint_episodes where is_linked") == 0
    assert scalar(published.etl_dsn, "select count(*) from marts.fct_complaint_episodes") == 4_000
