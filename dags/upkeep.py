"""Weekly upkeep: texts, rejects and rows past their age go, then versions of rows that no rebuild needs any more.

Periods are the seed dbt_project/seeds/retention_periods.csv; what went is booked in ops.upkeep. Safe to run again, and
to miss: the next run takes what is left. It waits for a night at work.
Runbook: docs/runbooks/erasure.md
"""

import pendulum
from airflow.sdk import CronDataIntervalTimetable, chain, dag

from retention import tasks


@dag(
    schedule=CronDataIntervalTimetable("0 12 * * 0", timezone="Europe/Moscow"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Moscow"),
    catchup=False,
    max_active_runs=1,
    default_args=tasks.DEFAULT_ARGS | {"on_failure_callback": tasks.upkeep_failed},
    doc_md=__doc__,
    tags=["upkeep"],
)
def upkeep() -> None:
    """Wire what goes first: what people wrote."""
    chain(
        tasks.remove_expired.override(task_id="forget_texts")(["texts", "rejects"]),
        tasks.remove_expired.override(task_id="drop_rows")(["rows"]),
        tasks.remove_expired.override(task_id="compact_versions")(["versions"]),
    )


upkeep()
