"""A TCP proxy that misbehaves on demand: in front of a source, it refuses, dawdles, falls silent or cuts the line."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

CHUNK = 16_384


@dataclass
class Proxy:
    """Forwards 127.0.0.1:`port` to `target`. What it does to the answers of the target may be changed at any time."""

    target: tuple[str, int]
    #: Each connection is cut (reset) after so many bytes of answers; None: never.
    cut_after: int | None = None
    #: From so many bytes of answers on, a connection stays open and says nothing any more; None: never.
    silent_after: int | None = None
    #: Bytes of answers a second; None: as fast as it goes.
    bytes_per_second: int | None = None
    #: Connections taken and bytes of answers passed on so far.
    connections: int = 0
    passed: int = 0
    port: int = 0
    _closing: threading.Event = field(default_factory=threading.Event, repr=False)

    def through(self, dsn: str) -> str:
        """The same postgresql:// URL by way of the proxy."""
        parts = urlsplit(dsn)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self.port}"))

    def well(self) -> None:
        """Behave from now on."""
        self.cut_after = self.silent_after = self.bytes_per_second = None

    def _serve(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                client, _ = listener.accept()
                self.connections += 1
                threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server:
            asking = threading.Thread(target=self._ask, args=(client, server), daemon=True)
            asking.start()
            with suppress(OSError):
                self._answer(server, client)
            for one in (client, server):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(CHUNK):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        said = 0
        while data := server.recv(self.bytes_per_second // 20 if self.bytes_per_second else CHUNK):
            for limit in (self.cut_after, self.silent_after):
                if limit is not None:
                    data = data[: max(limit - said, 0)]
            client.sendall(data)
            said += len(data)
            self.passed += len(data)
            if self.bytes_per_second is not None:
                self._closing.wait(len(data) / self.bytes_per_second)
            if self.cut_after is not None and said >= self.cut_after:
                # Zero linger: the other end gets a reset, as from a host that crashed and came back.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if self.silent_after is not None and said >= self.silent_after:
                self._stay_silent(client)
                return

    def _stay_silent(self, client: socket.socket) -> None:
        """Until the client hangs up: its questions are still read, and go unanswered."""
        while not self._closing.is_set() and client.fileno() >= 0:
            with suppress(BlockingIOError):
                if client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                    return
            time.sleep(0.01)


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """A proxy in front of host:port that behaves well until told otherwise."""
    one = Proxy((host, port))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        one.port = listener.getsockname()[1]
        serving = threading.Thread(target=one._serve, args=(listener,), daemon=True)
        serving.start()
        try:
            yield one
        finally:
            one._closing.set()
            serving.join()


def closed_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
