"""A throw-away MariaDB, from the programs that apt installs: `apt-get install mariadb-server`."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

#: Where Debian puts servers, which is not on everybody's PATH.
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
READER = "source_reader"
START_SECONDS = 30


def missing_programs() -> list[str]:
    """The programs that are not installed."""
    return [name for name in ("mariadbd", "mariadb-install-db") if shutil.which(name, path=SEARCH) is None]


@dataclass
class MariaDB:
    """A server on a loopback port, in a zone of its own (+03:00); `url(database)` addresses it as a reader."""

    folder: Path
    port: int = 0
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "MariaDB":
        """Initialise and start it, as an unprivileged user when we are root."""
        user = "mysql" if "mysql" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(self.folder, user)
        as_user = [f"--user={user}"] if os.geteuid() == 0 else []
        data = self.folder / "data"
        common = ["--no-defaults", f"--datadir={data}", *as_user]
        small = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"]
        install = [str(shutil.which("mariadb-install-db", path=SEARCH)), *common, *small, "--skip-test-db",
                   "--auth-root-authentication-method=normal"]  # fmt: skip
        subprocess.run(install, check=True, capture_output=True)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        command = [str(shutil.which("mariadbd", path=SEARCH)), *common, *small, "--bind-address=127.0.0.1",
                   f"--port={self.port}", f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}",
                   "--innodb-flush-log-at-trx-commit=0", "--character-set-server=utf8mb4",
                   "--default-time-zone=+03:00", "--skip-name-resolve"]  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute(None, f"create user {READER} identified by '{self.password}'")
            except pymysql.err.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(f"MariaDB did not start: {(self.folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.1)
            else:
                return self

    def remove(self) -> None:
        """Stop it, by its process, and remove its folder."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)

    def connect(self, database: str | None) -> "pymysql.Connection[Any]":
        """A superuser's connection, in autocommit."""
        return pymysql.connect(
            unix_socket=str(self.folder / "socket"), user="root", database=database, charset="utf8mb4", autocommit=True
        )

    def execute(self, database: str | None, *statements: str) -> Sequence[tuple[Any, ...]]:
        """Run statements; returns the rows of the last."""
        conn = self.connect(database)
        try:
            with conn.cursor() as cur:
                for statement in statements:
                    cur.execute(statement)
                return list(cur.fetchall())
        finally:
            conn.close()

    def create_database(self) -> str:
        """An empty database that the reader may read; returns its name."""
        name = f"source_{secrets.token_hex(4)}"
        self.execute(None, f"create database {name} character set utf8mb4",
                     f"grant select on {name}.* to {READER}")  # fmt: skip
        return name

    def url(self, database: str) -> str:
        """The URL that Airflow's connection becomes."""
        return f"mysql+pymysql://{READER}:{self.password}@127.0.0.1:{self.port}/{database}"


def start() -> MariaDB:
    """A running server in a folder of its own under the temporary one."""
    server = MariaDB(Path(tempfile.mkdtemp(prefix="retention-test-mariadb-")))
    try:
        return server.start()
    except BaseException:
        server.remove()
        raise
