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
from retention.text import gone, store
from retention.text.read import MODEL_NAME, read_texts
from retention.text.replies import BANDS

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
AT = "2026-02-01 10:00+00"
CONTACTS = [
    ("c1", "inbound", "customer", "ru", "Всё, ухожу от вас!"),
    ("c2", "inbound", "customer", "ru", "Я от вас не уйду, а друг ушёл к другому оператору."),
    ("c3", "outbound", "operator", "ru", "Если хотите уйти от вас, отключите номер"),
    ("c4", "inbound", "customer", "en", "Cancel my contract"),
    ("c5", "inbound", "customer", "ru", None),
]
REPLIES = [
    ("a1", "human", "Иван, причина — авария на линии 12. Связь восстановили."),
    ("a2", "human", "Ольга, причина — авария на линии 7. Связь восстановили."),
    ("a3", "human", "Спасибо за обращение, мы всё передали."),
    ("a4", "bot", "Связь восстановили."),
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
        cur.executemany(
            "insert into raw.helpdesk__contacts (contact_id, author_kind, body, direction, initiator, channel,"
            " started_at, updated_at, _load_id)"
            f" values (%s, %s, %s, 'outbound', 'operator', 'chat', '{AT}', '{AT}', 1)",
            REPLIES,
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


def edited(tmp_path: Path, seed: str, *rows: str) -> Path:
    """The seeds of this project with rows more in one of them."""
    folder = tmp_path / "seeds"
    folder.mkdir(parents=True)
    for name in ("phrases.csv", "reply_phrases.csv", "word_lists.csv", "competitors.csv", "topic_words.csv"):
        shutil.copy(SEEDS / name, folder)
    with (folder / seed).open("a") as stream:
        stream.write("\n".join(rows) + "\n")
    return folder


def rows(conn: Connection, query: str) -> list[tuple[Any, ...]]:
    with conn, conn.cursor() as cur:
        cur.execute(query)
        return cur.fetchall()


def hits(conn: Connection) -> list[tuple[Any, ...]]:
    return rows(
        conn, "select contact_id, load_id, phrase_id, starts_at_char, verdict from signals.phrase_hits order by 1, 4"
    )


def everything(conn: Connection, *names: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of tables of signals, and where each row lies: a row that was written again lies elsewhere."""
    return {name: rows(conn, f"select ctid::text, t::text from signals.{name} as t order by 2") for name in names}


def next_night(conn: Connection) -> None:
    """The first night's loads are consumed; batch 2 is the current one."""
    with conn, conn.cursor() as cur:
        cur.execute("insert into ops.load_consumption select load_id, 1 from ops.loads")
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-06', 'r', 'open')"
        )
        cur.execute("update ops.current_run set batch_id = 2")


EXPECTED = [
    ("c1", 1, "ru_leave_first", 5, "asserted"),
    ("c2", 1, "ru_leave_first", 12, "negated"),
    ("c2", 1, "ru_leave_past", 25, "third_party"),
    ("c4", 1, "en_cancel", 0, "asserted"),
    ("review:r1", 2, "ru_switch_first", 0, "asserted"),
]


def test_customers_words_of_pending_loads_are_read_once(conn: Connection, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    first = read_texts(conn, 1, SEEDS)
    assert (first.messages, first.hits, first.is_reread) == (4, 5, True)
    assert hits(conn) == EXPECTED
    second = read_texts(conn, 1, SEEDS)
    assert (second.messages, second.hits, second.is_reread) == (4, 5, False)
    assert hits(conn) == EXPECTED
    assert "ухожу" not in caplog.text
    assert "Иван" not in str(everything(conn, *gone.COLUMNS)), "no words leave"


def test_a_message_and_a_reply_are_read_whole(conn: Connection) -> None:
    summary = read_texts(conn, 1, SEEDS)
    assert summary.replies == 3, "a bot's is no reply of a person"
    kinds = "select contact_id, language, threat_kind, mentions_regulator from signals.message_signals order by 1"
    assert rows(conn, kinds) == [
        ("c1", "ru", "threat", False), ("c2", "ru", "none", False), ("c4", "en", "threat", False),
        ("review:r1", "ru", "threat", False),
    ]  # fmt: skip
    said = "select contact_id, gives_reason, states_result from signals.reply_signals order by 1"
    assert rows(conn, said) == [("a1", True, True), ("a2", True, True), ("a3", False, False)]
    alike = "select count(*) from signals.reply_bands as a inner join signals.reply_bands as b using (band, band_hash)"
    assert rows(conn, f"{alike} where a.contact_id = 'a1' and b.contact_id = 'a2'") == [(BANDS,)]
    assert rows(conn, f"{alike} where a.contact_id = 'a1' and b.contact_id = 'a3'") == [(0,)]


def test_a_change_rereads_only_what_it_must(
    conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read_texts(conn, 1, SEEDS)
    next_night(conn)
    before = everything(conn, *gone.COLUMNS)
    replies = edited(tmp_path, "reply_phrases.csv", "ru_new,ru,передали,first,result,1,2000-01-01,")
    summary = read_texts(conn, 2, replies)
    assert (summary.messages, summary.replies, summary.is_reread) == (0, 3, True)
    after = everything(conn, *gone.COLUMNS)
    assert {name: after[name] for name in gone.OF_CUSTOMERS} == {name: before[name] for name in gone.OF_CUSTOMERS}
    assert rows(conn, "select states_result from signals.reply_signals where contact_id = 'a3'") == [(True,)]

    with conn, conn.cursor() as cur:
        cur.execute("update ops.applied_hashes set hash = 'another model' where name = %s", (MODEL_NAME,))
        cur.execute("update signals.message_signals set sentiment_score = 0.5, model_version = 'another model'")
    monkeypatch.setattr(store, "LOG_EVERY_SECONDS", 0)
    with caplog.at_level("INFO", store.log.name):
        summary = read_texts(conn, 2, replies)
    assert (summary.messages, summary.replies, summary.is_reread) == (0, 0, True)
    told = [record.getMessage().partition(",")[0] for record in caplog.records]
    assert told == ["customers' messages: 3 of 3 (100 %)", "public reviews: 1 of 1 (100 %)"]
    columns = "contact_id, sentiment, sentiment_score, topic, model_version"
    judged = f"select {columns} from signals.message_signals order by 1"
    again = rows(conn, judged)
    assert everything(conn, "phrase_hits") == {"phrase_hits": before["phrase_hits"]}
    read_texts(conn, 2, edited(tmp_path / "x", "phrases.csv", "ru_new,ru,друг,any,leaving,1,2000-01-01,"))
    assert rows(conn, judged) == again, "the same as when everything is read"


def test_signals_outlive_the_text_and_pass_to_its_next_version(conn: Connection, tmp_path: Path) -> None:
    read_texts(conn, 1, SEEDS)
    next_night(conn)
    with conn, conn.cursor() as cur:
        cur.execute("update raw.helpdesk__contacts set body = null where contact_id in ('c1', 'a1')")
        cur.execute(
            "insert into raw.helpdesk__contacts (contact_id, direction, initiator, author_kind, channel, started_at,"
            f" updated_at, _load_id) values ('c1', 'inbound', 'customer', null, 'chat', '{AT}', '{AT}', 3),"
            f" ('a1', 'outbound', 'operator', 'human', 'chat', '{AT}', '{AT}', 3)"
        )
    add_load(conn, 3, "helpdesk.contacts", batch_id=2)
    changed = edited(tmp_path, "phrases.csv", "ru_new,ru,друг,any,leaving,1,2000-01-01,")
    with (changed / "reply_phrases.csv").open("a") as stream:
        stream.write("ru_new,ru,передали,first,result,1,2000-01-01,\n")
    assert read_texts(conn, 2, changed).is_reread
    for name in gone.COLUMNS:
        contact = "c1" if name in gone.OF_CUSTOMERS else "a1"
        found = f"select {', '.join(gone.COLUMNS[name])} from signals.{name} where contact_id = '{contact}'"
        versions = [rows(conn, f"{found} and load_id = {load} order by 1") for load in (1, 3)]
        assert versions[0], name
        assert versions[0] == versions[1], name
    assert read_texts(conn, 2, changed).is_reread is False


def test_only_pending_loads_are_read_until_the_phrases_change(conn: Connection, tmp_path: Path) -> None:
    read_texts(conn, 1, SEEDS)
    next_night(conn)
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into raw.helpdesk__contacts (contact_id, direction, initiator, language, body, channel, started_at,"
            f" updated_at, _load_id) values ('c6', 'inbound', 'customer', 'ru', 'Ухожу', 'chat', '{AT}', '{AT}', 3)"
        )
    add_load(conn, 3, "helpdesk.contacts", batch_id=2)
    assert read_texts(conn, 2, SEEDS).messages == 1
    assert hits(conn) == sorted([*EXPECTED, ("c6", 3, "ru_leave_first", 0, "asserted")])

    changed = edited(
        tmp_path, "phrases.csv",
        "ru_new,ru,друг,any,leaving,1,2000-01-01,", "ru_not_yet,ru,другому,any,leaving,1,2026-02-02,",
    )  # fmt: skip
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
    read_texts(conn, 1, SEEDS)
    with conn, conn.cursor() as cur:
        # A message without a time cannot be judged by rules that are in force at a time.
        cur.execute("update raw.web__public_reviews set posted_at = null")
    with pytest.raises(AttributeError):
        read_texts(conn, 1, SEEDS)
    conn.rollback()
    assert hits(conn) == EXPECTED


def test_another_batch_than_the_current_is_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match=r"batch 7 is not the current run \(1 is\)\. No text was read"):
        read_texts(conn, 7, SEEDS)
