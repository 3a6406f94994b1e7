"""Every ten minutes: threats, port requests and their like go to a responsible manager, by the outbox ops.handovers.

Loads what was written since in tickets, their log, contacts, subscription events and reviews, checks and reads it, and
builds with the night's own models (dbt selector `escalations`) in schemas of its own: a night neither waits for it nor
sees half a day. One task, because starting a task costs seconds of a minute. Safe to run again, and to miss: a run
takes up what the one before left, and the night hands over, too; nothing goes out twice.
A person is told once when it begins to fail, and once when it works again. Runbook: docs/runbooks/escalations.md
"""

import pendulum
from airflow.sdk import CronDataIntervalTimetable, dag

from retention import tasks


@dag(
    schedule=CronDataIntervalTimetable("*/10 * * * *", timezone="Europe/Moscow"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Moscow"),
    # Only the last interval: it takes everything there is.
    catchup=False,
    max_active_runs=1,
    default_args=tasks.DEFAULT_ARGS | {"on_failure_callback": tasks.escalations_failed},
    doc_md=__doc__,
    tags=["escalations"],
)
def escalations() -> None:
    """One task."""
    tasks.run_escalations()


escalations()
