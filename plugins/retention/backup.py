"""Backup of the warehouse and the way back: a dump that names what BI read, a restore that proves it is there again.

The dump is pg_dump's: one snapshot of the database while nights and readers go on. A restore builds a second database
beside the live one, compares its marts with what was published, and only then takes the name over; the one before is
kept under another name. Runbook: docs/runbooks/backup.md
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, make_dsn, parse_dsn
from psycopg2.extensions import connection as Connection

from retention.mart_views import is_private
from retention.row_hash import row_hash
from retention.warehouse.lease import DEAD_AFTER_SECONDS

#: Path of a PostgreSQL program: pg_dump, pg_restore.
Program = Callable[[str], Path]
JOBS = 2
DUMP, MANIFEST = "dump", "backup.json"
#: What a rebuild leaves behind when it is killed; it makes its own anew.
SCRATCH = "rebuild_*"


class BackupError(RuntimeError):
    """A backup or restore that did not happen; the message says why and what is left as it was."""


@dataclass(frozen=True)
class Backup:
    """A finished backup: when its snapshot was taken, what BI read then, and its files with their SHA-256.

    `marts`: rows and hash of each published mart, as the ledger has them; empty before the first publication.
    """

    taken_at: str
    server_version: str
    batch_id: int | None
    as_of: str | None
    marts: dict[str, tuple[int, str]]
    files: dict[str, str]
    bytes: int


@dataclass(frozen=True)
class Restored:
    """A finished restore; `kept_as` is the database that was replaced, None when there was none."""

    backup: Backup
    kept_as: str | None


def back_up(admin_dsn: str, database: str, folder: Path, program: Program) -> Path:
    """Dump `database` into a new folder below `folder` and return it.

    `admin_dsn`: a superuser's, any database of the server. The folder gets its name when everything is in it: what ends
    in `.partial` is not a backup. Raises BackupError.
    """
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname=database))) as conn:
        # pg_dump reads the same snapshot: what the manifest says is what the dump holds.
        conn.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with conn.cursor() as cur:
            cur.execute("select pg_export_snapshot(), transaction_timestamp(), current_setting('server_version')")
            row = cur.fetchone()
        assert row is not None  # a select without from has one row
        snapshot, taken_at, version = row
        batch_id, as_of, marts = _published(conn)
        name = f"{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-" + (f"batch-{batch_id}" if batch_id else "empty")
        target, partial = folder / name, folder / f"{name}.partial"
        if target.exists():
            raise BackupError(f"{target} is there already: nothing was done")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            _run(
                program("pg_dump"), admin_dsn, "--dbname", database, "--format", "directory", "--jobs", str(JOBS),
                "--compress", "gzip:1", "--snapshot", snapshot, "--exclude-schema", SCRATCH,
                "--file", str(partial / DUMP),
            )  # fmt: skip
        except BaseException:
            # What is there holds personal data, and nobody would look for it.
            shutil.rmtree(partial, ignore_errors=True)
            raise
        conn.rollback()
    dumped = sorted(path for path in (partial / DUMP).iterdir())
    backup = Backup(
        taken_at=taken_at.astimezone(UTC).isoformat(),
        server_version=version,
        batch_id=batch_id,
        as_of=as_of,
        marts=marts,
        files={path.name: _digest(path) for path in dumped},
        bytes=sum(path.stat().st_size for path in dumped),
    )
    (partial / MANIFEST).write_text(json.dumps(asdict(backup), indent=1) + "\n", encoding="utf-8")
    partial.rename(target)
    return target


def read_backup(path: Path) -> Backup:
    """The manifest of a backup whose files are all there unchanged; BackupError naming what is missing or altered."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise BackupError(f"{path} is no finished backup: it has no {MANIFEST}. Nothing was changed.")
    document = json.loads(manifest.read_text(encoding="utf-8"))
    marts = {name: (int(rows), str(digest)) for name, (rows, digest) in document.pop("marts").items()}
    backup = Backup(**document, marts=marts)
    for name, digest in backup.files.items():
        file = path / DUMP / name
        if not file.is_file() or _digest(file) != digest:
            state = "altered" if file.is_file() else "missing"
            raise BackupError(f"{path}: {DUMP}/{name} is {state} since the backup. Nothing was changed.")
    return backup


def find_backups(folder: Path) -> list[Path]:
    """Finished backups below `folder`, oldest first."""
    return sorted(manifest.parent for manifest in folder.glob(f"*/{MANIFEST}") if manifest.parent.suffix != ".partial")


def restore(admin_dsn: str, database: str, path: Path, program: Program, prepare: Callable[[str], None]) -> Restored:
    """Put a backup in the place of `database`, after its marts were compared with what the backup says.

    `prepare` gets the name of the restored database before it is compared and shown: it applies rights and what
    happened since (schemas of newer code, erasures). The roles must exist. Raises BackupError, with the live database
    as it was, when a file is damaged, a run is at work, or a mart differs.
    """
    backup = read_backup(path)
    fresh = f"{database}_restoring"
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname="postgres"))) as server:
        server.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        _refuse_while_working(admin_dsn, server, database)
        with server.cursor() as cur:
            cur.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(fresh)))
            cur.execute(sql.SQL("create database {} template template0").format(sql.Identifier(fresh)))
        _run(
            program("pg_restore"), admin_dsn, "--dbname", fresh, "--jobs", str(JOBS), "--exit-on-error",
            str(path / DUMP),
        )  # fmt: skip
        prepare(fresh)
        _compare(admin_dsn, fresh, backup)
        _refuse_while_working(admin_dsn, server, database)
        kept_as = _take_over(server, database, fresh)
    return Restored(backup, kept_as)


def _published(conn: Connection) -> tuple[int | None, str | None, dict[str, tuple[int, str]]]:
    """The live batch, its as_of, and the rows and hash of its marts when they were published."""
    with conn.cursor() as cur:
        cur.execute(
            """
            select publications.publication_id, publications.batch_id, batches.as_of
            from ops.publications as publications
            inner join ops.slots as slots on publications.slot = slots.slot and publications.batch_id = slots.batch_id
            inner join ops.batches as batches on publications.batch_id = batches.batch_id
            where slots.state = 'live'
            order by publications.publication_id desc
            limit 1
            """
        )
        row = cur.fetchone()
        if row is None:
            return None, None, {}
        cur.execute(
            "select mart, rows, row_hash from ops.publication_marts where publication_id = %s order by mart", (row[0],)
        )
        marts = {mart: (int(rows), str(digest)) for mart, rows, digest in cur.fetchall()}
    return int(row[1]), row[2].astimezone(UTC).isoformat(), marts


def _compare(admin_dsn: str, database: str, backup: Backup) -> None:
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname=database))) as conn:
        batch_id, _, _ = _published(conn)
        # Private marts are not compared: erasures since the backup were made again in them.
        shown = {name: content for name, content in backup.marts.items() if not is_private(name)}
        differing = [name for name, content in shown.items() if row_hash(conn, "marts", name) != content]
        with conn.cursor() as cur:
            cur.execute("analyze")
        conn.commit()
    if batch_id != backup.batch_id or differing:
        raise BackupError(
            f"the restored database {database} is not what was backed up: live batch {batch_id} against "
            f"{backup.batch_id}, marts that differ: {', '.join(differing) or 'none'}. It is left there to be looked "
            "at; the warehouse in use was not touched."
        )


def _refuse_while_working(admin_dsn: str, server: Connection, database: str) -> None:
    with server.cursor() as cur:
        cur.execute("select 1 from pg_database where datname = %s", (database,))
        if cur.fetchone() is None:
            return
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname=database))) as conn, conn.cursor() as cur:
        cur.execute("select to_regclass('ops.lease_holds') is not null")
        if cur.fetchone() != (True,):
            return
        cur.execute(
            """
            select holder, step from ops.lease_holds
            where heartbeat_at >= clock_timestamp() - make_interval(secs => %s) limit 1
            """,
            (DEAD_AFTER_SECONDS,),
        )
        busy = cur.fetchone()
    if busy is not None:
        raise BackupError(
            f"run {busy[0]} is working on {database} (step {busy[1]}): a restore would take the ground from under it. "
            "Nothing was changed. Stop it or wait (`retention status`), then restore."
        )


def _take_over(server: Connection, database: str, fresh: str) -> str | None:
    """Give the restored database the name; returns what the former one is called now."""
    kept_as = None
    with server.cursor() as cur:
        cur.execute("select 1 from pg_database where datname = %s", (database,))
        if cur.fetchone() is not None:
            cur.execute("select to_char(clock_timestamp() at time zone 'UTC', 'YYYYMMDD\"t\"HH24MISS')")
            (moment,) = cur.fetchone() or ("",)
            kept_as = f"{database}_before_{moment}"
            _rename(server, database, kept_as)
    _rename(server, fresh, database)
    return kept_as


def _rename(server: Connection, name: str, new_name: str) -> None:
    """Rename a database whoever is connected: nobody gets in between the end of the sessions and the new name."""
    before, after = sql.Identifier(name), sql.Identifier(new_name)
    with server.cursor() as cur:
        cur.execute(sql.SQL("alter database {} with allow_connections false").format(before))
        try:
            cur.execute("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", (name,))
            cur.execute(sql.SQL("alter database {} rename to {}").format(before, after))
        except psycopg2.Error:
            cur.execute(sql.SQL("alter database {} with allow_connections true").format(before))
            raise
        cur.execute(sql.SQL("alter database {} with allow_connections true").format(after))


def _run(program: Path, admin_dsn: str, *arguments: str) -> None:
    """Run a client program against the server; the password goes by the environment, not by the command line."""
    parts = {str(name): str(value) for name, value in parse_dsn(admin_dsn).items()}
    done = subprocess.run(
        [str(program), *arguments], env=os.environ | _libpq(parts), check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        # Its first line names the object and the condition; what follows may quote rows.
        lines = [line for line in done.stderr.splitlines() if "error:" in line]
        first = lines[0].split("error:", 1)[1].strip() if lines else f"exit code {done.returncode}"
        raise BackupError(f"{program.name} failed: {first}. The warehouse in use was not touched.")


def _libpq(parts: Mapping[str, str]) -> dict[str, str]:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}
    return {names[name]: value for name, value in parts.items() if name in names}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
