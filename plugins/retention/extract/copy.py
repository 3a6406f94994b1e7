"""The one writer: streams of COPY data into the warehouse, in memory that does not grow with the table."""

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.extract.errors import ExtractError, without_values
from retention.extract.silence import cut

#: Bytes moved at a time. The pipe is as wide, so that neither side waits for each row.
CHUNK = 1 << 18


class Data(Protocol):
    """What COPY reads. `failure` is what ended it early: psycopg2 hides an exception of read() behind its own."""

    failure: Exception | None

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes; empty at the end."""


class _PipeEnd:
    """The reading end of the pipe as a file. End of data is end of file only when the source ended well."""

    def __init__(self, descriptor: int, source: "_SourceThread") -> None:
        self.descriptor = descriptor
        self.source = source
        self.failure: Exception | None = None

    def read(self, size: int = CHUNK, /) -> bytes:
        data = os.read(self.descriptor, size)
        if not data:
            self.source.join()
            if self.source.failure is not None:
                # Raising makes psycopg2 abort the COPY into the warehouse.
                self.failure = self.source.failure
                raise self.failure
        return data


class _SourceThread(threading.Thread):
    def __init__(self, conn: Connection, statement: sql.Composable, descriptor: int, table: str) -> None:
        super().__init__(name=f"copy {table}", daemon=True)
        self.conn = conn
        self.statement = statement
        self.descriptor = descriptor
        self.table = table
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with (
                without_values(self.table, "reading the source"),
                os.fdopen(self.descriptor, "wb", CHUNK) as pipe,
                self.conn.cursor() as cur,
            ):
                cur.copy_expert(self.statement, pipe, CHUNK)
        except BrokenPipeError:
            # The warehouse ended first and says why itself.
            self.failure = ExtractError(f"{self.table}: reading the source was cut short")
        except Exception as error:  # noqa: BLE001 - raised again by the thread that reads
            self.failure = error


def stream(source: Connection, select: sql.Composable, target: Connection, into: sql.Composable, table: str) -> int:
    """Run `select` (a COPY TO STDOUT) on `source` into `into` (a COPY FROM STDIN) on `target`; returns the rows copied.

    Both must use the same format. Raises ExtractError naming `table` when either side fails; the target's
    transaction is then aborted. `source` cannot be used again after a failure.
    """
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, CHUNK)
    thread = _SourceThread(source, select, writing, table)
    thread.start()
    try:
        return copy_into(target, into, _PipeEnd(reading, thread), table)
    finally:
        os.close(reading)
        if thread.is_alive():
            # Blocked in the source: a closed pipe is noticed only by the next write.
            cut(source)
        thread.join()


def copy_into(target: Connection, into: sql.Composable, data: Data, table: str) -> int:
    """COPY `data` into the warehouse; returns the rows. Raises ExtractError, or whatever ended `data` early."""
    try:
        with without_values(table, "writing to the warehouse"), target.cursor() as cur:
            cur.copy_expert(into, data, CHUNK)  # type: ignore[arg-type] # Only read() is called.
            return int(cur.rowcount)
    except ExtractError:
        if data.failure is None:
            raise
    # Outside the handler: the warehouse's error only says that its COPY was aborted, and may quote a row.
    raise data.failure


class Chunks:
    """A file over an iterable of byte strings, for COPY."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts: Iterator[bytes] = iter(parts)
        self.rest = b""
        self.failure: Exception | None = None

    def read(self, size: int = CHUNK, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        if not self.rest:
            try:
                self.rest = next(self.parts, b"")
            except Exception as error:
                self.failure = error
                raise
        data, self.rest = self.rest[:size], self.rest[size:]
        return data
