"""One night under Airflow: trigger or continue the run, follow it to its end, say what failed and why."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from textwrap import shorten
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2.extensions import connection as Connection

from retention.local import settings
from retention.local.api import Api
from retention.local.console import Progress
from retention.local.home import Home
from retention.warehouse import batches

DAG_ID = "nightly"
#: Tells a person when the night failed; it is no step of the night and is not shown as one.
ALERT_TASK = "alert"
#: The step that tells in its log how far it has come, and the logger it does so with.
READING_TASK, PROGRESS_LOGGER = "read_texts", "retention.text.store"
SOURCE_POOL, SOURCE_SLOTS = "sources", 4
POOL_NOTE = "Tables read from the sources at once"
#: The hour and zone of the DAG's timetable.
ZONE = ZoneInfo("Europe/Moscow")
NIGHT_HOUR = 2
POLL_SECONDS = 0.4
RETRY_MESSAGE_CHARS = 160


@dataclass(frozen=True)
class Task:
    """A task instance as Airflow's metadata has it; `seconds` of its last try."""

    task_id: str
    map_index: int
    label: str
    state: str
    try_number: int
    seconds: float | None

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells one try from another."""
        return (self.task_id, self.map_index, self.try_number)


@dataclass(frozen=True)
class Failure:
    """A task that failed for good."""

    step: str
    message: str
    log: Path


def as_of_night(day: date) -> datetime:
    """The instant a night stands for: 02:00 Moscow of the morning `day`, the end of its data interval."""
    return datetime(day.year, day.month, day.day, NIGHT_HOUR, tzinfo=ZONE)


def run_id_of(as_of: datetime) -> str:
    """The Airflow run of a night."""
    return f"{DAG_ID}__{as_of.astimezone(ZONE).date()}"


def is_published(home: Home, as_of: datetime) -> bool:
    """Whether BI has seen the night of `as_of`."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn.cursor() as cur:
        cur.execute("select 1 from ops.batches where kind = 'nightly' and as_of = %s and state = 'published'", (as_of,))
        return cur.fetchone() is not None


def is_loaded_since_check(home: Home, as_of: datetime) -> bool:
    """Whether a table of the night of `as_of` was loaded again after check_raw had passed."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn:
        with conn, conn.cursor() as cur:
            cur.execute("select batch_id from ops.batches where kind = 'nightly' and as_of = %s", (as_of,))
            row = cur.fetchone()
        return row is not None and bool(batches.loaded_since_check(conn, row[0]))


def launch(home: Home, api: Api, as_of: datetime) -> str:
    """Trigger the night of `as_of`, or have an unfinished one go on; returns its run id."""
    run_id = run_id_of(as_of)
    api.ensure_pool(SOURCE_POOL, SOURCE_SLOTS, POOL_NOTE)
    api.unpause(DAG_ID)
    state = api.run_state(DAG_ID, run_id)
    if state is not None and api.run_type(DAG_ID, run_id) == "backfill":
        # A backfill took an unfinished night for a past one: that run would only ever rebuild.
        api.delete_run(DAG_ID, run_id)
        state = None
    if state is None:
        api.trigger(DAG_ID, run_id, (as_of - timedelta(days=1), as_of))
    elif state == "success" or is_loaded_since_check(home, as_of):
        # Airflow says it is done, the warehouse does not: the warehouse was made anew since. Or what was loaded again
        # is to be checked: loads that are committed are not repeated.
        api.clear(DAG_ID, run_id, only_failed=False)
    else:
        api.clear(DAG_ID, run_id, only_failed=True)
    return run_id


def follow(home: Home, run_id: str, progress: Progress) -> list[Failure]:
    """Show a run's steps as they finish, until it ends; returns what failed, nothing when the night is done."""
    shown: set[tuple[str, int, int]] | None = None
    with (
        closing(psycopg2.connect(home.cluster.dsn("airflow"))) as metadata,
        closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as warehouse,
    ):
        metadata.autocommit = warehouse.autocommit = True
        while True:
            state = _run_state(metadata, run_id)
            tasks = [task for task in _tasks(metadata, run_id) if task.task_id != ALERT_TASK]
            ended = [task for task in tasks if task.state in {"success", "up_for_retry"} and task.seconds is not None]
            if shown is None:
                # The first look at a night that goes on: what it did before is not told again.
                shown = {task.key for task in ended}
                if shown:
                    progress.say(f"continued: {len(shown)} steps were done before")
            for task in ended:
                if task.key not in shown:
                    shown.add(task.key)
                    _show(home, warehouse, run_id, task, progress)
            progress.running([_running(home, run_id, task) for task in tasks if task.state == "running"])
            if state in {"success", "failed"}:
                return [_failure(home, run_id, task) for task in tasks if task.state == "failed"]
            time.sleep(POLL_SECONDS)


def _show(home: Home, warehouse: Connection, run_id: str, task: Task, progress: Progress) -> None:
    if task.state == "up_for_retry":
        message = shorten(_failure(home, run_id, task).message, RETRY_MESSAGE_CHARS)
        progress.warn(f"{task.label} failed and will be tried again: {message}")
        return
    with warehouse.cursor() as cur:
        cur.execute(
            """
            select steps.rows from ops.steps as steps
            inner join ops.batches as batches on steps.batch_id = batches.batch_id
            where batches.run_id = %s and steps.step = %s
            """,
            (run_id, task.label),
        )
        row = cur.fetchone()
    progress.step(task.label, row[0] if row else None, task.seconds or 0.0)


def _running(home: Home, run_id: str, task: Task) -> str:
    """The step's name, with how far it has come where it logs that: reading all texts again may take long."""
    told = last_told(_log_of(home, run_id, task)) if task.task_id == READING_TASK else None
    return task.label if told is None else f"{task.label}: {told}"


def _run_state(metadata: Connection, run_id: str) -> str:
    with metadata.cursor() as cur:
        cur.execute("select state from dag_run where dag_id = %s and run_id = %s", (DAG_ID, run_id))
        (state,) = cur.fetchone() or ("failed",)
    return str(state)


def _tasks(metadata: Connection, run_id: str) -> Iterator[Task]:
    with metadata.cursor() as cur:
        cur.execute(
            """
            select
                task_id, map_index, coalesce(rendered_map_index, ''), coalesce(state, ''), try_number,
                extract(epoch from end_date - start_date)
            from task_instance where dag_id = %s and run_id = %s
            order by end_date, task_id, map_index
            """,
            (DAG_ID, run_id),
        )
        for task_id, map_index, name, state, try_number, seconds in cur.fetchall():
            label = f"{task_id} {name}".strip()
            yield Task(task_id, map_index, label, state, try_number, None if seconds is None else float(seconds))


def _failure(home: Home, run_id: str, task: Task) -> Failure:
    log = _log_of(home, run_id, task)
    return Failure(task.label, last_error(log), log)


def _log_of(home: Home, run_id: str, task: Task) -> Path:
    log = home.airflow / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}" / f"task_id={task.task_id}"
    if task.map_index >= 0:
        log /= f"map_index={task.map_index}"
    return log / f"attempt={max(task.try_number, 1)}.log"


def last_error(log: Path) -> str:
    """The last error a task logged: the exception's own message where there is one."""
    if not log.exists():
        return "the task ended without a log (killed, or never started)"
    message = "the task ended without an error in its log (killed?)"
    for entry in _entries(log):
        if entry.get("level") not in {"error", "critical"}:
            continue
        detail = entry.get("error_detail")
        if detail:
            # The last of a chain is the exception that was raised.
            message = f"{detail[-1].get('exc_type')}: {detail[-1].get('exc_value')}"
        elif entry.get("event"):
            message = str(entry["event"])
    return re.sub(r"\s+\n", "\n", message.strip())


def last_told(log: Path) -> str | None:
    """The last line in which a reading of texts says how far it has come; None before the first."""
    told = [entry.get("event") for entry in _entries(log) if entry.get("logger") == PROGRESS_LOGGER]
    return str(told[-1]) if told else None


def _entries(log: Path) -> Iterator[dict[str, Any]]:
    """Lines of a task's log; a line that is half written or no JSON is left out."""
    if not log.exists():
        return
    for line in log.read_text(errors="replace").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
