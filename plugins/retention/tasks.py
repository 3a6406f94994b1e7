"""Airflow's side of the night: each task resolves Connections, and passes plain values on to `retention.night`.

Imports of the rooms are inside the tasks: Airflow parses DAG files often. Every task may be cleared and run again: a
published batch is left alone, an unfinished one is continued.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import get_current_context, task

if TYPE_CHECKING:
    from retention.night import Night

#: Extraction shares the sources with the operator's own load; its pool bounds how many tables are read at once.
SOURCE_POOL = "sources"
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "data-platform",
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}


class BatchRef(TypedDict):
    """What tasks hand on: the night's batch and the run that holds the lease for it."""

    batch_id: int
    run_id: str


def _dsn(conn_id: str) -> str:
    """A libpq URL for an Airflow Connection."""
    from urllib.parse import quote

    from airflow.sdk import Connection

    conn = Connection.get(conn_id)
    login = f"{quote(conn.login or '', safe='')}:{quote(conn.password or '', safe='')}"
    options = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in conn.extra_dejson.items())
    return f"postgresql://{login}@{conn.host}:{conn.port or 5432}/{conn.schema}" + (f"?{options}" if options else "")


def _night(run_id: str) -> "Night":
    from retention.night import Night

    project = Path(os.environ.get("RETENTION_PROJECT", Path(__file__).resolve().parents[2]))
    return Night(
        etl_dsn=_dsn("warehouse_etl"),
        publisher_dsn=_dsn("warehouse_publisher"),
        source_dsn=_dsn,
        project=project,
        work=Path(os.environ.get("RETENTION_WORK", project / ".local" / "work")),
        profile=os.environ.get("RETENTION_SOURCES", "simulator"),
        run_id=run_id,
        environment=os.environ,
    )


@task
def open_batch() -> BatchRef:
    """Open the night of this run's data interval, or continue it."""
    context = get_current_context()
    run_id, as_of = str(context["run_id"]), context["data_interval_end"]
    if as_of is None:
        raise ValueError(
            f"run {run_id} has no data interval, so no as_of: trigger it with a logical date. Nothing was done."
        )
    return {"batch_id": _night(run_id).open(as_of), "run_id": run_id}


@task
def supplied_tables(batch: BatchRef) -> list[str]:
    """The canonical tables that the installation's profile supplies."""
    return _night(batch["run_id"]).supplied_tables()


@task(pool=SOURCE_POOL, map_index_template="{{ table_name }}")
def extract(table: str, batch: BatchRef) -> int:
    """Load one table from its source in one snapshot; returns the rows appended to raw."""
    get_current_context()["table_name"] = table  # type: ignore[typeddict-unknown-key]
    return _night(batch["run_id"]).extract(batch["batch_id"], table)


@task(retries=0)
def check_raw(batch: BatchRef) -> None:
    """Great Expectations on tonight's loads: critical stops the night."""
    _night(batch["run_id"]).check_raw(batch["batch_id"])


@task
def read_texts(batch: BatchRef) -> None:
    """Language signals of new messages."""
    _night(batch["run_id"]).read_texts(batch["batch_id"])


@task
def transform(batch: BatchRef) -> None:
    """dbt: staging and intermediate."""
    _night(batch["run_id"]).transform(batch["batch_id"])


@task
def track_outcomes(batch: BatchRef) -> None:
    """Who left, stayed, came back: survival and retention metrics."""
    _night(batch["run_id"]).track_outcomes(batch["batch_id"])


@task
def build_marts(batch: BatchRef) -> None:
    """dbt: marts, whole, into the idle slot."""
    _night(batch["run_id"]).build_marts(batch["batch_id"])


@task(retries=0)
def check_marts(batch: BatchRef) -> None:
    """Great Expectations and reconciliation on the idle slot: critical stops before publish."""
    _night(batch["run_id"]).check_marts(batch["batch_id"])


@task
def publish(batch: BatchRef) -> None:
    """Show the checked marts to BI, in one transaction."""
    _night(batch["run_id"]).publish(batch["batch_id"])
