"""Batches and their steps: what a night is, what of it is done, and the one row that says what "now" is."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

if TYPE_CHECKING:
    from retention.rebuild import Comparison

log = logging.getLogger(__name__)


class BatchError(RuntimeError):
    """A batch cannot be opened or continued; the message says why and what to do."""


@dataclass(frozen=True)
class Batch:
    """A night: its id, its `as_of` (end of the data interval, timezone-aware) and whether BI already sees it.

    Of a run of ten minutes `is_published` says that it is done.
    """

    batch_id: int
    as_of: datetime
    is_published: bool


@contextmanager
def connected(dsn: str, application: str) -> Iterator[Connection]:
    """A connection that is closed at the end; transactions are the caller's."""
    conn = psycopg2.connect(dsn, application_name=f"retention {application}")
    try:
        yield conn
    finally:
        conn.close()


def open_batch(conn: Connection, as_of: datetime, run_id: str, kind: str = "nightly") -> Batch:
    """Open the batch of `as_of`, or return it when it exists: the same night is one batch however often it is run.

    Raises BatchError when a later night is already published (then this night can only be rebuilt) or when `as_of`
    has no zone.
    """
    if as_of.tzinfo is None:
        raise BatchError(f"as_of {as_of} has no time zone: pass the end of the data interval as Airflow gives it")
    with conn, conn.cursor() as cur:
        cur.execute("select max(as_of) from ops.batches where kind = %s and state = 'published'", (kind,))
        (live,) = cur.fetchone() or (None,)
        cur.execute("select batch_id, state from ops.batches where kind = %s and as_of = %s", (kind, as_of))
        known = cur.fetchone()
        if known is None and live is not None and as_of < live:
            raise BatchError(
                f"the night of {as_of:%Y-%m-%d %H:%M %Z} was never run and marts already serve "
                f"{live:%Y-%m-%d %H:%M %Z}. Nothing was loaded: an older night is never published over a newer one."
            )
        if known is None:
            cur.execute(
                "insert into ops.batches (kind, as_of, run_id, state) values (%s, %s, %s, 'open') returning batch_id",
                (kind, as_of, run_id),
            )
            (batch_id,) = cur.fetchone() or (0,)
            return Batch(batch_id, as_of, is_published=False)
        return Batch(known[0], as_of, is_published=known[1] != "open")


def bind_profile(conn: Connection, profile: str) -> None:
    """Bind the warehouse to a sources' profile at its first night; BatchError for another one later."""
    bound = applied_hash(conn, "sources profile")
    if bound is None:
        record_hashes(conn, {"sources profile": profile})
    elif bound != profile:
        raise BatchError(
            f"this warehouse holds nights of the profile {bound}, and one of {profile} was asked for. Nothing was "
            "loaded: two operators do not share a warehouse. Use another (RETENTION_HOME=..., or another database). "
            "Only renamed? As etl, remove the row named 'sources profile' of ops.applied_hashes."
        )


def finish(conn: Connection, batch_id: int) -> None:
    """A ten-minute run is done; what kept those before it from being done is past."""
    with conn, conn.cursor() as cur:
        cur.execute("update ops.batches set state = 'done' where batch_id = %s", (batch_id,))
        cur.execute(
            "delete from ops.failures where batch_id in (select b.batch_id from ops.batches as b"
            " inner join ops.batches as done on b.kind = done.kind and b.as_of <= done.as_of where done.batch_id = %s)",
            (batch_id,),
        )


def get_batch(conn: Connection, batch_id: int) -> Batch:
    """The batch with that id; BatchError when there is none or when it is unfinished and a later one went past it."""
    with conn, conn.cursor() as cur:
        cur.execute("select kind, as_of, state from ops.batches where batch_id = %s", (batch_id,))
        row = cur.fetchone()
        if row is None:
            raise BatchError(f"there is no batch {batch_id} in ops.batches")
        kind, as_of, state = row
        cur.execute(
            """select min(b.as_of) from ops.batches b join ops.steps s on s.batch_id = b.batch_id
            where b.kind = %s and b.as_of > %s and s.step = 'transform'""",
            (kind, as_of),
        )
        (newer,) = cur.fetchone() or (None,)
    if state != "published" and newer is not None:
        raise BatchError(
            f"batch {batch_id} (as of {as_of:%Y-%m-%d %H:%M %Z}) was left unfinished and the night of "
            f"{newer:%Y-%m-%d %H:%M %Z} has consumed its loads. Nothing was done. What it would have shown: "
            f"`retention rebuild {batch_id}`."
        )
    return Batch(batch_id, as_of, is_published=state == "published")


def set_current_run(conn: Connection, batch: Batch) -> None:
    """Make `batch` the one that models read; `prev_as_of` is that of the last batch before it that was transformed."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            insert into ops.current_run (batch_id, as_of, prev_as_of)
            select %(batch_id)s, %(as_of)s, (
                select max(b.as_of) from ops.batches b join ops.steps s on s.batch_id = b.batch_id
                where s.step = 'transform' and b.kind = 'nightly' and b.as_of < %(as_of)s)
            on conflict (is_current) do update
            set batch_id = excluded.batch_id, as_of = excluded.as_of, prev_as_of = excluded.prev_as_of
            """,
            {"batch_id": batch.batch_id, "as_of": batch.as_of},
        )
        # So small a table is never analysed by itself, and every model joins it.
        cur.execute("analyze ops.current_run")


def close_loads(conn: Connection, batch_id: int) -> None:
    """Fix the loads that the night works with: all there are now, also the ten-minute runs'. Under the lease."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "update ops.batches set loads_to = (select coalesce(max(load_id), 0) from ops.loads) where batch_id = %s",
            (batch_id,),
        )


def consume_loads(conn: Connection, batch_id: int) -> int:
    """Record that this batch's transform consumed its pending loads; returns how many. Safe to repeat."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """insert into ops.load_consumption (load_id, batch_id)
            select load_id, %s from ops.loads_to_stage on conflict do nothing""",
            (batch_id,),
        )
        return cur.rowcount


def last_load(conn: Connection, batch_id: int) -> int:
    """The batch's latest load; 0 when it has none. check_raw books it: up to there the batch is checked."""
    with conn, conn.cursor() as cur:
        cur.execute("select coalesce(max(load_id), 0) from ops.loads where batch_id = %s", (batch_id,))
        (load_id,) = cur.fetchone() or (0,)
    return int(load_id)


def loaded_since_check(conn: Connection, batch_id: int) -> list[str]:
    """Tables that were loaded again after the check_raw that let the batch pass; none while it has not."""
    with conn, conn.cursor() as cur:
        # By number, not by time: clocks jump.
        cur.execute(
            """select distinct l.table_name from ops.loads l join ops.steps s using (batch_id)
            where batch_id = %s and s.step = 'check_raw' and l.load_id > (s.detail ->> 'last_load')::bigint
            order by 1""",
            (batch_id,),
        )
        return [name for (name,) in cur.fetchall()]


def refuse_unchecked_loads(conn: Connection, batch_id: int) -> None:
    """BatchError when a reload or replay brought rows that check_raw, and what it sets aside, never saw."""
    if tables := loaded_since_check(conn, batch_id):
        raise BatchError(
            f"batch {batch_id}: {', '.join(tables)} loaded again since check_raw passed. Nothing was done: those rows "
            "are not checked. Clear check_raw and what follows it, or `retention run`, which does so."
        )


def unfinished_night(cur: Cursor) -> int | None:
    """The batch of the last night; None when there is none or it is published."""
    cur.execute("select batch_id, state from ops.batches where kind = 'nightly' order by as_of desc limit 1")
    row = cur.fetchone()
    return None if row is None or row[1] == "published" else int(row[0])


@dataclass
class Step:
    """What a running step reports when it ends."""

    rows: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@contextmanager
def recorded_step(conn: Connection, batch_id: int, step: str) -> Iterator[Step]:
    """Time a step and write it to ops.steps when its body ends without an error."""
    report = Step()
    started = time.perf_counter()
    yield report
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            insert into ops.steps (batch_id, step, rows, seconds, detail) values (%s, %s, %s, %s, %s)
            on conflict (batch_id, step) do update set rows = excluded.rows, seconds = excluded.seconds,
                detail = excluded.detail, finished_at = clock_timestamp()
            """,
            (batch_id, step, report.rows, time.perf_counter() - started, json.dumps(report.detail)),
        )
        cur.execute("delete from ops.failures where batch_id = %s and step = %s", (batch_id, step))


def reason_of(error: Exception) -> str:
    """Why a step ended: the message of an error of ours, of any other (it may quote a row) only its class."""
    is_ours = type(error).__module__.startswith("retention.")
    return f"{type(error).__name__}: {error}" if is_ours else type(error).__name__


def book_failure(conn: Connection, batch_id: int, step: str, error: Exception) -> None:
    """Record why a step ended.

    Never raises for a warehouse that is gone: why the step ended matters more.
    """
    message = reason_of(error)
    try:
        conn.rollback()
        with conn, conn.cursor() as cur:
            cur.execute(
                """insert into ops.failures (batch_id, step, message)
                select batch_id, %(step)s, %(message)s from ops.batches where batch_id = %(batch_id)s
                on conflict (batch_id, step) do update set message = excluded.message, failed_at = clock_timestamp()""",
                {"batch_id": batch_id, "step": step, "message": message},
            )
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as gone:
        log.warning("%s of batch %d failed, which could not be booked: %s", step, batch_id, type(gone).__name__)


def forget_failure(conn: Connection, batch_id: int, step: str) -> None:
    """Remove a step's failure: it has been done since."""
    with conn, conn.cursor() as cur:
        cur.execute("delete from ops.failures where batch_id = %s and step = %s", (batch_id, step))


def published_batch(conn: Connection, as_of: datetime, kind: str = "nightly") -> int | None:
    """The published batch of `as_of`, or None."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select batch_id from ops.batches where kind = %s and as_of = %s and state = 'published'", (kind, as_of)
        )
        row = cur.fetchone()
    return row[0] if row else None


def book_rebuild(conn: Connection, run_id: str, comparison: "Comparison") -> None:
    """Record how a rebuilt night compares with what was published."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """insert into ops.rebuilds
                (batch_id, run_id, marts_compared, marts_differing, is_same_code, is_same_seeds)
            values (%s, %s, %s, %s, %s, %s)""",
            (
                comparison.batch_id, run_id, comparison.compared, [mart.mart for mart in comparison.differing],
                comparison.is_same_code, comparison.is_same_seeds,
            ),
        )  # fmt: skip


def applied_hash(conn: Connection, name: str) -> str | None:
    """The hash last recorded under `name` (seeds, a model's code), or None."""
    with conn, conn.cursor() as cur:
        cur.execute("select hash from ops.applied_hashes where name = %s", (name,))
        row = cur.fetchone()
    return row[0] if row else None


def record_hashes(conn: Connection, hashes: Mapping[str, str]) -> None:
    """Record what was applied."""
    with conn, conn.cursor() as cur:
        cur.executemany(
            """insert into ops.applied_hashes (name, hash) values (%s, %s)
            on conflict (name) do update set hash = excluded.hash, applied_at = clock_timestamp()""",
            list(hashes.items()),
        )
