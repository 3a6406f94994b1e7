"""Nightly build: extract, check, read texts, transform, hand over, track outcomes, build, check, publish; alert.

Safe to run again for any night: each step replaces its own batch, and a published night is left alone. Only `publish`
changes what BI reads; when a check fails, marts keep serving the last published night. A person is told when a night
fails for good or is not published in time: runbooks failed.md and late.md in docs/runbooks/.

A backfill (`airflow backfill create`) neither loads nor publishes: `rebuild` builds each past night again from the
loads it had, beside the marts, and compares it with what was published then. Runbook: docs/runbooks/backfill.md
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
    deadline=tasks.DEADLINE,
    doc_md=__doc__,
    tags=["nightly"],
)
def nightly() -> None:
    """Wire the steps of a night."""
    batch = tasks.open_batch()
    chain(
        loads := tasks.extract.partial(batch=batch).expand(table=tasks.supplied_tables(batch)),
        tasks.check_raw(batch),
        tasks.read_texts(batch),
        tasks.transform(batch),
        tasks.hand_over(batch),
        tasks.track_outcomes(batch),
        tasks.build_marts(batch),
        tasks.check_marts(batch),
        published := tasks.publish(batch),
    )
    # Of `loads` too: the first that fails ends the chain at once, and the others are still at it.
    chain(batch, tasks.rebuild(), done := tasks.alert())
    chain([loads, published], done)


nightly()
