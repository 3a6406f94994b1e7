"""The dbt state of the ten-minute run's own (schemas live_...): who may work on it, and with which loads."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.warehouse.batches import Batch, applied_hash

PREFIX, RUN_SCHEMA = "live_", "live_ops"
#: Where models with this prefix are; the same rooms as a night's.
ROOMS = ("live_staging", "live_intermediate", "live_touched")
KIND = "escalations"
#: Steps of a night that extraction does not disturb: they work with the loads that its gate has closed.
BESIDE = ("transform", "hand_over", "track_outcomes", "build_marts", "check_marts", "publish")
_POLL_SECONDS = 0.5
#: Names in ops.applied_hashes. They begin as the model's, so that what makes a night's models anew does so here.
_NAME = "{}@live"
#: In the place of a hash: no model has it.
_PENDING = "to be built"


class LiveError(RuntimeError):
    """The ten-minute run cannot work now; the message says why and what to do."""


class NotNowError(LiveError):
    """Nothing is wrong, and nothing can be done now: before the first night, or while somebody else works there."""


@contextmanager
def locked(dsn: str, wait_seconds: float) -> Iterator[None]:
    """Be the only one who changes the live state: a ten-minute run, an erasure, upkeep. It ends with the process.

    NotNowError when somebody else is for so long.
    """
    conn = psycopg2.connect(dsn, application_name="retention live state")
    try:
        conn.autocommit = True
        deadline = time.monotonic() + wait_seconds
        with conn.cursor() as cur:
            while not _try_lock(cur):
                if time.monotonic() >= deadline:
                    raise NotNowError(
                        "another run works on the schemas live_... (a ten-minute run, an erasure or upkeep). Nothing "
                        "was done. Run it again when that has ended."
                    )
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        conn.close()


def _try_lock(cur: Cursor) -> bool:
    cur.execute("select pg_try_advisory_lock(hashtext('retention live state'))")
    return cur.fetchone() == (True,)


def is_possible(conn: Connection) -> bool:
    """Whether a night has been transformed: until then there is nothing to go on from."""
    with conn, conn.cursor() as cur:
        cur.execute("select exists (select from ops.load_consumption)")
        return cur.fetchone() == (True,)


def is_behind(conn: Connection, batch: Batch) -> bool:
    """Whether a later run has been transformed: the state never goes back."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select exists (select from ops.batches as b inner join ops.steps as s using (batch_id)"
            " where b.kind = %s and s.step = 'transform' and b.as_of > %s)",
            (KIND, batch.as_of),
        )
        return cur.fetchone() == (True,)


def begin(conn: Connection, batch: Batch, tables: Collection[str]) -> None:
    """Make `batch` the current one of live_ops, and take for it every load that no run consumed.

    Of other tables than `tables` only what a night has checked and consumed: their rows pass its gate, not ours.
    """
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            insert into live_ops.current_run (batch_id, as_of, prev_as_of, prev_began_at)
            select %(batch_id)s, %(as_of)s, last.as_of, last.began_at
            from (select 1) as one
            left join (
                select b.as_of, s.finished_at - make_interval(secs => s.seconds + 1) as began_at
                from ops.batches as b inner join ops.steps as s using (batch_id)
                where b.kind = %(kind)s and s.step = 'transform' and b.as_of < %(as_of)s
                order by b.as_of desc limit 1
            ) as last on true
            on conflict (is_current) do update set batch_id = excluded.batch_id, as_of = excluded.as_of,
                prev_as_of = excluded.prev_as_of, prev_began_at = excluded.prev_began_at
            """,
            {"batch_id": batch.batch_id, "as_of": batch.as_of, "kind": KIND},
        )
        cur.execute("analyze live_ops.current_run")
        cur.execute(
            "update live_ops.load_consumption set batch_id = %s where consumed_at is null and batch_id <> %s",
            (batch.batch_id, batch.batch_id),
        )
        cur.execute(
            """
            insert into live_ops.load_consumption (load_id, batch_id)
            select loads.load_id, %s
            from ops.loads as loads
            left join live_ops.load_consumption as taken on loads.load_id = taken.load_id
            left join ops.load_consumption as nightly on loads.load_id = nightly.load_id
            where taken.load_id is null and (nightly.load_id is not null or loads.table_name = any(%s))
            """,
            (batch.batch_id, list(tables)),
        )


def to_check(conn: Connection) -> set[str]:
    """Tables of which the run has rows that no night has checked."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select distinct table_name from live_ops.loads_to_check inner join ops.loads using (load_id, table_name)"
            " where rows_appended > 0"
        )
        return {name for (name,) in cur.fetchall()}


def leave_out(conn: Connection, tables: Collection[str]) -> int:
    """Give back the run's unchecked loads of some tables: the next run takes them again. Returns how many."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "delete from live_ops.load_consumption where load_id in ("
            " select load_id from live_ops.loads_to_check where table_name = any(%s))",
            (list(tables),),
        )
        return int(cur.rowcount)


def consume(conn: Connection, batch: Batch) -> int:
    """Record that the run's transform came to its end; returns how many loads it consumed. Safe to repeat."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "update live_ops.load_consumption set consumed_at = clock_timestamp()"
            " where batch_id = %s and consumed_at is null",
            (batch.batch_id,),
        )
        return int(cur.rowcount)


def applied(conn: Connection, names: Collection[str]) -> dict[str, str | None]:
    """What each model of the live state was built with; None or _PENDING when it has to be built anew.

    Those without a hash are given _PENDING: whoever asks for a model to be built anew takes the row away, and `record`
    sees that.
    """
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.applied_hashes (name, hash) select name, %s from unnest(%s) as asked (name)"
            " on conflict do nothing",
            (_PENDING, [_NAME.format(name) for name in names]),
        )
    return {name: applied_hash(conn, _NAME.format(name)) for name in names}


def record(conn: Connection, hashes: Mapping[str, str]) -> None:
    """Remember what models were built anew with.

    But those whose row is gone since `applied`: a night that read all texts again, or found an erased person's row,
    asked for them while they were built from what was before.
    """
    for name, digest in hashes.items():
        # One transaction each: a night that takes many of the rows away is never waited for with another one in hand.
        with conn, conn.cursor() as cur:
            cur.execute(
                "update ops.applied_hashes set hash = %s, applied_at = clock_timestamp() where name = %s",
                (digest, _NAME.format(name)),
            )


def discard(cur: Cursor) -> None:
    """Throw the state away: the next run builds it anew.

    For what must not wait until that comes by, such as personal data that turned out to be an erased person's.
    """
    cur.execute("select schemaname::text, tablename::text from pg_tables where schemaname = any(%s)", (list(ROOMS),))
    for schema, table in cur.fetchall():
        cur.execute(sql.SQL("drop table if exists {} cascade").format(sql.Identifier(schema, table)))
    cur.execute("delete from ops.applied_hashes where name like %s", (_NAME.format("%"),))


def is_night_half_built(conn: Connection) -> bool:
    """Whether a night is being transformed, or has been and is not published: it keeps the seeds it began with.

    To be asked under the lease: no further step of a night begins meanwhile.
    """
    with conn, conn.cursor() as cur:
        cur.execute(
            "select exists (select from ops.batches as b inner join ops.steps as s using (batch_id)"
            " where b.kind = 'nightly' and b.state = 'open' and s.step = 'transform'"
            " and b.as_of = (select max(as_of) from ops.batches where kind = 'nightly'))"
            " or exists (select from ops.lease_holds where step = any(%s))",
            (list(BESIDE),),
        )
        return cur.fetchone() == (True,)
