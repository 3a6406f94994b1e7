"""The lease: one run at a time works on the warehouse.

A holder is a run (its parallel tasks hold it together, one row each, kept alive by a heartbeat). Another run waits; the
rows of a holder that stopped beating are taken over. Times are the database's, so machines need not agree on the clock.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 30.0
_LOCK_KEY = 7_305_114  # any constant: serialises the moment of taking, not the holding


class LeaseError(RuntimeError):
    """Another run holds the lease; the message names it, its step and its last sign of life."""


def _try_take(conn: Connection, holder: str, step: str, process: str) -> tuple[str, str, float] | None:
    """Take the lease; None when taken, else (holder, step, seconds since its heartbeat) of who has it."""
    with conn, conn.cursor() as cur:
        cur.execute("select pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        cur.execute(
            "delete from ops.lease_holds where heartbeat_at < clock_timestamp() - make_interval(secs => %s)",
            (DEAD_AFTER_SECONDS,),
        )
        cur.execute(
            """select holder, step, extract(epoch from clock_timestamp() - heartbeat_at)::float
            from ops.lease_holds where holder <> %s order by heartbeat_at desc limit 1""",
            (holder,),
        )
        other = cur.fetchone()
        if other is not None:
            return other[0], other[1], other[2]
        cur.execute(
            """insert into ops.lease_holds (holder, step, process) values (%s, %s, %s)
            on conflict (holder, step) do update set process = excluded.process, heartbeat_at = clock_timestamp()""",
            (holder, step, process),
        )
    return None


def _beat(dsn: str, holder: str, step: str, stop: threading.Event, lost: threading.Event) -> None:
    """Keep the hold alive until `stop`; set `lost` when it is gone or cannot be kept."""
    try:
        conn = psycopg2.connect(dsn, application_name="retention lease")
        try:
            while not stop.wait(HEARTBEAT_SECONDS) and not lost.is_set():
                with conn, conn.cursor() as cur:
                    cur.execute(
                        "update ops.lease_holds set heartbeat_at = clock_timestamp() where holder = %s and step = %s",
                        (holder, step),
                    )
                    if cur.rowcount == 0:
                        lost.set()
        finally:
            conn.close()
    except psycopg2.Error:
        lost.set()


@contextmanager
def lease(dsn: str, holder: str, step: str, wait_seconds: float) -> Iterator[None]:
    """Hold the warehouse for `step` of run `holder`; waits up to `wait_seconds` for another run, then LeaseError.

    The same holder re-enters (its parallel steps share the lease); a dead holder (no heartbeat for 30 s) is taken over.
    LeaseError also at the end, when the hold was lost meanwhile.
    """
    conn = psycopg2.connect(dsn, application_name="retention lease")
    process = f"{socket.gethostname()}:{os.getpid()}"
    try:
        deadline = time.monotonic() + wait_seconds
        while (other := _try_take(conn, holder, step, process)) is not None:
            if time.monotonic() >= deadline:
                raise LeaseError(
                    f"run {other[0]} is working on the warehouse (step {other[1]}, last sign of life "
                    f"{other[2]:.0f} s ago). {step} of {holder} did nothing. "
                    "It can be run again when that run has ended: `retention status`."
                )
            time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))
        stop, lost = threading.Event(), threading.Event()
        beat = threading.Thread(target=_beat, args=(dsn, holder, step, stop, lost), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            with conn, conn.cursor() as cur:
                cur.execute("delete from ops.lease_holds where holder = %s and step = %s", (holder, step))
        if lost.is_set():
            raise LeaseError(
                f"{step} of {holder} lost the lease while it worked: another run may have worked beside it. "
                "It did its work and is not trusted with it: run it again."
            )
    finally:
        conn.close()
