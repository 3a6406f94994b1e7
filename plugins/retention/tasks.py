"""Airflow's side of the night: each task resolves Connections, and passes plain values on to `retention.night`.

Imports of the rooms are inside the tasks: Airflow parses DAG files often. Every task may be cleared and run again: a
published batch is left alone, an unfinished one is continued.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import get_current_context, task
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert, deadline_reference
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from datetime import datetime

    from retention.alerts import Alert, Books, Run
    from retention.night import Night

log = logging.getLogger(__name__)

#: Extraction shares the sources with the operator's own load; its pool bounds how many tables are read at once.
SOURCE_POOL = "sources"
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "data-platform",
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}
#: How long after it was queued a night is late. Counted from there, nights of a simulated past are not late at once.
DEADLINE_MINUTES = float(os.environ.get("RETENTION_NIGHT_DEADLINE_MINUTES", "240"))
BACKFILL = "backfill"
#: The XCom that these steps leave their reason in when they fail: there is no batch yet to book it under.
REASON = "reason"
UNBOOKED = ("open_batch", "supplied_tables")


class BatchRef(TypedDict):
    """What tasks hand on: the night's batch and the run that holds the lease for it."""

    batch_id: int
    run_id: str


def _dsn(conn_id: str) -> str:
    """The URL of an Airflow Connection: libpq's for PostgreSQL, SQLAlchemy's for other databases."""
    from airflow.sdk import Connection

    from retention.sources.urls import connection_url

    conn = Connection.get(conn_id)
    return connection_url(
        conn.conn_type, conn.login, conn.password, conn.host, conn.port, conn.schema, conn.extra_dejson
    )


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
    """Open the night of this run's data interval, or continue it. A backfill opens nothing: `rebuild` is its work."""
    context = get_current_context()
    if context["dag_run"].run_type == BACKFILL:
        raise AirflowSkipException("a backfill loads and publishes nothing: the task `rebuild` does its work")
    run_id, as_of = str(context["run_id"]), context["data_interval_end"]
    if as_of is None:
        raise ValueError(
            f"run {run_id} has no data interval, so no as_of: trigger it with a logical date. Nothing was done."
        )
    with _explained():
        return {"batch_id": _night(run_id).open(as_of), "run_id": run_id}


@task
def supplied_tables(batch: BatchRef) -> list[str]:
    """The canonical tables that the installation's profile supplies."""
    with _explained():
        return _night(batch["run_id"]).supplied_tables()


@task(pool=SOURCE_POOL, map_index_template="{{ table_name }}")
def extract(table: str, batch: BatchRef) -> int:
    """Load one table from its source in one snapshot; returns the rows appended to raw."""
    get_current_context()["table_name"] = table  # type: ignore[typeddict-unknown-key]
    with _refusals_are_final():
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
def hand_over(batch: BatchRef) -> None:
    """Sensitive episodes into the outbox, but those that a ten-minute run has handed over."""
    _night(batch["run_id"]).hand_over(batch["batch_id"])


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


@task
def remove_expired(kinds: list[str]) -> int:
    """Remove what is past its age, of these kinds (seed retention_periods); returns the rows."""
    from retention.erasure.upkeep import Upkeep
    from retention.sources.profile import FilesSource, load_profile

    context = get_current_context()
    run_id, as_of = str(context["run_id"]), context["data_interval_end"]
    if as_of is None:
        raise AirflowFailException(f"run {run_id} has no data interval: nothing says what is old. Nothing was removed.")
    night = _night(run_id)
    tables = load_profile(night.profile).tables
    files = frozenset(name for name, source in tables.items() if isinstance(source, FilesSource))
    return sum(done.rows for done in Upkeep(night.etl_dsn, night.project, files, run_id).run(as_of, kinds))


@task(retries=1, retry_delay=timedelta(seconds=30), retry_exponential_backoff=0)
def run_escalations() -> int:
    """What was written in the last ten minutes: load, check, read, transform, hand over; returns how many were new."""
    from retention import alerts
    from retention.handover.live import NotNowError
    from retention.handover.run import ShortRun

    run = _run()
    night = _night(run.run_id)
    short_run = ShortRun(
        night.etl_dsn, night.source_dsn, night.project, night.work, night.profile, run.run_id, night.environment
    )
    try:
        done = short_run.run(run.as_of)
    except NotNowError as error:
        raise AirflowSkipException(str(error)) from None
    if told := alerts.compose_escalations_recovered(run, alerts.last_about(night.etl_dsn, alerts.ESCALATIONS)):
        _tell(told)
    return done.handed or 0


# One at a time: two would share dbt's folder, and two cores.
@task(trigger_rule="all_skipped", retries=0, max_active_tis_per_dag=1)
def rebuild() -> None:
    """In a backfill only: build the published night again from its loads, beside the marts, and compare."""
    run = _run()
    if _night(run.run_id).rebuild(run.as_of) is None:
        raise AirflowSkipException(
            f"the night of {run.as_of.isoformat()} was never published: there is nothing to rebuild it from or to "
            "compare it with. Nothing was loaded. A night that is due is run by `retention run` or a trigger."
        )


@task(trigger_rule="all_done")
def alert() -> None:
    """Tell a person, once, when the night failed, and when one that failed came through. A failed night fails here."""
    from retention import alerts

    context = get_current_context()
    instance, run_id = context["ti"], str(context["run_id"])
    states = instance.get_task_states(dag_id=instance.dag_id, run_ids=[run_id])[run_id]
    failed = alerts.failed_steps(states, instance.xcom_pull(task_ids="supplied_tables") or [])
    reasons = {step: instance.xcom_pull(task_ids=step, key=REASON) for step in failed if step in UNBOOKED}
    run = _run(failed, {step: reason for step, reason in reasons.items() if reason})
    books = _books(run)
    if run.failed:
        told = alerts.compose_failed(run, books)
        _tell(told)
        # Not retried, but cleared with whatever else failed: then it speaks again.
        raise AirflowFailException(told.title)
    if books and (told_after := alerts.compose_recovered(run, books)):
        _tell(told_after)


def night_is_late(context: dict[str, Any]) -> None:
    """What Airflow's Deadline Alert calls, in a worker: tell a person where a night stands that should be published."""
    from datetime import datetime

    from retention import alerts

    found = context["dag_run"]
    if found["data_interval_end"] is None:
        log.warning("run %s has no data interval, so it stands for no night: nobody was told", found["dag_run_id"])
        return
    run = alerts.Run(datetime.fromisoformat(found["data_interval_end"]), found["dag_run_id"])
    books = _books(run)
    if found["run_type"] != BACKFILL and not (books and books.has_passed(run.as_of)):
        _tell(alerts.compose_late(run, books, DEADLINE_MINUTES))


def upkeep_failed(context: Any) -> None:
    """What Airflow calls in the worker when a task of upkeep failed for good: tell a person."""
    from retention import alerts
    from retention.warehouse.batches import reason_of

    run = alerts.Run(context["data_interval_end"], str(context["run_id"]), (str(context["ti"].task_id),))
    error = context.get("exception")
    _tell(alerts.compose_upkeep_failed(run, reason_of(error) if isinstance(error, Exception) else None))


def escalations_failed(context: Any) -> None:
    """What Airflow calls in the worker when a ten-minute run failed for good: tell a person, when it is the first."""
    from retention import alerts
    from retention.warehouse.batches import reason_of

    run = alerts.Run(context["data_interval_end"], str(context["run_id"]), (str(context["ti"].task_id),))
    error = context.get("exception")
    dsn = _warehouse()
    before = alerts.last_about(dsn, alerts.ESCALATIONS) if dsn else None
    if before is None:
        # The warehouse does not answer, and has no place to book it: Airflow knows whether the run before failed, too.
        last_good = context.get("prev_data_interval_end_success")
        is_first = last_good is None or last_good >= context["data_interval_start"]
    else:
        is_first = before != "failed"
    if is_first:
        _tell(alerts.compose_escalations_failed(run, reason_of(error) if isinstance(error, Exception) else None))
    else:
        log.error("the run failed again; a person was told before")


@deadline_reference()
class RunCreated(BaseDeadlineReference):
    """The moment a run is created; ui.py registers it with Airflow.

    Airflow's own DAGRUN_QUEUED_AT comes to the same, but 3.3.2 cannot clear a task of a run with it: it computes the
    deadline anew from an interval that it stored in another form, and answers 500.
    """

    def _evaluate_with(self, *, session: Any, **kwargs: Any) -> "datetime":  # noqa: ARG002 - Airflow's signature
        from airflow.sdk import timezone

        return timezone.utcnow()


#: Called in a worker of the executor: it needs no triggerer, and has the tasks' environment and Connections.
DEADLINE = DeadlineAlert(
    reference=RunCreated(),
    interval=timedelta(minutes=DEADLINE_MINUTES),
    callback=SyncCallback(night_is_late),
    name="night is late",
)


def _run(failed: tuple[str, ...] = (), reasons: dict[str, str] | None = None) -> "Run":
    """The present run, for alerts."""
    from retention.alerts import Run

    context = get_current_context()
    run_id, as_of = str(context["run_id"]), context["data_interval_end"]
    if as_of is None:
        raise AirflowFailException(f"run {run_id} has no data interval, so it stands for no night: nobody was told")
    return Run(as_of, run_id, failed, reasons or {}, is_backfill=context["dag_run"].run_type == BACKFILL)


def _books(run: "Run") -> "Books | None":
    from retention.alerts import read_books

    dsn = _warehouse()
    return read_books(dsn, run.as_of) if dsn else None


def _tell(told: "Alert") -> None:
    from retention.alerts import raise_alert
    from retention.messenger import URL_VARIABLE

    raise_alert(told, _warehouse(), os.environ.get(URL_VARIABLE))


def _warehouse() -> str | None:
    """The warehouse's URL; None when Airflow cannot give it: an alert is sent all the same."""
    try:
        return _dsn("warehouse_etl")
    except Exception as error:  # noqa: BLE001 - whatever keeps the Connection from us is no reason to be silent
        log.warning("the Connection warehouse_etl is not to be had: %s", type(error).__name__)
        return None


@contextmanager
def _refusals_are_final() -> Iterator[None]:
    """Fail at once where the source itself is refused: a retry would read it whole again, and be refused again."""
    from retention.extract.errors import DriftError, ReconciliationError, VolumeError

    try:
        yield
    except (DriftError, ReconciliationError, VolumeError) as error:
        raise AirflowFailException(str(error)) from None


@contextmanager
def _explained() -> Iterator[None]:
    """Leave the reason of a failure where the task `alert` finds it."""
    try:
        yield
    except Exception as error:
        from retention.warehouse.batches import reason_of

        get_current_context()["ti"].xcom_push(key=REASON, value=reason_of(error))
        raise
