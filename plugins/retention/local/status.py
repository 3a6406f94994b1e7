"""The platform's state for a person: the last night from its books, and the sources as the doctor finds them."""

from contextlib import closing

import psycopg2
from psycopg2.extensions import connection as Connection
from rich.console import Console
from rich.table import Table

from retention.local import processes, settings
from retention.local.home import Home
from retention.sources import doctor
from retention.sources.profile import load_profile

_BATCH = """
select batch_id, kind, to_char(as_of at time zone 'Europe/Moscow', 'YYYY-MM-DD HH24:MI'), state, run_id
from ops.batches order by opened_at desc limit 1
"""
#: Tables of `status`: title, columns and query. %(batch)s is the last batch.
_TABLES = (
    (
        "Steps",
        ("step", "rows", "seconds"),
        """
        select step, rows, seconds
        from ops.steps where batch_id = %(batch)s and step not like 'extract %%' order by finished_at
        """,
    ),
    (
        "Steps that failed",
        ("step", "why"),
        "select step, message from ops.failures where batch_id = %(batch)s order by failed_at",
    ),
    (
        "Loads",
        ("table", "read", "appended", "deleted", "rejected", "seconds"),
        """
        select table_name, rows_read, rows_appended, keys_deleted, rows_rejected, seconds
        from ops.loads where batch_id = %(batch)s order by table_name
        """,
    ),
    (
        "Checks that did not pass",
        ("gate", "table", "check", "severity", "rows", "message"),
        """
        select gate, table_name, check_name, severity, rows_failed, message
        from ops.checks where batch_id = %(batch)s and not is_passed order by severity, gate, table_name, check_name
        """,
    ),
    (
        "Slots",
        ("slot", "state", "batch", "since (UTC)"),
        """
        select slot, state, batch_id::text, to_char(changed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
        from ops.slots order by slot
        """,
    ),
    (
        "At work (lease)",
        ("run", "step", "process", "last sign of life (UTC)"),
        """
        select holder, step, process, to_char(heartbeat_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
        from ops.lease_holds order by step
        """,
    ),
)


def show_status(home: Home, console: Console) -> None:
    """Processes, the last batch with its steps, loads and failed checks, slots, lease."""
    console.print(f"  Airflow: {', '.join(sorted(processes.alive(home))) or 'not running'}", highlight=False)
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn, conn.cursor() as cur:
        cur.execute(_BATCH)
        batch = cur.fetchone()
        if batch is None:
            console.print("  no night was run yet: `retention run`", highlight=False)
            return
        batch_id, kind, as_of, state, run_id = batch
        console.print(f"  batch {batch_id}: {kind} as of {as_of} Moscow, {state}; run {run_id}", highlight=False)
        for title, columns, query in _TABLES:
            console.print(_table(conn, title, columns, query, batch_id))


def show_diagnosis(home: Home, console: Console) -> bool:
    """What the profile in force maps and lacks, and which marts suffer; returns whether a night can run."""
    environment = settings.environment(home)
    profile = load_profile(environment["RETENTION_SOURCES"]).resolved(environment)
    manifest = home.work / "dbt" / "marts_a" / "manifest.json"
    if not manifest.exists():
        from retention.transform import Dbt, Project

        # Before the first night nobody has parsed the models; parsing writes the manifest and connects to nothing.
        manifest.parent.mkdir(parents=True, exist_ok=True)
        Dbt(Project(home.project / "dbt_project", manifest.parent, settings.dsn(home, "warehouse", "etl")))
    marts = doctor.marts_of_manifest(manifest)
    diagnosis = doctor.diagnose(profile, settings.source_dsns(home), marts)
    table = Table(title=f"Profile {diagnosis.profile}", title_justify="left")
    for column in ("table", "state", "from", "mapped", "not supplied", "in the source only"):
        table.add_column(column)
    for found in diagnosis.tables:
        table.add_row(
            found.table, found.state, found.origin, str(len(found.mapped)) if found.mapped else "",
            ", ".join((*(f"{name} (required)" for name in found.missing_required), *found.missing)),
            ", ".join(found.unmapped),
        )  # fmt: skip
    console.print(table)
    for found in diagnosis.tables:
        if found.problem:
            console.print(f"  {found.table}: {found.problem}", markup=False, highlight=False, soft_wrap=True)
    for mart in diagnosis.marts:
        verdict = "will be empty" if mart.is_empty else "will lack something"
        console.print(f"  mart {mart.mart} {verdict}: no {', '.join(mart.lacking)}", highlight=False, soft_wrap=True)
    return diagnosis.is_healthy


def _table(conn: Connection, title: str, columns: tuple[str, ...], query: str, batch_id: int) -> Table:
    with conn.cursor() as cur:
        cur.execute(query, {"batch": batch_id})
        rows = cur.fetchall()
    table = Table(title=title, title_justify="left", caption=None if rows else "none", caption_justify="left")
    for column in columns:
        table.add_column(
            column, justify="right" if rows and isinstance(rows[0][len(table.columns)], int | float) else "left"
        )
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
