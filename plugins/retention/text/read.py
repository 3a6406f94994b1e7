"""Reads what customers wrote in tonight's loads into signals.phrase_hits. Bodies stay here: only offsets leave."""

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.text.find import find_phrases
from retention.text.phrases import PhraseBook, load_phrases

#: Name in ops.applied_hashes. Not the seed's own name: dbt books the seed there, by a hash of the file alone.
APPLIED_NAME = "signals.phrase_hits"
FETCH_ROWS = 5_000
FLUSH_CHARS = 1_000_000

#: What is read from each table: (id, load, language, when it was written, body). Only the customer's own words.
MESSAGES = {
    "helpdesk.contacts": """
        select contact_id, _load_id, language, started_at, body
        from raw.helpdesk__contacts
        where _op = 'u' and direction = 'inbound' and initiator = 'customer' and body <> '' and _load_id = any(%s)
    """,
    "web.public_reviews": """
        select 'review:' || review_id, _load_id, null, posted_at, body
        from raw.web__public_reviews
        where _op = 'u' and body <> '' and _load_id = any(%s)
    """,
}

#: A hit in a text that is gone (erased, or past its age): the version it was found in is there and has no text.
TEXT_IS_GONE = """(
    exists (
        select from raw.helpdesk__contacts as m
        where m.contact_id = hits.contact_id and m._load_id = hits.load_id and m.body is null
    )
    or exists (
        select from raw.web__public_reviews as m
        where 'review:' || m.review_id = hits.contact_id and starts_with(hits.contact_id, 'review:')
            and m.review_id = substr(hits.contact_id, 8) and m._load_id = hits.load_id and m.body is null
    )
)"""
#: A new version of a message whose text was gone already says what the one before it said.
INHERIT = """
    insert into signals.phrase_hits
    select hits.contact_id, m._load_id, hits.phrase_id, hits.rule_version, hits.starts_at_char, hits.ends_at_char,
        hits.verdict
    from {table} as m
    cross join lateral (
        select p._load_id, p.body from {table} as p
        where p.{key} = m.{key} and p._load_id < m._load_id and p._op = 'u'
        order by p._load_id desc limit 1
    ) as former
    inner join signals.phrase_hits as hits
        on hits.contact_id = {prefix} || m.{key} and hits.load_id = former._load_id
    where m._load_id = %s and m._op = 'u' and m.body is null and former.body is null
    on conflict do nothing
"""
INHERITING = {
    "helpdesk.contacts": INHERIT.format(table="raw.helpdesk__contacts", key="contact_id", prefix="''"),
    "web.public_reviews": INHERIT.format(table="raw.web__public_reviews", key="review_id", prefix="'review:'"),
}


@dataclass(frozen=True)
class ReadSummary:
    """What one reading did; `is_reread`: all messages were read, because the phrases or their reader changed."""

    messages: int
    hits: int
    seconds: float
    is_reread: bool


def read_texts(conn: Connection, batch_id: int, seed: Path) -> ReadSummary:
    """Replace the phrase hits of the pending loads of `batch_id`; of all loads up to it when the phrases changed.

    What was found in texts that are gone since stays: they cannot be read again, and levels rest on it.

    `seed` is the phrases CSV. One transaction; reading again gives the same rows. Memory does not grow with the number
    of messages. Raises PhrasesError for a bad seed, and ValueError when `batch_id` is not the current run's: the
    pending loads would be another batch's.
    """
    started = time.perf_counter()
    phrases = load_phrases(seed)
    with conn:
        with conn.cursor() as cur:
            _check_current(cur, batch_id)
            is_reread = _applied_version(cur) != phrases.version
            loads = _loads(cur, batch_id, is_reread)
            if is_reread:
                cur.execute(f"delete from signals.phrase_hits as hits where not {TEXT_IS_GONE}")  # noqa: S608
                # What was built from the old hits is built again in full, also when only the reader's code changed.
                cur.execute(r"delete from ops.applied_hashes where name like 'int\_%'")
            else:
                pending = [load_id for load_ids in loads.values() for load_id in load_ids]
                stale = f"delete from signals.phrase_hits as hits where load_id = any(%s) and not {TEXT_IS_GONE}"  # noqa: S608
                cur.execute(stale, (pending,))
        messages = hits = 0
        for table, load_ids in loads.items():
            table_messages, table_hits = _read_table(conn, table, load_ids, phrases)
            messages += table_messages
            hits += table_hits
            with conn.cursor() as cur:
                for load_id in load_ids:
                    cur.execute(INHERITING[table], (load_id,))
        with conn.cursor() as cur:
            cur.execute(
                "insert into ops.applied_hashes (name, hash) values (%s, %s)"
                " on conflict (name) do update set hash = excluded.hash, applied_at = clock_timestamp()"
                " where applied_hashes.hash <> excluded.hash",
                (APPLIED_NAME, phrases.version),
            )
    return ReadSummary(messages, hits, time.perf_counter() - started, is_reread)


def _check_current(cur: Cursor, batch_id: int) -> None:
    cur.execute("select batch_id from ops.current_run")
    row = cur.fetchone()
    if row is None or row[0] != batch_id:
        raise ValueError(
            f"batch {batch_id} is not the current run ({'none' if row is None else row[0]} is). No text was read. "
            "See `retention status`"
        )


def _applied_version(cur: Cursor) -> str | None:
    cur.execute("select hash from ops.applied_hashes where name = %s", (APPLIED_NAME,))
    row = cur.fetchone()
    return None if row is None else str(row[0])


def _loads(cur: Cursor, batch_id: int, is_reread: bool) -> dict[str, list[int]]:
    if is_reread:
        cur.execute(
            "select table_name, array_agg(load_id order by load_id) from ops.loads"
            " where table_name = any(%s) and batch_id <= %s group by table_name order by table_name",
            (list(MESSAGES), batch_id),
        )
    else:
        cur.execute(
            "select table_name, array_agg(load_id order by load_id) from ops.loads_to_stage"
            " where table_name = any(%s) group by table_name order by table_name",
            (list(MESSAGES),),
        )
    return dict(cur.fetchall())


def _read_table(conn: Connection, table: str, load_ids: list[int], phrases: PhraseBook) -> tuple[int, int]:
    """Stream one table's messages into signals.phrase_hits; returns messages and hits."""
    messages = hits = 0
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    for contact_id, load_id, language, written_at, body in _stream(conn, MESSAGES[table], load_ids):
        messages += 1
        for hit in find_phrases(body, language, phrases):
            if phrases.is_valid(hit.phrase_id, written_at.date()):
                rows.writerow((contact_id, load_id, hit.phrase_id, hit.rule_version, hit.start, hit.end, hit.verdict))
                hits += 1
        if buffer.tell() > FLUSH_CHARS:
            _flush(conn, buffer)
    _flush(conn, buffer)
    return messages, hits


def _stream(conn: Connection, query: str, load_ids: list[int]) -> Iterator[tuple[str, int, str | None, datetime, str]]:
    with conn.cursor(name="messages") as cur:
        cur.itersize = FETCH_ROWS
        cur.execute(query, (load_ids,))
        yield from cur


def _flush(conn: Connection, buffer: io.StringIO) -> None:
    buffer.seek(0)
    with conn.cursor() as cur:
        cur.copy_expert(
            "copy signals.phrase_hits (contact_id, load_id, phrase_id, rule_version, starts_at_char, ends_at_char,"
            " verdict) from stdin (format csv)",
            buffer,
        )
    buffer.seek(0)
    buffer.truncate()
