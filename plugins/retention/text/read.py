"""Reads what customers and our people wrote into the schema signals. Bodies stay here: only what was found leaves.

Customers' messages: phrases with their places, kind of threat, mentions, language, sentiment, topic. Replies of our
people: reason, result, bands of near-duplicates. See docs/adr/0013-reading-texts.md.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.text import gone, model_file, sentiment, store, topics
from retention.text.find import find_phrases, threat_kind
from retention.text.language import language_of
from retention.text.phrases import REPLY_SIGNALS, Rules, load_rules
from retention.text.replies import bands_of, substance_of

#: Names in ops.applied_hashes of what the signals were read with: three, so that a change rereads what it must.
APPLIED_NAME = "signals.phrase_hits"
MODEL_NAME = "signals.message_models"
REPLIES_NAME = "signals.reply_signals"
#: Seeds' days are Moscow's, as in the models.
_ZONE = ZoneInfo("Europe/Moscow")
_VERSION_LENGTH = 12

#: contact_id, load_id, declared language, when it was written, body.
Message = tuple[str, int, str | None, datetime, str]
#: Table of signals and the rows for it: key, then gone.COLUMNS.
Found = dict[str, list[tuple[object, ...]]]


@dataclass(frozen=True)
class Reader:
    """What texts are read with: rules for customers and for replies, the trained model, the topics' words."""

    customers: Rules
    replies: Rules
    model: Path
    topic_words: Path

    @cached_property
    def model_version(self) -> str:
        """Changes with what gives sentiment and topic."""
        versions = sentiment.model_version(self.model) + topics.model_version(self.model, self.topic_words)
        return hashlib.sha256(versions.encode()).hexdigest()[:_VERSION_LENGTH]

    def judge(self, bodies: Sequence[str]) -> "zip[tuple[tuple[int, float], tuple[str | None, float]]]":
        """Sentiment and topic of each text, with their scores."""
        return zip(
            sentiment.score(bodies, self.model), topics.classify(bodies, self.model, self.topic_words), strict=True
        )


@dataclass(frozen=True)
class ReadSummary:
    """What one reading did. `is_reread`: all messages were read again, because rules, model or reader changed."""

    messages: int
    hits: int
    replies: int
    seconds: float
    is_reread: bool


def load_reader(seeds: Path, model: Path = model_file.SHIPPED) -> Reader:
    """The rules of a seeds folder, compiled, with a trained model; SeedError names the first bad row."""
    return Reader(
        load_rules(seeds, "phrases.csv", code=("language.py",)),
        load_rules(seeds, "reply_phrases.csv", REPLY_SIGNALS, code=("replies.py",)),
        model,
        seeds / "topic_words.csv",
    )


def read_messages(rows: Sequence[Message], reader: Reader) -> Found:
    """Signals of a chunk of customers' messages: rows of phrase_hits and, one a message, of message_signals. Pure."""
    found: Found = {name: [] for name in gone.OF_CUSTOMERS}
    version = reader.customers.version[:_VERSION_LENGTH]
    judged = reader.judge([row[4] for row in rows])
    for (contact_id, load_id, declared, written_at, body), (mood, topic) in zip(rows, judged, strict=True):
        hits = find_phrases(body, declared, reader.customers.on(written_at.astimezone(_ZONE).date()))
        for hit in hits:
            found["phrase_hits"].append(
                (contact_id, load_id, hit.phrase_id, hit.rule_version, hit.start, hit.end, hit.verdict, hit.signal)
            )
        mentioned = {hit.signal for hit in hits if hit.verdict not in ("negated", "quoted")}
        found["message_signals"].append(
            (contact_id, load_id, language_of(body, declared), *mood, *topic, threat_kind(hits),
             "public_review" in mentioned, "regulator" in mentioned, version, reader.model_version)
        )  # fmt: skip
    return found


def read_replies(rows: Sequence[Message], reader: Reader) -> Found:
    """Signals of a chunk of our people's replies: rows of reply_signals and of reply_bands. Pure."""
    found: Found = {name: [] for name in gone.OF_REPLIES}
    version = reader.replies.version[:_VERSION_LENGTH]
    for (contact_id, load_id, declared, written_at, body), bands in zip(
        rows, bands_of([row[4] for row in rows]), strict=True
    ):
        said = substance_of(body, declared, reader.replies.on(written_at.astimezone(_ZONE).date()))
        found["reply_signals"].append((contact_id, load_id, said.gives_reason, said.states_result, version))
        found["reply_bands"] += [(contact_id, load_id, band, value) for band, value in enumerate(bands)]
    return found


def judge_messages(rows: Sequence[Message], reader: Reader) -> Found:
    """Only what the model says of a chunk of messages: rows of store.JUDGED. Pure."""
    judged = zip(rows, reader.judge([row[4] for row in rows]), strict=True)
    return {store.JUDGED: [(row[0], row[1], *mood, *topic, reader.model_version) for row, (mood, topic) in judged]}


def read_texts(
    conn: Connection,
    batch_id: int,
    seeds: Path,
    model: Path = model_file.SHIPPED,
    is_short: bool = False,
) -> ReadSummary:
    """Replace the signals of the pending loads of `batch_id`; of all loads where rules or model changed.

    Customers' rules reread customers' messages, rules of replies the replies, a model only gives new sentiments and
    topics. What was found in texts that are gone since stays. `is_short`, a ten-minute run: only its loads are read;
    what changed rules say of older texts is for the night.

    `seeds` is the folder of the seeds. How far it has come goes into the log every few seconds. One transaction;
    reading again gives the same rows; memory does not grow with the number of messages.
    Raises SeedError for a bad seed, BusyError when a short run finds another reading at work, and ValueError when
    `batch_id` is not the current run's: the pending loads would be another batch's.
    """
    started = time.perf_counter()
    reader = load_reader(seeds, model)
    versions = {
        APPLIED_NAME: reader.customers.version, MODEL_NAME: reader.model_version, REPLIES_NAME: reader.replies.version
    }  # fmt: skip
    with conn:
        with conn.cursor() as cur:
            store.begin(cur, batch_id, is_short)
            changed = {name for name, version in versions.items() if store.applied_version(cur, name) != version}
            pending, every = store.pending_loads(cur, is_short), store.all_loads(cur)
            if is_short:
                changed = set()
        of_customers = every if APPLIED_NAME in changed else pending
        of_replies = every if REPLIES_NAME in changed else pending
        with conn.cursor() as cur:
            _forget(cur, gone.OF_CUSTOMERS, of_customers, APPLIED_NAME in changed)
            _forget(cur, gone.OF_REPLIES, of_replies, REPLIES_NAME in changed)
        progress = store.Progress()
        counted = dict.fromkeys(("messages", "hits", "replies"), 0)
        for table, source in store.MESSAGES.items():
            for found in _read(conn, source, of_customers.get(table, []), read_messages, reader, progress):
                counted["messages"] += len(found["message_signals"])
                counted["hits"] += len(found["phrase_hits"])
        for found in _read(conn, store.REPLIES, of_replies.get(store.CONTACTS, []), read_replies, reader, progress):
            counted["replies"] += len(found["reply_signals"])
        if MODEL_NAME in changed and APPLIED_NAME not in changed:
            _judge_again(conn, every, pending, reader, progress)
        with conn.cursor() as cur:
            _inherit(cur, gone.OF_CUSTOMERS, of_customers)
            _inherit(cur, gone.OF_REPLIES, {store.CONTACTS: of_replies.get(store.CONTACTS, [])})
            if changed & {APPLIED_NAME, MODEL_NAME}:
                # What was built from the old signals is built again in full, also when only the code changed. Last: a
                # ten-minute run would wait at these rows for as long as the reading takes.
                cur.execute(r"delete from ops.applied_hashes where name like 'int\_%'")
            elif REPLIES_NAME in changed:
                cur.execute(r"delete from ops.applied_hashes where name like 'int\_reply\_%'")
            for name, version in () if is_short else versions.items():
                store.book_version(cur, name, version)
    return ReadSummary(**counted, seconds=time.perf_counter() - started, is_reread=bool(changed))


def _forget(cur: Cursor, tables: Iterable[str], loads: dict[str, list[int]], is_all: bool) -> None:
    for name in tables:
        if is_all:
            cur.execute(gone.forget(name))
        else:
            cur.execute(gone.forget_loads(name), ([load_id for load_ids in loads.values() for load_id in load_ids],))


def _inherit(cur: Cursor, tables: Iterable[str], loads: dict[str, list[int]]) -> None:
    """All loads at once, again while a version was given something that the next one may inherit."""
    for table, load_ids in loads.items():
        for name in tables:
            is_new = bool(load_ids)
            while is_new:
                cur.execute(gone.inherit(name, table), (load_ids,))
                is_new = cur.rowcount > 0


def _read(
    conn: Connection,
    source: store.Source,
    load_ids: list[int],
    read: Callable[[Sequence[Message], Reader], Found],
    reader: Reader,
    progress: store.Progress,
) -> Iterable[Found]:
    """Stream one source through `read` into the schema signals, a chunk at a time."""
    if not load_ids:
        return
    progress.begin(source.name, store.count(conn, source, load_ids))
    for chunk in store.chunks(conn, source, load_ids):
        found = read(chunk, reader)
        for name, rows in found.items():
            store.copy_rows(conn, name, rows)
        progress.advance(len(chunk))
        yield found


def _judge_again(
    conn: Connection,
    every: dict[str, list[int]],
    pending: dict[str, list[int]],
    reader: Reader,
    progress: store.Progress,
) -> None:
    """New sentiments and topics for messages that are read already."""
    store.begin_judging(conn)
    for table, source in store.MESSAGES.items():
        load_ids = sorted(set(every.get(table, [])) - set(pending.get(table, [])))
        for _ in _read(conn, source, load_ids, judge_messages, reader, progress):
            pass
    store.apply_judged(conn)
