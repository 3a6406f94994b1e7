"""What a person is told when a night fails, is late or comes through after all: composed, booked, delivered.

Composing is pure, over what the books of the warehouse say. Neither a warehouse that is down nor a receiver that does
not answer stops an alert or anything else: what could not be done is logged, and booked where it can be. The receiver's
URL is a secret and is never part of a message.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import psycopg2

from retention.messenger import URL_VARIABLE, deliver

log = logging.getLogger(__name__)

ZONE = ZoneInfo("Europe/Moscow")
CONNECT_SECONDS = 5
#: How many failed steps a message spells out.
STEPS_TOLD = 3
_SILENT = "it left no message (killed, or it never started); its log in Airflow may say more"

NIGHTLY, ESCALATIONS = "nightly", "escalations"
Kind = Literal["failed", "late", "recovered"]
#: How a channel shows them.
MOODS: dict[Kind, str] = {"failed": "failure", "late": "warning", "recovered": "success"}


@dataclass(frozen=True)
class Run:
    """A run of the DAG as Airflow knows it: the night it stands for and the steps that failed for good.

    `reasons` are of steps that had no batch yet to book theirs.
    """

    as_of: datetime
    run_id: str
    failed: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    is_backfill: bool = False


@dataclass(frozen=True)
class Books:
    """What the warehouse has booked about a night. `served` is the night that BI reads."""

    batch_id: int | None = None
    is_published: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    served: datetime | None = None
    #: (run, step) of everything at work on the warehouse.
    at_work: tuple[tuple[str, str], ...] = ()
    #: The last step that ended, and when; without one, the opening of the batch.
    last_step: str = ""
    last_at: datetime | None = None
    last_alert: str | None = None

    def has_passed(self, as_of: datetime) -> bool:
        """Whether the night of `as_of` is published, or BI reads a newer one and it cannot be any more."""
        return self.is_published or (self.served is not None and self.served > as_of)


@dataclass(frozen=True)
class Alert:
    """What to tell: one line, and everything a person needs to act."""

    kind: Kind
    run: Run
    title: str
    message: str
    batch_id: int | None = None
    about: str = NIGHTLY


def failed_steps(states: Mapping[str, str | None], tables: Sequence[str]) -> tuple[str, ...]:
    """The steps that failed, as ops names them, from Airflow's states by task (`extract_3` is the 4th of `tables`)."""
    steps = []
    for task_id in sorted(task_id for task_id, state in states.items() if state == "failed" and task_id != "alert"):
        step, _, index = task_id.rpartition("_")
        is_mapped = step == "extract" and index.isdigit() and int(index) < len(tables)
        steps.append(f"extract {tables[int(index)]}" if is_mapped else task_id)
    return tuple(steps)


def compose_failed(run: Run, books: Books | None) -> Alert:
    """The night ended without being published; `books` is None when the warehouse does not answer."""
    steps = ", ".join(run.failed[:STEPS_TOLD]) + _more(run.failed)
    if run.is_backfill:
        title = f"Night of {_moscow(run.as_of)} cannot be rebuilt as it was published"
        lines = [f"The backfill of the night of {_moscow(run.as_of)} failed{_named(run, books)}."]
    else:
        title = f"Night of {_moscow(run.as_of)} failed in {steps}"
        lines = [f"The night of {_moscow(run.as_of)} failed{_named(run, books)} and was not published."]
    reasons = run.reasons | (books.reasons if books else {})
    lines += [f"  {step}: {reasons.get(step, _SILENT)}" for step in run.failed[:STEPS_TOLD]]
    if len(run.failed) > STEPS_TOLD:
        lines.append(f"  {_more(run.failed).strip()}: `retention status` lists them")
    lines.append(_served(books))
    start = "start PostgreSQL (`retention up`, or the host of the warehouse), then " if books is None else ""
    if run.is_backfill:
        lines.append(f"Next: {start}look at `retention status` and the log of the task `rebuild`.")
        runbook = "backfill.md"
    else:
        lines.append(
            f"Next: {start}mend the cause, clear the failed tasks of {run.run_id} in Airflow (DAG nightly), or on one "
            "machine `retention run`: the night goes on where it stopped. `retention status` shows more."
        )
        runbook = "failed.md"
    lines.append(f"Runbook: docs/runbooks/{runbook}")
    return Alert("failed", run, title, "\n".join(lines), books.batch_id if books else None)


def compose_late(run: Run, books: Books | None, minutes: float) -> Alert:
    """The night is not published that many minutes after it was due to start."""
    lines = [f"The night of {_moscow(run.as_of)} is not published {minutes:g} minutes after it was queued."]
    if books is not None:
        lines += _progress(run, books)
    lines.append(_served(books))
    lines.append(f"Next: `retention status`, and run {run.run_id} of the DAG nightly in Airflow.")
    lines.append("Runbook: docs/runbooks/late.md")
    title = f"Night of {_moscow(run.as_of)} is late"
    return Alert("late", run, title, "\n".join(lines), books.batch_id if books else None)


def compose_upkeep_failed(run: Run, reason: str | None) -> Alert:
    """A task of upkeep failed: what is past its age is still there."""
    title = f"Upkeep failed in {', '.join(run.failed)}"
    lines = [
        f"Upkeep ({run.run_id}) failed in {', '.join(run.failed)}: {reason or _SILENT}",
        "Personal data past its age may still be there. Nights go on and marts are not touched.",
        f"Next: mend the cause and clear the failed task of {run.run_id} in Airflow, or `retention upkeep`.",
        "Runbook: docs/runbooks/erasure.md",
    ]
    return Alert("failed", run, title, "\n".join(lines))


def compose_escalations_failed(run: Run, reason: str | None) -> Alert:
    """The ten-minute run began to fail; told once, until one comes through."""
    title = "Hand-over every ten minutes fails"
    lines = [
        f"The run that ended at {_moscow(run.as_of)} ({run.run_id}) failed: {reason or _SILENT}",
        "Until it comes through, sensitive episodes may be handed over late: the night does it at the latest.",
        "Marts are not touched. This is told once, and again when it works.",
        "Next: mend the cause; the next run goes on from there. `retention escalations` shows the outbox.",
        "Runbook: docs/runbooks/escalations.md",
    ]
    return Alert("failed", run, title, "\n".join(lines), about=ESCALATIONS)


def compose_escalations_recovered(run: Run, last: str | None) -> Alert | None:
    """One line when the ten-minute run works again; None when the last thing told (`last`) was no failure."""
    if last != "failed":
        return None
    text = f"Hand-over every ten minutes works again since the run that ended at {_moscow(run.as_of)}."
    return Alert("recovered", run, "Hand-over every ten minutes works again", text, about=ESCALATIONS)


def last_about(dsn: str, about: str) -> str | None:
    """The kind of the last alert about a DAG, '' when there was none; None when the warehouse does not answer."""
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=CONNECT_SECONDS)) as conn, conn, conn.cursor() as cur:
            cur.execute("select kind from ops.alerts where about = %s order by alert_id desc limit 1", (about,))
            (kind,) = cur.fetchone() or ("",)
    except psycopg2.Error as error:
        log.warning("the warehouse does not answer: %s", type(error).__name__)
        return None
    return str(kind)


def compose_recovered(run: Run, books: Books) -> Alert | None:
    """One line when a night that was told about is published; None when nobody was told, or told so already."""
    if not books.is_published or books.last_alert not in {"failed", "late"}:
        return None
    text = f"Night of {_moscow(run.as_of)} is published after all: BI shows {_night(books.served)}."
    return Alert("recovered", run, f"Night of {_moscow(run.as_of)} is published", text, books.batch_id)


def read_books(dsn: str, as_of: datetime) -> Books | None:
    """What is booked about the night of `as_of`; None when the warehouse does not answer."""
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=CONNECT_SECONDS)) as conn, conn, conn.cursor() as cur:
            cur.execute(
                "select batch_id, state, opened_at from ops.batches where kind = 'nightly' and as_of = %s", (as_of,)
            )
            batch_id, state, opened_at = cur.fetchone() or (None, None, None)
            cur.execute("select step, message from ops.failures where batch_id = %s order by failed_at", (batch_id,))
            reasons = {str(step): str(message) for step, message in cur.fetchall()}
            cur.execute(
                """select b.as_of from ops.slots s inner join ops.batches b on s.batch_id = b.batch_id
                where s.state = 'live'"""
            )
            (served,) = cur.fetchone() or (None,)
            cur.execute("select holder, step from ops.lease_holds order by holder, step")
            at_work = tuple((str(holder), str(step)) for holder, step in cur.fetchall())
            cur.execute(
                "select step, finished_at from ops.steps where batch_id = %s order by finished_at desc limit 1",
                (batch_id,),
            )
            last_step, last_at = cur.fetchone() or ("", opened_at)
            cur.execute(
                "select kind from ops.alerts where as_of = %s and about = %s order by alert_id desc limit 1",
                (as_of, NIGHTLY),
            )
            (last_alert,) = cur.fetchone() or (None,)
    except psycopg2.Error as error:
        log.warning("the warehouse does not answer: %s", type(error).__name__)
        return None
    return Books(batch_id, state == "published", reasons, served, at_work, last_step, last_at, last_alert)


def raise_alert(alert: Alert, dsn: str | None, url: str | None) -> None:
    """Log, book and deliver an alert. Nothing is raised when that fails: the log and ops.alerts say what was not done.

    `dsn` is the warehouse's, None when it is not to be had; without a `url` the alert is only logged and booked.
    """
    log.error("%s", alert.message)
    alert_id = _book(dsn, alert) if dsn else None
    if not url:
        log.warning("nobody was told: %s is not set", URL_VARIABLE)
        return
    channel, error = deliver(url, alert.title, alert.message, MOODS[alert.kind])
    if error:
        log.error("the alert was not delivered: %s. See docs/runbooks/failed.md", error)
    if dsn and alert_id is not None:
        _book_delivery(dsn, alert_id, channel, error)


def _book(dsn: str, alert: Alert) -> int | None:
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=CONNECT_SECONDS)) as conn, conn, conn.cursor() as cur:
            cur.execute(
                """insert into ops.alerts (kind, batch_id, as_of, run_id, message, about)
                values (%s, %s, %s, %s, %s, %s) returning alert_id""",
                (alert.kind, alert.batch_id, alert.run.as_of, alert.run.run_id, alert.message, alert.about),
            )
            (alert_id,) = cur.fetchone() or (None,)
    except psycopg2.Error as error:
        log.warning("the alert was not booked in ops.alerts: %s", type(error).__name__)
        return None
    return None if alert_id is None else int(alert_id)


def _book_delivery(dsn: str, alert_id: int, channel: str, problem: str | None) -> None:
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=CONNECT_SECONDS)) as conn, conn, conn.cursor() as cur:
            cur.execute(
                """update ops.alerts set channel = %(channel)s, error = %(error)s,
                    delivered_at = case when %(error)s::text is null then clock_timestamp() end
                where alert_id = %(alert_id)s""",
                {"channel": channel, "error": problem, "alert_id": alert_id},
            )
    except psycopg2.Error as error:
        log.warning("the delivery was not booked in ops.alerts: %s", type(error).__name__)


def _progress(run: Run, books: Books) -> list[str]:
    """Where a late night stands."""
    if books.batch_id is None:
        return ["It has not begun: no batch was opened for it."]
    lines = [f"  {step} failed: {reason}" for step, reason in list(books.reasons.items())[:STEPS_TOLD]]
    since = f"since {_moscow(books.last_at)}" + (f", when {books.last_step} ended" if books.last_step else "")
    own = [step for holder, step in books.at_work if holder == run.run_id]
    if own:
        lines.append(f"It is in {', '.join(own)}, {since}.")
    elif not lines:
        lines.append(f"No step of it is at work {since}.")
    others = [f"The warehouse is held by run {holder} ({step})." for holder, step in books.at_work if step not in own]
    return lines + others[:1]


def _named(run: Run, books: Books | None) -> str:
    batch = f"batch {books.batch_id}, " if books and books.batch_id else ""
    return f" ({batch}run {run.run_id})"


def _served(books: Books | None) -> str:
    if books is None:
        return "The warehouse does not answer: BI cannot read it either, and nothing more is known about the night."
    return f"Marts were not touched: BI shows {_night(books.served)}."


def _night(served: datetime | None) -> str:
    return "nothing yet, for no night was ever published" if served is None else f"the night of {_moscow(served)}"


def _moscow(instant: datetime | None) -> str:
    return "the start" if instant is None else f"{instant.astimezone(ZONE):%Y-%m-%d %H:%M} Moscow"


def _more(steps: Sequence[str]) -> str:
    return f" and {len(steps) - STEPS_TOLD} more" if len(steps) > STEPS_TOLD else ""
