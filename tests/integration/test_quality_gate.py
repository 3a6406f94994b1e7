"""Each gate stops what it must stop, and says so without the data's values."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from conftest import Warehouse
from retention.quality.gate import run_gate
from retention.quality.verdict import GateFailed
from retention.sources.contract import create_raw_tables, load_contract

SUITES = Path(__file__).resolve().parents[2] / "expectations"
AT = "2026-02-01 10:00+00"
PLANTED_PHONE = "79161234567"


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[Connection]:
    """A warehouse with raw tables and an open batch 1, as role etl."""
    connection = warehouse.connect()
    create_raw_tables(connection)
    with connection, connection.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-05', 'r', 'open')"
        )
        cur.execute("insert into ops.current_run (batch_id, as_of) values (1, '2026-02-05')")
    yield connection
    connection.close()


def add_load(conn: Connection, load_id: int, table: str, live_keys: int, batch_id: int = 1) -> None:
    """Book a committed load."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.loads (load_id, batch_id, table_name, is_forced, rows_read, rows_appended, keys_new,"
            " keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)"
            " values (%s, %s, %s, true, 1, 1, 1, 0, 0, %s, 'h', 'test', 0)",
            (load_id, batch_id, table, live_keys),
        )


def add_contacts(conn: Connection, load_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Contacts of a load; each row says how it differs from a good one."""
    good = {"channel": "call", "direction": "inbound", "initiator": "customer", "msisdn": "79990000001",
            "started_at": AT, "recorded_at": AT, "updated_at": AT, "_load_id": load_id}  # fmt: skip
    with conn, conn.cursor() as cur:
        for row in rows:
            full = good | row
            cur.execute(
                f"insert into raw.helpdesk__contacts ({', '.join(full)}) values ({', '.join(['%s'] * len(full))})",
                list(full.values()),
            )


def booked(conn: Connection) -> list[tuple[Any, ...]]:
    """Failed checks of the books."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select gate, table_name, check_name, severity, rows_examined, rows_failed, failing_keys from ops.checks"
            " where not is_passed order by check_id"
        )
        return cur.fetchall()


def test_good_rows_pass_and_every_check_is_booked_once(warehouse: Warehouse, conn: Connection) -> None:
    add_contacts(conn, 1, [{"contact_id": f"c{i}"} for i in range(3)])
    add_load(conn, 1, "helpdesk.contacts", 3)
    for _ in range(2):
        verdict = run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw")
    assert verdict.critical_failures == ()
    assert verdict.warnings == ()
    with conn, conn.cursor() as cur:
        cur.execute("select count(*), count(distinct table_name), min(rows_examined) from ops.checks")
        assert cur.fetchone() == (len(verdict.checks), 1, 3)
    assert len(verdict.checks) > 10


def test_raw_critical_stops_and_names_check_rows_and_keys_but_no_value(
    warehouse: Warehouse, conn: Connection, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    rows = [{"contact_id": f"c{i}", "msisdn": PLANTED_PHONE} for i in range(4)]
    # The planted number stands where a code belongs, so the failing value itself is personal.
    rows[1]["channel"] = rows[3]["channel"] = PLANTED_PHONE
    add_contacts(conn, 1, rows)
    add_load(conn, 1, "helpdesk.contacts", 4)
    with pytest.raises(GateFailed) as failure:
        run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw")
    message = str(failure.value)
    assert "gate raw: 1 critical of" in message
    assert "helpdesk.contacts: expect_column_values_to_be_in_set(channel) failed for 2 of 4 rows" in message
    assert "Keys (contact_id): c1; c3" in message
    assert "Nothing was published; marts have never been published" in message
    assert "docs/runbooks/checks.md" in message
    (row,) = booked(conn)
    assert row[:6] == ("raw", "helpdesk.contacts", "expect_column_values_to_be_in_set(channel)", "critical", 4, 2)
    assert row[6] == [{"contact_id": "c1"}, {"contact_id": "c3"}]
    with conn, conn.cursor() as cur:
        cur.execute("select string_agg(checks::text, '|') from ops.checks")
        (everything,) = cur.fetchone() or ("",)
    out = capfd.readouterr()
    for text in (message, repr(failure.value), str(everything), caplog.text, out.out, out.err):
        assert PLANTED_PHONE not in text


def test_raw_warning_is_booked_and_stops_nothing(
    warehouse: Warehouse, conn: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    add_contacts(conn, 1, [{"contact_id": "c0"}, {"contact_id": "c1", "msisdn": f"call {PLANTED_PHONE}"}])
    add_load(conn, 1, "helpdesk.contacts", 2)
    verdict = run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw")
    (warning,) = verdict.warnings
    assert (warning.name, warning.rows_failed) == ("expect_column_values_to_match_regex(msisdn)", 1)
    assert warning.failing_keys == ({"contact_id": "c1"},)
    assert "expect_column_values_to_match_regex(msisdn)" in caplog.text
    assert PLANTED_PHONE not in caplog.text
    assert [row[3] for row in booked(conn)] == ["warning"]


def test_only_tonights_rows_are_judged_and_a_corrected_row_is_forgiven(warehouse: Warehouse, conn: Connection) -> None:
    bad, good = {"contact_id": "c1", "channel": "pigeon"}, {"contact_id": "c1"}
    add_contacts(conn, 1, [bad, {"contact_id": "old", "channel": "pigeon"}])
    add_load(conn, 1, "helpdesk.contacts", 2)
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-04', 'p', 'open')"
        )
        cur.execute("insert into ops.load_consumption values (1, 2)")
    add_contacts(conn, 2, [bad])
    add_load(conn, 2, "helpdesk.contacts", 2)
    with pytest.raises(GateFailed, match="1 of 1 rows"):
        run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw")
    add_contacts(conn, 3, [good])
    add_load(conn, 3, "helpdesk.contacts", 2)
    assert run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw").critical_failures == ()


def test_a_supplied_table_that_is_empty_stops_and_one_not_supplied_does_not(
    warehouse: Warehouse, conn: Connection
) -> None:
    add_load(conn, 1, "helpdesk.contacts", 0)
    run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw", tables=["crm.parties"])
    with pytest.raises(GateFailed, match=r"minimum_live_rows failed \(0 live rows after the load, at least 1"):
        run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw", tables=["helpdesk.contacts"])


def test_the_message_says_what_is_still_served(warehouse: Warehouse, conn: Connection) -> None:
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-04', 'p', 'published')"
        )
        cur.execute("update ops.slots set state = 'live', batch_id = 2 where slot = 'marts_a'")
    add_load(conn, 1, "helpdesk.contacts", 0)
    with pytest.raises(GateFailed, match="marts still serve batch 2 of 2026-02-04 00:00 UTC"):
        run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw")


MART_SUITE = """
name: fct_small
meta: {key: [small_id, part]}
expectations:
  - type: expect_compound_columns_to_be_unique
    kwargs: {column_list: [small_id, part]}
    severity: critical
  - type: expect_column_values_to_be_between
    kwargs: {column: share, min_value: 0, max_value: 1}
    severity: critical
"""


@pytest.fixture
def mart(conn: Connection, tmp_path: Path) -> Path:
    """A mart in the slot marts_b and the folder of its suite."""
    (tmp_path / "marts").mkdir()
    (tmp_path / "marts" / "fct_small.yml").write_text(MART_SUITE)
    with conn, conn.cursor() as cur:
        cur.execute("create table marts_b.fct_small (small_id text, part integer, share numeric)")
        cur.execute("insert into marts_b.fct_small values ('s1', 1, 0.5), ('s2', 1, 0.1)")
    return tmp_path


def test_marts_critical_stops_with_keys(warehouse: Warehouse, conn: Connection, mart: Path) -> None:
    assert run_gate(warehouse.dsn(), "marts", 1, mart, "marts_b").critical_failures == ()
    with conn, conn.cursor() as cur:
        cur.execute("insert into marts_b.fct_small values ('s1', 1, 0.5), ('s3', 2, 1.5)")
    with pytest.raises(GateFailed) as failure:
        run_gate(warehouse.dsn(), "marts", 1, mart, "marts_b")
    message = str(failure.value)
    assert (
        "expect_compound_columns_to_be_unique(small_id, part) failed for 2 of 4 rows. Keys (small_id, part): s1 1"
        in message
    )
    assert "expect_column_values_to_be_between(share) failed for 1 of 4 rows" in message
    assert "s3 2" in message
    assert "1.5" not in message
    assert {row[0] for row in booked(conn)} == {"marts"}


def test_a_mart_that_was_not_built_stops(warehouse: Warehouse, conn: Connection, mart: Path) -> None:
    with pytest.raises(GateFailed, match=r"fct_small: is_built failed \(the table is not in marts_a"):
        run_gate(warehouse.dsn(), "marts", 1, mart, "marts_a")


def test_a_check_that_cannot_be_run_has_failed_and_its_error_shows_no_value(
    warehouse: Warehouse, conn: Connection, mart: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with conn, conn.cursor() as cur:
        cur.execute("drop table marts_b.fct_small")
        cur.execute(
            "create view marts_b.fct_small as select '79161234567'::text as small_id, 1 as part,"
            " (select t::numeric from (values ('phone 79161234567')) as v(t)) as share"
        )
    with pytest.raises(GateFailed, match="the check could not be run: InvalidTextRepresentation") as failure:
        run_gate(warehouse.dsn(), "marts", 1, mart, "marts_b")
    with conn, conn.cursor() as cur:
        cur.execute("select string_agg(checks::text, '|') from ops.checks")
        (everything,) = cur.fetchone() or ("",)
    for text in (str(failure.value), caplog.text, str(everything)):
        assert "phone" not in text


def test_every_raw_suite_can_be_run_on_its_table(warehouse: Warehouse, conn: Connection) -> None:
    for load_id, table in enumerate(load_contract().tables, start=1):
        add_load(conn, load_id, table, 0)
    verdict = run_gate(warehouse.dsn(), "raw", 1, SUITES, "raw", tables=[])
    assert [str(check) for check in verdict.checks if not check.is_passed] == []
    assert {check.table for check in verdict.checks} == set(load_contract().tables)
    assert {check.rows_examined for check in verdict.checks} == {0}
