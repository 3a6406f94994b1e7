"""`retention backup` and `restore`: of this machine's warehouse, or of the server that the environment names."""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn

from retention import backup
from retention.erasure.acts import read_hashes
from retention.local import settings
from retention.local.erasing import dsn, eraser
from retention.local.home import Home, LocalError
from retention.local.postgres import binary
from retention.sources.contract import create_raw_tables
from retention.warehouse.install import install_schemas

WAREHOUSE = "warehouse"
#: What a server of one's own needs besides RETENTION_ADMIN_URL.
NEEDED = ("AIRFLOW_CONN_WAREHOUSE_ETL", "AIRFLOW_CONN_WAREHOUSE_PUBLISHER", "RETENTION_WORK")


@dataclass(frozen=True)
class Place:
    """The server whose warehouse is meant: a superuser's DSN, the roles' of its warehouse, the folder of backups."""

    admin_dsn: str
    etl_dsn: str
    publisher_dsn: str
    folder: Path


def place(home: Home, environment: Mapping[str, str] = os.environ) -> Place:
    """The server of RETENTION_ADMIN_URL if that is set (production), else this machine's.

    LocalError when it is set and what erases there (the roles' connections, the folder of acts) is not.
    """
    folder = Path(environment.get("RETENTION_BACKUPS") or home.folder / "backups")
    admin = environment.get("RETENTION_ADMIN_URL")
    if admin is None:
        etl, publisher = (settings.dsn(home, WAREHOUSE, role) for role in ("etl", "publisher"))
        return Place(home.cluster.dsn("postgres"), etl, publisher, folder)
    missing = [name for name in NEEDED if not environment.get(name)]
    if missing:
        raise LocalError(
            f"RETENTION_ADMIN_URL is set and not {', '.join(missing)}: erasures would be looked for on this machine. "
            "Nothing was done. See docs/runbooks/backup.md"
        )
    return Place(admin, dsn(environment, "etl"), dsn(environment, "publisher"), folder)


def back_up(where: Place) -> tuple[Path, backup.Backup]:
    """Back up the warehouse; returns the new folder and what is in it."""
    path = backup.back_up(where.admin_dsn, WAREHOUSE, where.folder, binary)
    return path, backup.read_backup(path)


def choose(where: Place, name: str | None) -> Path:
    """The backup of that name or path, the newest one without a name; LocalError lists what there is."""
    known = backup.find_backups(where.folder)
    if name is None and known:
        return known[-1]
    wanted = [path for path in (where.folder / str(name), Path(str(name))) if path.is_dir()]
    if name is None or not wanted:
        listed = ", ".join(path.name for path in known) or "none"
        raise LocalError(f"no such backup{f' as {name}' if name else ''} in {where.folder} (there: {listed})")
    return wanted[0]


def restore(home: Home, where: Place, path: Path) -> backup.Restored:
    """Restore a backup in the place of the warehouse, with the rights and schemas of the present code.

    Whom the acts in the work folder are about, or who is on the list of the warehouse that is replaced, is erased again
    before anybody can read the restored one.
    """
    known = suppressed(where.admin_dsn, WAREHOUSE)

    def prepare(database: str) -> None:
        with closing(psycopg2.connect(make_dsn(where.admin_dsn, dbname=database))) as conn:
            install_schemas(conn)
        with closing(psycopg2.connect(make_dsn(where.etl_dsn, dbname=database))) as conn:
            create_raw_tables(conn)
        erasing = eraser(home)
        if known or read_hashes(erasing.work):
            of_the_restored = replace(
                erasing,
                etl_dsn=make_dsn(where.etl_dsn, dbname=database),
                publisher_dsn=make_dsn(where.publisher_dsn, dbname=database),
            )
            of_the_restored.replay("retention restore", known)

    return backup.restore(where.admin_dsn, WAREHOUSE, path, binary, prepare)


def suppressed(admin_dsn: str, database: str) -> list[str]:
    """Hashes of the persons on the list of `database`; none when it is not there."""
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname="postgres"))) as server, server.cursor() as cur:
        cur.execute("select exists (select from pg_database where datname = %s)", (database,))
        if cur.fetchone() != (True,):
            return []
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname=database))) as conn, conn.cursor() as cur:
        cur.execute("select to_regclass('ops.suppressions') is not null")
        if cur.fetchone() != (True,):
            return []
        cur.execute("select subject_hash from ops.suppressions where kind = 'party' order by 1")
        return [subject for (subject,) in cur.fetchall()]
