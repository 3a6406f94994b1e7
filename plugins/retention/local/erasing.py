"""`retention erase` and `retention upkeep`: of this machine's warehouse, or of the one that the environment names."""

import os
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psycopg2
from rich.console import Console
from rich.table import Table

from retention.erasure.acts import NOTES, Act
from retention.erasure.erase import Eraser
from retention.erasure.pseudonyms import KEY_VARIABLE
from retention.erasure.upkeep import Done, Upkeep
from retention.local import settings
from retention.local.home import Home, LocalError
from retention.sources.profile import FilesSource, load_profile
from retention.sources.urls import url_of_variable


def _environment(home: Home) -> dict[str, str]:
    """This process's, where it names a warehouse (production), else this machine's."""
    return dict(os.environ) if os.environ.get("AIRFLOW_CONN_WAREHOUSE_ETL") else settings.environment(home)


def dsn(environment: Mapping[str, str], role: str) -> str:
    """The role's URL of the warehouse, as the environment has it."""
    return url_of_variable(environment[f"AIRFLOW_CONN_WAREHOUSE_{role.upper()}"])


def eraser(home: Home) -> Eraser:
    """What erases in the warehouse."""
    environment = _environment(home)
    work, drops = Path(environment.get("RETENTION_WORK") or home.work), environment.get("RETENTION_DROPS")
    return Eraser(
        etl_dsn=dsn(environment, "etl"),
        publisher_dsn=dsn(environment, "publisher"),
        project=home.project,
        work=work,
        key=environment.get(KEY_VARIABLE, ""),
        run_id=f"retention erase {os.getpid()}",
        drops=Path(drops) if drops and Path(drops).is_relative_to(work) else None,
    )


def upkeep(home: Home) -> list[Done]:
    """Apply the periods as of the last published night; LocalError before there is one."""
    environment = _environment(home)
    etl = dsn(environment, "etl")
    with closing(psycopg2.connect(etl)) as conn, conn.cursor() as cur:
        cur.execute("select max(as_of) from ops.batches where state = 'published'")
        (as_of,) = cur.fetchone() or (None,)
    if not isinstance(as_of, datetime):
        raise LocalError("no night was published yet: nothing is old. Nothing was removed.")
    files = file_tables(environment.get("RETENTION_SOURCES", "simulator"))
    return Upkeep(etl, home.project, files, f"retention upkeep {os.getpid()}").run(as_of)


def file_tables(profile: str) -> frozenset[str]:
    """Tables that the profile reads from files."""
    return frozenset(name for name, source in load_profile(profile).tables.items() if isinstance(source, FilesSource))


def show_act(act: Act, work: Path, console: Console) -> None:
    """Print an act as a table; it holds no personal data."""
    if not act.rows:
        console.print("  Nothing of this party was left to erase; later loads blank what comes again.", highlight=False)
        return
    table = Table("where", "columns", "rows", box=None, padding=(0, 2), header_style="bold")
    for item in act.items:
        table.add_row(item.place, ", ".join(item.columns), f"{item.rows:,}")
    console.print(table)
    if act.is_dry_run:
        console.print("  A dry run: nothing was changed.", highlight=False)
        return
    console.print(f"  {act.values_searched:,} values were searched for everywhere; none was found.", highlight=False)
    if act.values_shared:
        console.print(
            f"  {act.values_shared:,} values are somebody else's, too, and stay there (names, reassigned numbers).",
            highlight=False,
        )
    if act.unread:
        console.print(f"  Not looked into: {', '.join(act.unread)}", highlight=False)
    for note in NOTES:
        console.print(f"  {note}", highlight=False)
    console.print(f"  Act {act.erasure_id} is in {work / 'acts'}", highlight=False, soft_wrap=True)
