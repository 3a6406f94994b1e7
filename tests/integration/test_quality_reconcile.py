"""A law that does not hold stops the night and says which counts differ by how much."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection

from conftest import Warehouse
from retention.quality.reconcile import load_laws, reconcile
from retention.quality.suites import SuiteError
from retention.quality.verdict import GateFailed
from retention.sources.contract import load_contract
from retention.warehouse import batches

LAWS = Path(__file__).resolve().parents[2] / "expectations" / "reconciliation"
LAW = """
name: rows_are_conserved
table: fct_small
left: {what: rows that came in, sql: "select kind, count(*) from {staging}.small group by kind"}
right: {what: rows of the mart, sql: "select kind, sum(n) from {marts}.fct_small group by kind"}
"""


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[Connection]:
    """Batch 1, three rows in staging.small and the two counts of it in marts_b.fct_small."""
    connection = warehouse.connect()
    with connection, connection.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-05', 'r', 'open')"
        )
        cur.execute("create table staging.small as select * from (values ('a'), ('a'), ('b')) as v(kind)")
        cur.execute("create table marts_b.fct_small as select * from (values ('a', 2), ('b', 1)) as v(kind, n)")
    yield connection
    connection.close()


def law_folder(tmp_path: Path, text: str = LAW) -> Path:
    (tmp_path / "rows_are_conserved.yml").write_text(text)
    return tmp_path


def test_a_law_that_holds_is_booked(warehouse: Warehouse, conn: Connection, tmp_path: Path) -> None:
    for _ in range(2):
        assert reconcile(warehouse.dsn(), 1, law_folder(tmp_path), "marts_b").critical_failures == ()
    with conn, conn.cursor() as cur:
        cur.execute("select gate, table_name, check_name, severity, is_passed, message from ops.checks")
        assert cur.fetchall() == [("reconciliation", "fct_small", "rows_are_conserved", "critical", True, None)]


def test_a_mismatch_stops_and_is_booked(warehouse: Warehouse, conn: Connection, tmp_path: Path) -> None:
    with conn, conn.cursor() as cur:
        cur.execute("insert into staging.small values ('b'), ('c')")
    with pytest.raises(GateFailed) as failure:
        reconcile(warehouse.dsn(), 1, law_folder(tmp_path), "marts_b")
    message = str(failure.value)
    assert "gate reconciliation: 1 critical of 1 checks failed" in message
    wanted = "rows that came in against rows of the mart: b 2 against 1; c 1 against 0"
    assert f"fct_small: rows_are_conserved failed ({wanted})" in message
    assert "Nothing was published" in message
    with conn, conn.cursor() as cur:
        cur.execute("select is_passed, message from ops.checks")
        assert cur.fetchall() == [(False, wanted)]


def test_staging_must_hold_the_ledger_s_keys(warehouse: Warehouse, conn: Connection, tmp_path: Path) -> None:
    (tmp_path / "raw_keys_in_staging.yml").write_text((LAWS / "raw_keys_in_staging.yml").read_text())
    with conn, conn.cursor() as cur:
        for name in load_contract().tables:
            cur.execute(f"create table staging.stg_{name.replace('.', '__')} (id text)")
        cur.execute("insert into staging.stg_crm__parties values ('p1'), ('p2')")
        for keys in (7, 2):
            cur.execute(
                "insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new,"
                " keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)"
                " values (1, 'crm.parties', true, 1, 1, 1, 0, 0, %s, 'h', 'test', 0)",
                (keys,),
            )
    batches.set_current_run(conn, batches.get_batch(conn, 1))
    assert reconcile(warehouse.dsn(), 1, tmp_path, "marts_b").critical_failures == ()
    with conn, conn.cursor() as cur:
        cur.execute("delete from staging.stg_crm__parties where id = 'p1'")
    with pytest.raises(GateFailed, match=r"crm\.parties 2 against 1"):
        reconcile(warehouse.dsn(), 1, tmp_path, "marts_b")


def test_no_laws_or_a_bad_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="nothing would be reconciled"):
        load_laws(tmp_path)
    with pytest.raises(SuiteError, match="wanted the fields name, table, left and right"):
        load_laws(law_folder(tmp_path, "name: rows_are_conserved\n"))


def test_every_law_of_the_project_can_be_read() -> None:
    assert {law.name for law in load_laws(LAWS)} >= {"raw_keys_in_staging"}
