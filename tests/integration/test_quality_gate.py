"""Each gate stops what it must stop, and says so without the data's values."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection
from quality_kit import Nights, nights

from conftest import Warehouse
from retention.quality.gate import run_gate
from retention.quality.verdict import GateFailed
from retention.sources.contract import load_contract

PLANTED_PHONE = "79161234567"
CONTACTS = "helpdesk.contacts"


@pytest.fixture
def gate(warehouse: Warehouse) -> Iterator[Nights]:
    """A warehouse with raw tables and an open batch 1, as role etl."""
    with nights(warehouse) as opened:
        yield opened


@pytest.fixture
def conn(gate: Nights) -> Connection:
    """Its connection."""
    return gate.conn


def test_good_rows_pass_and_every_check_is_booked_once(gate: Nights) -> None:
    gate.load(CONTACTS, [{"contact_id": f"c{i}"} for i in range(3)])
    for _ in range(2):
        verdict = gate.check()
    assert verdict.critical_failures == ()
    assert verdict.warnings == ()
    counts = gate.rows("select count(*), count(distinct table_name), min(rows_examined) from ops.checks")
    assert counts == [(len(verdict.checks), 1, 3)]
    assert len(verdict.checks) > 10


def test_raw_critical_stops_and_names_check_rows_and_keys_but_no_value(
    gate: Nights, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    # The planted number stands where a code belongs, so the failing value itself is personal.
    rows = [{"contact_id": f"c{i}", "msisdn": PLANTED_PHONE, "channel": PLANTED_PHONE} for i in range(3)]
    gate.load(CONTACTS, rows)
    with pytest.raises(GateFailed) as failure:
        gate.check()
    message = str(failure.value)
    assert "gate raw: 1 critical of" in message
    assert "helpdesk.contacts: expect_column_values_to_be_in_set(channel) failed for 3 of 3 rows" in message
    assert "Keys (contact_id): c0; c1; c2" in message
    assert "Nothing was published; marts have never been published" in message
    assert "docs/runbooks/checks.md" in message
    (row,) = gate.failed()
    assert row[:6] == (CONTACTS, "expect_column_values_to_be_in_set(channel)", "critical", False, 3, 3)
    assert row[6] == [{"contact_id": "c0"}, {"contact_id": "c1"}, {"contact_id": "c2"}]
    ((everything,),) = gate.rows("select string_agg(checks::text, '|') from ops.checks")
    out = capfd.readouterr()
    for text in (message, repr(failure.value), str(everything), caplog.text, out.out, out.err):
        assert PLANTED_PHONE not in text


def test_raw_warning_is_booked_and_stops_nothing(gate: Nights, caplog: pytest.LogCaptureFixture) -> None:
    gate.load(CONTACTS, [{"contact_id": "c0"}, {"contact_id": "c1", "msisdn": f"call {PLANTED_PHONE}"}])
    (warning,) = gate.check().warnings
    assert (warning.name, warning.rows_failed) == ("expect_column_values_to_match_regex(msisdn)", 1)
    assert warning.failing_keys == ({"contact_id": "c1"},)
    assert "expect_column_values_to_match_regex(msisdn)" in caplog.text
    assert PLANTED_PHONE not in caplog.text
    assert [row[2] for row in gate.failed()] == ["warning"]


def test_only_tonights_rows_are_judged_and_a_corrected_row_is_forgiven(gate: Nights) -> None:
    bad = [{"contact_id": f"c{i}", "channel": "pigeon"} for i in range(3)]
    gate.load(CONTACTS, [*bad, {"contact_id": "old", "channel": "pigeon"}])
    gate.open()
    gate.load(CONTACTS, bad)
    with pytest.raises(GateFailed, match="3 of 3 rows"):
        gate.check()
    gate.load(CONTACTS, [{"contact_id": f"c{i}"} for i in range(3)])
    assert gate.check().critical_failures == ()


def test_a_supplied_table_that_is_empty_stops_and_one_not_supplied_does_not(gate: Nights) -> None:
    gate.load(CONTACTS, [])
    gate.check(tables=["crm.parties"])
    with pytest.raises(GateFailed, match=r"minimum_live_rows failed \(0 live rows after the load, at least 1"):
        gate.check(tables=[CONTACTS])


def test_the_message_says_what_is_still_served(gate: Nights, conn: Connection) -> None:
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-04', 'p', 'published')"
        )
        cur.execute("update ops.slots set state = 'live', batch_id = 2 where slot = 'marts_a'")
    gate.load(CONTACTS, [])
    with pytest.raises(GateFailed, match="marts still serve batch 2 of 2026-02-04 00:00 UTC"):
        gate.check()


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
    with conn, conn.cursor() as cur:
        cur.execute("select distinct gate from ops.checks where not is_passed")
        assert cur.fetchall() == [("marts",)]


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


def test_every_raw_suite_and_reference_can_be_run_on_its_table(gate: Nights, conn: Connection) -> None:
    tables = load_contract().tables
    for table in tables:
        load_id = gate.load(table, [], live_keys=1)
        with conn, conn.cursor() as cur:
            cur.execute("update ops.loads set rows_appended = 1 where load_id = %s", (load_id,))
    verdict = gate.check()
    assert [str(check) for check in verdict.checks if not check.is_passed] == []
    assert {check.table for check in verdict.checks} == set(tables)
    assert {check.rows_examined for check in verdict.checks if check.name != "minimum_live_rows"} == {0}
    references = sum(len(table.references) for table in tables.values())
    assert sum(check.name.startswith("has_parent(") for check in verdict.checks) == references > 10
