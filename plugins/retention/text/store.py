"""The database side of reading texts: which messages, in chunks; where signals go; how far a long reading has come."""

import csv
import io
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.text import gone

log = logging.getLogger(__name__)

CONTACTS, REVIEWS = "helpdesk.contacts", "web.public_reviews"
CHUNK_ROWS = 2_000
LOG_EVERY_SECONDS = 10.0
SHORT_WAIT_SECONDS = 20
#: Temporary table of sentiments and topics that replace others.
JUDGED = "judged"


@dataclass(frozen=True)
class Source:
    """What is read from one table: (id, load, language, when it was written, body) with the loads as the parameter."""

    name: str
    columns: str
    rows: str


#: Only the customer's own words.
MESSAGES = {
    CONTACTS: Source(
        "customers' messages",
        "contact_id, _load_id, language, started_at, body",
        "raw.helpdesk__contacts where _op = 'u' and direction = 'inbound' and initiator = 'customer' and body <> ''"
        " and _load_id = any(%s)",
    ),
    REVIEWS: Source(
        "public reviews",
        "'review:' || review_id, _load_id, null, posted_at, body",
        "raw.web__public_reviews where _op = 'u' and body <> '' and _load_id = any(%s)",
    ),
}
REPLIES = Source(
    "replies",
    "contact_id, _load_id, language, started_at, body",
    "raw.helpdesk__contacts where _op = 'u' and direction = 'outbound' and author_kind = 'human' and body <> ''"
    " and _load_id = any(%s)",
)


class Progress:
    """How far a reading has come: a line in the log every few seconds, which `retention run` shows, too."""

    def __init__(self) -> None:
        self._what, self._done, self._all = "", 0, 0
        self._began = self._told_at = time.monotonic()

    def begin(self, what: str, rows: int) -> None:
        """The next source, with so many rows."""
        self._what, self._done, self._all = what, 0, rows
        self._began = self._told_at = time.monotonic()

    def advance(self, rows: int) -> None:
        """So many more are read."""
        self._done += rows
        now = time.monotonic()
        if now - self._told_at >= LOG_EVERY_SECONDS:
            self._told_at = now
            speed = self._done / (now - self._began)
            left = (self._all - self._done) / speed / 60
            log.info(
                "%s: %s of %s (%.0f %%), %s a second, about %.0f minutes left",
                self._what, f"{self._done:,}", f"{self._all:,}", 100 * self._done / self._all, f"{speed:,.0f}", left,
            )  # fmt: skip


class BusyError(RuntimeError):
    """Another reading goes on, for longer than a ten-minute run waits."""


def begin(cur: Cursor, batch_id: int, is_short: bool) -> None:
    """Wait for another reading, a ten-minute run for SHORT_WAIT_SECONDS (then BusyError: a night may read all texts).

    ValueError when another batch is the current run (of a ten-minute run: in live_ops).
    """
    if is_short:
        cur.execute("select set_config('lock_timeout', %s, true)", (f"{SHORT_WAIT_SECONDS}s",))
    try:
        cur.execute("select pg_advisory_xact_lock(hashtext('retention read texts'))")
    except LockNotAvailable:
        raise BusyError("A night is reading texts. What was written since is read when it has done so.") from None
    cur.execute("select set_config('lock_timeout', '0', true)")
    run_schema = "live_ops" if is_short else "ops"
    cur.execute(sql.SQL("select batch_id from {}").format(sql.Identifier(run_schema, "current_run")))
    row = cur.fetchone()
    if row is None or row[0] != batch_id:
        raise ValueError(
            f"batch {batch_id} is not the current run ({'none' if row is None else row[0]} is). No text was read. "
            "See `retention status`"
        )


def applied_version(cur: Cursor, name: str) -> str | None:
    """The version that was booked under a name of ops.applied_hashes."""
    cur.execute("select hash from ops.applied_hashes where name = %s", (name,))
    row = cur.fetchone()
    return None if row is None else str(row[0])


def book_version(cur: Cursor, name: str, version: str) -> None:
    """Book what the signals were read with."""
    cur.execute(
        "insert into ops.applied_hashes (name, hash) values (%s, %s)"
        " on conflict (name) do update set hash = excluded.hash, applied_at = clock_timestamp()"
        " where applied_hashes.hash <> excluded.hash",
        (name, version),
    )


def pending_loads(cur: Cursor, is_short: bool) -> dict[str, list[int]]:
    """Loads of messages that no transform has consumed, by table; those of a ten-minute run, which no night has."""
    pending = sql.Identifier("live_ops", "loads_to_check") if is_short else sql.Identifier("ops", "loads_to_stage")
    cur.execute(
        sql.SQL(
            "select table_name, array_agg(load_id order by load_id) from {}"
            " where table_name = any(%s) group by table_name order by table_name"
        ).format(pending),
        (list(MESSAGES),),
    )
    return dict(cur.fetchall())


def all_loads(cur: Cursor) -> dict[str, list[int]]:
    """All loads of messages, by table: also those that ten-minute runs made since the night closed its loads."""
    cur.execute(
        "select table_name, array_agg(load_id order by load_id) from ops.loads"
        " where table_name = any(%s) group by table_name order by table_name",
        (list(MESSAGES),),
    )
    return dict(cur.fetchall())


def count(conn: Connection, source: Source, load_ids: list[int]) -> int:
    """Rows of a source in some loads."""
    with conn.cursor() as cur:
        cur.execute(f"select count(*) from {source.rows}", (load_ids,))  # noqa: S608 - text of ours
        (rows,) = cur.fetchone() or (0,)
    return int(rows)


def chunks(
    conn: Connection, source: Source, load_ids: list[int]
) -> Iterator[list[tuple[str, int, str | None, datetime, str]]]:
    """The rows of a source in some loads, CHUNK_ROWS at a time, from a cursor on the server."""
    with conn.cursor(name="messages") as cur:
        cur.itersize = CHUNK_ROWS
        cur.execute(f"select {source.columns} from {source.rows}", (load_ids,))  # noqa: S608 - text of ours
        while rows := cur.fetchmany(CHUNK_ROWS):
            yield rows


def copy_rows(conn: Connection, name: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Append rows to a table of signals, or to the temporary one."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    buffer.seek(0)
    columns = ("contact_id", "load_id", *(_JUDGED_COLUMNS if name == JUDGED else gone.COLUMNS[name]))
    table = sql.Identifier(name) if name == JUDGED else sql.Identifier("signals", name)
    with conn.cursor() as cur:
        statement = sql.SQL("copy {} ({}) from stdin (format csv)")
        cur.copy_expert(statement.format(table, sql.SQL(", ").join(map(sql.Identifier, columns))), buffer)


_JUDGED_COLUMNS = ("sentiment", "sentiment_score", "topic", "topic_score", "model_version")


def begin_judging(conn: Connection) -> None:
    """An empty temporary table for new sentiments and topics."""
    with conn.cursor() as cur:
        columns = ", ".join(_JUDGED_COLUMNS)
        cur.execute(
            f"create temp table {JUDGED} on commit drop as"  # noqa: S608 - names of ours
            f" select contact_id, load_id, {columns} from signals.message_signals where false"
        )


def apply_judged(conn: Connection) -> None:
    """Put the new sentiments and topics into signals.message_signals."""
    with conn.cursor() as cur:
        sets = ", ".join(f"{column} = {JUDGED}.{column}" for column in _JUDGED_COLUMNS)
        cur.execute(f"analyze {JUDGED}")
        cur.execute(
            f"update signals.message_signals as m set {sets} from {JUDGED}"  # noqa: S608 - names of ours
            f" where m.contact_id = {JUDGED}.contact_id and m.load_id = {JUDGED}.load_id"
        )
