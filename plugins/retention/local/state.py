"""The platform's state as plain data, read from the books: for a terminal (status.py) and, as JSON, for machines.

Only reads, and waits for nobody: a night may be running.
"""

import shutil
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection

from retention.local import processes, settings
from retention.local.home import Home
from retention.sources.profile import ProfileError, load_profile

Row = dict[str, Any]
BIGGEST = 8

_NIGHT = """
select nights.*, batches.run_id from marts.trust_nights as nights
inner join ops.batches as batches on nights.batch_id = batches.batch_id
order by nights.opened_at desc limit 1
"""
_PUBLICATION = """
select publications.action, publications.batch_id, batches.as_of, publications.published_at, count(marts.mart) as marts,
    sum(marts.rows)::bigint as rows
from ops.publications as publications
inner join ops.batches as batches on publications.batch_id = batches.batch_id
left join ops.publication_marts as marts on publications.publication_id = marts.publication_id
group by publications.publication_id, batches.as_of
order by publications.publication_id desc limit 1
"""
#: Queries of rows; %(batch)s is the last batch.
_ROWS = {
    "failures": "select step, message, failed_at from ops.failures where batch_id = %(batch)s order by failed_at",
    "steps": """
        select step, rows, round(seconds::numeric, 1)::float as seconds, finished_at
        from ops.steps where batch_id = %(batch)s and step not like 'extract %%' order by finished_at
    """,
    "tables": """
        select
            fresh.table_name as table, fresh.batch_id = %(batch)s as is_loaded_tonight,
            loads.rows_read as read, loads.rows_appended as appended, loads.keys_deleted as deleted,
            loads.rows_rejected as rejected, fresh.rejects_open, fresh.rows_quarantined as quarantined,
            fresh.rows_live as live, fresh.lag_hours::float as lag_hours, fresh.is_late,
            round(loads.seconds::numeric, 1)::float as seconds, fresh.loaded_at
        from marts.trust_freshness as fresh
        inner join ops.loads as loads on fresh.load_id = loads.load_id
        order by fresh.table_name
    """,
    "checks": """
        select gate, count(*) as asked, count(*) filter (where is_passed) as passed,
            count(*) filter (where not is_passed and severity = 'warning') as warnings,
            count(*) filter (where is_quarantined) as quarantined,
            count(*) filter (where not is_passed and severity = 'critical' and not is_quarantined) as critical
        from ops.checks where batch_id = %(batch)s group by gate order by min(check_id)
    """,
    "failed_checks": """
        select gate, table_name as table, check_name as check, severity, is_quarantined, rows_failed as rows, message
        from ops.checks where batch_id = %(batch)s and not is_passed order by severity, gate, table_name, check_name
    """,
    "alerts": """
        select as_of, kind, raised_at, channel, delivered_at, error
        from ops.alerts where raised_at > now() - interval '7 days' order by alert_id desc limit 10
    """,
    "slots": "select slot, state, batch_id, changed_at from ops.slots order by slot",
    "at_work": """
        select holder as run, step, process, heartbeat_at,
            round(extract(epoch from clock_timestamp() - heartbeat_at)::numeric, 1)::float as silent_seconds
        from ops.lease_holds order by step
    """,
}
_SCHEMAS = """
select schemas.nspname as schema, count(*) as tables, sum(pg_total_relation_size(classes.oid))::bigint as bytes
from pg_class as classes inner join pg_namespace as schemas on classes.relnamespace = schemas.oid
where classes.relkind in ('r', 'm') and schemas.nspname !~ '^(pg_|information_schema)'
group by schemas.nspname order by bytes desc
"""
_BIGGEST = """
select classes.oid::regclass::text as table, pg_total_relation_size(classes.oid) as bytes,
    greatest(classes.reltuples, 0)::bigint as rows_about
from pg_class as classes inner join pg_namespace as schemas on classes.relnamespace = schemas.oid
where classes.relkind in ('r', 'm') and schemas.nspname !~ '^(pg_|information_schema)'
order by bytes desc limit %(biggest)s
"""


@dataclass
class State:
    """What `retention status` shows. `night` is None when none was run, `sizes` when a table is being rewritten."""

    airflow: list[str]
    night: Row | None = None
    publication: Row | None = None
    failures: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)
    tables: list[Row] = field(default_factory=list)
    checks: list[Row] = field(default_factory=list)
    failed_checks: list[Row] = field(default_factory=list)
    #: Of the last week, newest first.
    alerts: list[Row] = field(default_factory=list)
    slots: list[Row] = field(default_factory=list)
    at_work: list[Row] = field(default_factory=list)
    #: Tables that the profile supplies and the last night did not load (yet).
    not_loaded: list[str] = field(default_factory=list)
    sizes: Row | None = None


def read_state(home: Home) -> State:
    """The platform's state now. Raises psycopg2.OperationalError when PostgreSQL does not run."""
    state = State(sorted(processes.alive(home)))
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn:
        night = _rows(conn, _NIGHT)
        state.night = night[0] if night else None
        batch = state.night["batch_id"] if state.night else None
        publication = _rows(conn, _PUBLICATION)
        state.publication = publication[0] if publication else None
        for name, query in _ROWS.items():
            setattr(state, name, _rows(conn, query, batch=batch))
        if state.night is not None:
            loaded = {row["table"] for row in state.tables if row["is_loaded_tonight"]}
            state.not_loaded = sorted(_supplied(home, state) - loaded)
        state.sizes = _sizes(conn)
    if state.sizes is not None:
        disk = shutil.disk_usage(home.folder)
        state.sizes |= {"disk_free_bytes": disk.free, "disk_bytes": disk.total}
    return state


def _supplied(home: Home, state: State) -> set[str]:
    """What a night loads; a profile that cannot be read is the doctor's business, so then: what was loaded before."""
    try:
        return set(load_profile(settings.environment(home)["RETENTION_SOURCES"]).tables)
    except (ProfileError, OSError):
        return {row["table"] for row in state.tables}


def _sizes(conn: Connection) -> Row | None:
    """Bytes of schemas and of the biggest tables; None when one of them is locked whole (dbt makes it anew)."""
    try:
        (database,) = _rows(conn, "select pg_database_size(current_database()) as bytes")
        schemas, biggest = _rows(conn, _SCHEMAS), _rows(conn, _BIGGEST, biggest=BIGGEST)
    except errors.LockNotAvailable:
        return None
    return {"database_bytes": database["bytes"], "schemas": schemas, "tables": biggest}


def _rows(conn: Connection, query: str, **parameters: object) -> list[Row]:
    with conn, conn.cursor() as cur:
        cur.execute("set local lock_timeout = '1s'")
        cur.execute(query, parameters or None)
        names = [column.name for column in cur.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cur.fetchall()]
