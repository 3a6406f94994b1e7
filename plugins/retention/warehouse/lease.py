"""The lease: one run at a time works on the warehouse.

A holder is a run (its parallel tasks hold it together, one row each, kept alive by a heartbeat). Another run waits, and
so does the same step in another process; the rows of a holder that stopped beating are taken over. Who waits stands in
line: a night's next step does not overtake a ten-minute run that asked before it. Times are the database's, so machines
need not agree on the clock.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 30.0
#: One that waits asks every second; whoever has not for so long has no place in the line.
SILENT_AFTER_SECONDS = 10.0
_LOCK_KEY = 7_305_114  # any constant: serialises the moment of taking, not the holding


class LeaseError(RuntimeError):
    """Another run holds the lease; the message names it, its step and its last sign of life."""


def _try_take(
    conn: Connection, holder: str, step: str, process: str, beside: Collection[str]
) -> tuple[str, str, float] | None:
    """Take the lease; None when taken, else (holder, step, seconds since its sign of life) of who has it or is next."""
    with conn, conn.cursor() as cur:
        cur.execute("select pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        # A beat from the future, because the clock was set back, counts from now: a dead holder must not wait for it.
        cur.execute(
            "update ops.lease_holds set heartbeat_at = clock_timestamp() where heartbeat_at > clock_timestamp()"
        )
        cur.execute("select distinct process from ops.lease_holds")
        cur.execute(
            """delete from ops.lease_holds
            where heartbeat_at < clock_timestamp() - make_interval(secs => %s) or process = any(%s)""",
            (DEAD_AFTER_SECONDS, [name for (name,) in cur.fetchall() if _is_gone(name)]),
        )
        # The same step of the same run in another process: a task that was given up, and still works.
        cur.execute(
            """select holder, step, extract(epoch from clock_timestamp() - heartbeat_at)::float
            from ops.lease_holds where (holder <> %s and step <> all(%s)) or (step = %s and process <> %s)
            order by heartbeat_at desc limit 1""",
            (holder, list(beside), step, process),
        )
        other = cur.fetchone() or _next_in_line(cur, holder, process)
        if other is not None:
            cur.execute(
                """insert into ops.lease_waits (holder, process) select %(holder)s, %(process)s where not exists (
                    select from ops.lease_waits where holder = %(holder)s and process = %(process)s)""",
                {"holder": holder, "process": process},
            )
            cur.execute(
                "update ops.lease_waits set asked_at = clock_timestamp() where holder = %s and process = %s",
                (holder, process),
            )
            return other[0], other[1], other[2]
        cur.execute("delete from ops.lease_waits where holder = %s and process = %s", (holder, process))
        cur.execute(
            """insert into ops.lease_holds (holder, step, process) values (%s, %s, %s)
            on conflict (holder, step) do update set process = excluded.process, heartbeat_at = clock_timestamp()""",
            (holder, step, process),
        )
    return None


def _next_in_line(cur: Cursor, holder: str, process: str) -> tuple[str, str, float] | None:
    """Another run that has waited for longer and still asks."""
    cur.execute(
        "delete from ops.lease_waits where asked_at < clock_timestamp() - make_interval(secs => %s)"
        " or asked_at > clock_timestamp() + interval '1 hour'",
        (SILENT_AFTER_SECONDS,),
    )
    cur.execute(
        """select holder, 'next in line', extract(epoch from clock_timestamp() - asked_at)::float
        from ops.lease_waits as other
        where other.holder <> %(holder)s and other.wait_id < coalesce((
            select min(wait_id) from ops.lease_waits where holder = %(holder)s and process = %(process)s
        ), 9223372036854775807)
        order by wait_id limit 1""",
        {"holder": holder, "process": process},
    )
    return cur.fetchone()


def _is_gone(process: str) -> bool:
    """Whether a process of this machine has ended; of another machine only its heartbeat tells."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _beat(dsn: str, holder: str, step: str, process: str, stop: threading.Event, lost: threading.Event) -> None:
    """Keep the hold alive until `stop`; set `lost` when it is gone or cannot be kept."""
    try:
        conn = psycopg2.connect(dsn, application_name="retention lease")
        try:
            while not stop.wait(HEARTBEAT_SECONDS) and not lost.is_set():
                with conn, conn.cursor() as cur:
                    cur.execute(
                        """update ops.lease_holds set heartbeat_at = clock_timestamp()
                        where holder = %s and step = %s and process = %s""",
                        (holder, step, process),
                    )
                    if cur.rowcount == 0:
                        lost.set()
        finally:
            conn.close()
    except psycopg2.Error:
        lost.set()


def _release(conn: Connection, holder: str, step: str, process: str) -> bool:
    """Let go; False when the warehouse could not be told. The hold then dies with its heartbeat."""
    try:
        with conn, conn.cursor() as cur:
            cur.execute(
                "delete from ops.lease_holds where holder = %s and step = %s and process = %s", (holder, step, process)
            )
    except psycopg2.Error as error:
        # What ended the step matters more, and is on its way.
        log.warning("%s of %s could not let go of the lease: %s", step, holder, type(error).__name__)
        return False
    return True


def _leave_line(conn: Connection, holder: str, process: str) -> None:
    with conn, conn.cursor() as cur:
        cur.execute("delete from ops.lease_waits where holder = %s and process = %s", (holder, process))


@contextmanager
def lease(dsn: str, holder: str, step: str, wait_seconds: float, beside: Collection[str] = ()) -> Iterator[None]:
    """Hold the warehouse for `step` of run `holder`; waits up to `wait_seconds` for another run, then LeaseError.

    The same holder re-enters (its parallel steps share the lease); a dead holder (no heartbeat for 30 s) is taken over.
    `beside`: steps of others that this one does not disturb, and does not wait for.
    LeaseError also at the end, when the hold was lost meanwhile.
    """
    conn = psycopg2.connect(dsn, application_name="retention lease")
    process = f"{socket.gethostname()}:{os.getpid()}"
    try:
        deadline = time.monotonic() + wait_seconds
        while (other := _try_take(conn, holder, step, process, beside)) is not None:
            if time.monotonic() >= deadline:
                _leave_line(conn, holder, process)
                raise LeaseError(
                    f"run {other[0]} is working on the warehouse (step {other[1]}, last sign of life "
                    f"{other[2]:.0f} s ago). {step} of {holder} did nothing. "
                    "It can be run again when that run has ended: `retention status`."
                )
            time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))
        stop, lost = threading.Event(), threading.Event()
        beat = threading.Thread(target=_beat, args=(dsn, holder, step, process, stop, lost), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            is_released = _release(conn, holder, step, process)
        if lost.is_set() or not is_released:
            raise LeaseError(
                f"{step} of {holder} lost the lease while it worked: another run may have worked beside it. "
                "It did its work and is not trusted with it: run it again."
            )
    finally:
        conn.close()
