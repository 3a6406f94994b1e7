"""Brings Airflow's metadata up to date with this checkout: tables, then DAGs; a process of its own.

Both in one process, because importing Airflow is most of the cost of each; and by the DAG files' hash, so that an
unchanged checkout pays nothing.
"""

import os
import sys
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import psycopg2

from retention.local.home import Home, LocalError


def needed_commands(home: Home) -> list[list[str]]:
    """The `airflow` commands that are due; none on an unchanged checkout. The cluster runs."""
    commands = []
    if _read(home.airflow / "migrated") != _tables_version(home):
        commands.append(["db", "migrate"])
    if commands or _read(home.airflow / "serialized") != dags_hash(home.project):
        commands.append(["dags", "reserialize"])
    return commands


def mark_done(home: Home) -> None:
    """Remember that tables and DAGs are up to date; LocalError when a DAG file does not import."""
    with closing(psycopg2.connect(home.cluster.dsn("airflow"))) as conn, conn.cursor() as cur:
        cur.execute("select filename, stacktrace from import_error order by filename limit 1")
        broken = cur.fetchone()
    (home.airflow / "migrated").write_text(_tables_version(home))
    if broken:
        reason = str(broken[1]).strip().splitlines()[-1]
        raise LocalError(f"dags/{broken[0]} does not import: {reason}. No run was started.")
    (home.airflow / "serialized").write_text(dags_hash(home.project))


def dags_hash(project: Path) -> str:
    """Hash of what a DAG's shape depends on: the DAG files, the tasks, the night's deadline and Airflow's version."""
    files = [*sorted((project / "dags").glob("**/*.py")), project / "plugins" / "retention" / "tasks.py"]
    deadline = os.environ.get("RETENTION_NIGHT_DEADLINE_MINUTES", "")
    digest = sha256(f"{version('apache-airflow')} {deadline}".encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _tables_version(home: Home) -> str:
    """Airflow's version and the revision its database is at; the revision is empty before the first migration."""
    with closing(psycopg2.connect(home.cluster.dsn("airflow"))) as conn, conn.cursor() as cur:
        cur.execute("select to_regclass('alembic_version') is not null")
        (exists,) = cur.fetchone() or (False,)
        if not exists:
            return "none"
        cur.execute("select string_agg(version_num, ',') from alembic_version")
        (revision,) = cur.fetchone() or ("",)
    return f"{version('apache-airflow')} {revision}"


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def main(commands: list[str]) -> None:
    """Run `airflow` commands, each given as one word with spaces, one after the other in this process."""
    from airflow.cli import cli_parser

    for command in commands:
        arguments = cli_parser.get_parser().parse_args(command.split())
        arguments.func(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
