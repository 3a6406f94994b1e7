"""Reading texts into signals: which messages, which hits, once, and again when the phrases change."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from conftest import Warehouse
from retention.sources.contract import create_raw_tables
from retention.text.read import read_texts

SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "threat_phrases.csv"
AT = "2026-02-01 10:00+00"
CONTACTS = [
    ("c1", "inbound", "customer", "ru", "Всё, ухожу от вас!"),
    ("c2", "inbound", "customer", "ru", "Я от вас не уйду, а друг ушёл к другому оператору."),
    ("c3", "outbound", "operator", "ru", "Если хотите уйти от вас, отключите номер"),
    ("c4", "inbound", "customer", "en", "Cancel my contract"),
    ("c5", "inbound", "customer", "ru", None),
]


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[Connection]:
    """Batch 1 with load 1 (contacts) and load 2 (a review), as role etl."""
    connection = warehouse.connect()
    create_raw_tables(connection)
    with connection, connection.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-05', 'r', 'open')"
        )
        cur.execute("insert into ops.current_run (batch_id, as_of) values (1, '2026-02-05')")
        cur.executemany(
            "insert into raw.helpdesk__contacts (contact_id, direction, initiator, language, body, channel, started_at,"
            f" updated_at, _load_id) values (%s, %s, %s, %s, %s, 'chat', '{AT}', '{AT}', 1)",
            CONTACTS,
        )
        cur.execute("insert into raw.helpdesk__contacts (contact_id, _load_id, _op) values ('c0', 1, 'd')")
        cur.execute(
            "insert into raw.web__public_reviews (review_id, body, posted_at, _load_id)"
            " values ('r1', 'Перехожу на Билайн', %s, 2)",
            (AT,),
        )
    add_load(connection, 1, "helpdesk.contacts")
    add_load(connection, 2, "web.public_reviews")
    yield connection
    connection.close()


def add_load(conn: Connection, load_id: int, table: str, batch_id: int = 1) -> None:
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.loads (load_id, batch_id, table_name, is_forced, rows_read, rows_appended, keys_new,"
            " keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)"
            " values (%s, %s, %s, true, 1, 1, 1, 0, 0, 1, 'h', 'test', 0)",
            (load_id, batch_id, table),
        )


def hits(conn: Connection) -> list[tuple[Any, ...]]:
    with conn, conn.cursor() as cur:
        cur.execute(
            "select contact_id, load_id, phrase_id, starts_at_char, verdict from signals.phrase_hits order by 1, 4"
        )
        return cur.fetchall()


EXPECTED = [
    ("c1", 1, "ru_leave_first", 5, "asserted"),
    ("c2", 1, "ru_leave_first", 12, "negated"),
    ("c2", 1, "ru_leave_past", 25, "third_party"),
    ("c4", 1, "en_cancel", 0, "asserted"),
    ("review:r1", 2, "ru_switch_first", 0, "asserted"),
]


def test_customers_words_of_pending_loads_are_read_once(conn: Connection, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    first = read_texts(conn, 1, SEED)
    assert (first.messages, first.hits, first.is_reread) == (4, 5, True)
    assert hits(conn) == EXPECTED
    second = read_texts(conn, 1, SEED)
    assert (second.messages, second.hits, second.is_reread) == (4, 5, False)
    assert hits(conn) == EXPECTED
    assert "ухожу" not in caplog.text


def test_only_pending_loads_are_read_until_the_phrases_change(conn: Connection, tmp_path: Path) -> None:
    read_texts(conn, 1, SEED)
    with conn, conn.cursor() as cur:
        cur.execute("insert into ops.load_consumption values (1, 1), (2, 1)")
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-06', 'r', 'open')"
        )
        cur.execute("update ops.current_run set batch_id = 2")
        cur.execute(
            "insert into raw.helpdesk__contacts (contact_id, direction, initiator, language, body, channel, started_at,"
            f" updated_at, _load_id) values ('c6', 'inbound', 'customer', 'ru', 'Ухожу', 'chat', '{AT}', '{AT}', 3)"
        )
    add_load(conn, 3, "helpdesk.contacts", batch_id=2)
    assert read_texts(conn, 2, SEED).messages == 1
    assert hits(conn) == sorted([*EXPECTED, ("c6", 3, "ru_leave_first", 0, "asserted")])

    changed = tmp_path / SEED.name
    shutil.copy(SEED, changed)
    with changed.open("a") as stream:
        stream.write("ru_new,ru,друг,any,1,2000-01-01,\nru_not_yet,ru,другому,any,1,2026-02-02,\n")
    with conn, conn.cursor() as cur:
        cur.execute("insert into ops.applied_hashes values ('int_contact_signals', 'h'), ('stg_crm__plans', 'h')")
    summary = read_texts(conn, 2, changed)
    assert summary.is_reread
    assert summary.messages == 5
    found = {row[2] for row in hits(conn)}
    assert "ru_new" in found
    assert "ru_not_yet" not in found
    with conn, conn.cursor() as cur:
        cur.execute("select name from ops.applied_hashes where hash = 'h'")
        assert cur.fetchall() == [("stg_crm__plans",)], "models that stand on the hits are to be built again in full"
    assert not read_texts(conn, 2, changed).is_reread


def test_a_failure_leaves_what_was_there(conn: Connection, tmp_path: Path) -> None:
    read_texts(conn, 1, SEED)
    with conn, conn.cursor() as cur:
        # A message without a time cannot be judged by rules that are in force at a time.
        cur.execute("update raw.web__public_reviews set posted_at = null")
    with pytest.raises(AttributeError):
        read_texts(conn, 1, SEED)
    conn.rollback()
    assert hits(conn) == EXPECTED


def test_another_batch_than_the_current_is_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match=r"batch 7 is not the current run \(1 is\)\. No text was read"):
        read_texts(conn, 7, SEED)
