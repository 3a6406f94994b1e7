"""Nightly build: extract, check, read texts, transform, track outcomes, build, check, publish.

Safe to run again for any night: each step replaces its own batch, and a published night is left alone. Only `publish`
changes what BI reads; when a check fails, marts keep serving the last published night.
Runbook: docs/runbooks/nightly.md
"""

import pendulum
from airflow.sdk import CronDataIntervalTimetable, chain, dag

from retention import tasks


@dag(
    # A bare cron string has zero-width data intervals in Airflow 3.
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="Europe/Moscow"),
    # Long ago: a source may come with its history, and a night of it be run by hand.
    start_date=pendulum.datetime(2010, 1, 1, tz="Europe/Moscow"),
    catchup=False,
    max_active_runs=1,
    default_args=tasks.DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["nightly"],
)
def nightly() -> None:
    """Wire the steps of a night."""
    batch = tasks.open_batch()
    chain(
        tasks.extract.partial(batch=batch).expand(table=tasks.supplied_tables(batch)),
        tasks.check_raw(batch),
        tasks.read_texts(batch),
        tasks.transform(batch),
        tasks.track_outcomes(batch),
        tasks.build_marts(batch),
        tasks.check_marts(batch),
        tasks.publish(batch),
    )


nightly()
