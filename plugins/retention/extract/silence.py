"""A source that dies or falls silent without a word must not hold the night: it is noticed, and said.

A host that vanished is found by TCP keepalives. One that lives and says nothing (a stuck server, a proxy that lost the
other side) answers those, so a thread watches the connection while a statement is waited for.
"""

import fcntl
import os
import socket
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_ACTIVE
from psycopg2.extensions import connection as Connection

from retention.extract.errors import NOTHING_LOADED, ExtractError

#: libpq's parameters: a vanished host is noticed within 90 s; the kernel alone takes more than 2 hours.
KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6, "tcp_user_timeout": 90_000,
}  # fmt: skip
#: How long a source may work on a statement without sending a byte: longer than the longest sort before a first row.
SILENCE_SECONDS = 900.0
#: Offset of tcpi_last_data_recv (milliseconds since the last byte came) in Linux's struct tcp_info.
_LAST_DATA_RECEIVED = 52


@contextmanager
def ended_when_silent(conn: Connection, table: str) -> Iterator[None]:
    """Within the body, end the connection when the source owes an answer and sends nothing for SILENCE_SECONDS.

    Raises ExtractError saying so in place of the broken connection's error. A source on a Unix socket is on this
    machine and not watched.
    """
    with socket.socket(fileno=os.dup(conn.fileno())) as sock:
        if sock.family == socket.AF_UNIX:
            yield
            return
        done, ended = threading.Event(), threading.Event()
        watch = threading.Thread(target=_watch, args=(conn, sock, done, ended), name=f"watch {table}", daemon=True)
        watch.start()
        try:
            yield
        except ExtractError:
            if not ended.is_set():
                raise
        finally:
            done.set()
            watch.join()
    if ended.is_set():
        raise ExtractError(
            f"{table}: the source is connected and has sent nothing for {SILENCE_SECONDS:.0f} s; the connection was "
            f"given up. {NOTHING_LOADED} Look at the source's server and the network, then run the step again."
        )


def cut(conn: Connection) -> None:
    """End the connection under whoever waits for it: woken with an end of file.

    Asking the server to cancel its statement could wait as long again.
    """
    # Closed meanwhile is as good.
    with suppress(psycopg2.InterfaceError), socket.socket(fileno=os.dup(conn.fileno())) as sock:
        _cut(sock)


def _cut(sock: socket.socket) -> None:
    # The other end may have hung up in the same moment.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _watch(conn: Connection, sock: socket.socket, done: threading.Event, ended: threading.Event) -> None:
    tick = min(SILENCE_SECONDS / 10, 5.0)
    silent = 0.0
    while not done.wait(tick):
        silent = silent + tick if _is_owed(conn, sock, tick) else 0.0
        if silent >= SILENCE_SECONDS:
            ended.set()
            _cut(sock)
            return


def _is_owed(conn: Connection, sock: socket.socket, seconds: float) -> bool:
    """Whether a statement runs, nothing of its answer waits to be read, and nothing came for so many seconds."""
    if conn.closed or conn.info.transaction_status != TRANSACTION_STATUS_ACTIVE:
        return False
    (unread,) = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (milliseconds,) = struct.unpack_from("I", info, _LAST_DATA_RECEIVED)
    return not unread and milliseconds >= seconds * 1000
