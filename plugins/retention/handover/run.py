"""The ten-minute run: what was written since, checked, read, into the live state, and what it shows into the outbox.

It shares code, models and raw with the night, and nothing else: `transform` builds the models that `int_escalations`
needs into schemas of their own. It needs the lease for its short extraction only, and goes on without when it cannot
have it. Safe to repeat: a run that is done does nothing, one that died is continued or gone past by the next.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection

from retention.handover import live
from retention.handover.live import LiveError, NotNowError
from retention.handover.outbox import hand_over
from retention.sources.profile import Profile, load_profile
from retention.transform import Dbt, Project, TransformError
from retention.warehouse import batches
from retention.warehouse.batches import Batch
from retention.warehouse.lease import LeaseError, lease

log = logging.getLogger(__name__)

#: What is loaded; children before their parents, so that a contact's ticket is there.
TABLES = (
    "helpdesk.contacts", "helpdesk.ticket_events", "helpdesk.tickets", "crm.subscription_events", "web.public_reviews",
)  # fmt: skip
TARGET = "int_escalations"
LAYERS = ("staging", "intermediate")
#: A run is due every 600 s: it does not wait longer than this for the lease, and loads next time.
LEASE_WAIT_SECONDS = 110.0
LOCK_WAIT_SECONDS = 5.0


class ShortRunFailed(LiveError):
    """Part of the run could not be done; the rest was, hand-over included. The message says what is missing."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(
            "\n".join((*problems, "What else there was has been handed over. See docs/runbooks/escalations.md"))
        )


@dataclass(frozen=True)
class Done:
    """What a run did; `handed` is None when there was nothing to do, `skipped` says why nothing was loaded."""

    batch_id: int
    handed: int | None
    skipped: str | None
    seconds: float


@dataclass(frozen=True)
class ShortRun:
    """Everything a run needs; `run_id` names the holder of the lease. `source_dsn` gives a source's URL by its name."""

    etl_dsn: str
    source_dsn: Callable[[str], str]
    project: Path
    work: Path
    profile: str
    run_id: str
    environment: Mapping[str, str] = field(repr=False)
    lease_wait_seconds: float = LEASE_WAIT_SECONDS

    def run(self, as_of: datetime) -> Done:
        """One interval that ended at `as_of`. Raises ShortRunFailed when a source or a check failed (the rest is done).

        NotNowError before the first night, or beside another run: nothing is wrong then, and nothing is booked.
        """
        began = time.monotonic()
        with batches.connected(self.etl_dsn, "escalations") as conn:
            if not live.is_possible(conn):
                raise NotNowError(
                    "no night has been built in this warehouse yet: there is nothing to hand over from. Nothing was "
                    "done. Run the first night (`retention run`, or the DAG nightly)."
                )
            profile = load_profile(self.profile).resolved(self.environment)
            batches.bind_profile(conn, profile.name)
            batch = batches.open_batch(conn, as_of, self.run_id, live.KIND)
            if batch.is_published or live.is_behind(conn, batch):
                log.info("batch %d is done, or a later run has gone past it; nothing to do", batch.batch_id)
                return Done(batch.batch_id, None, None, time.monotonic() - began)
            try:
                handed, skipped, problems = self._work(conn, batch, profile)
                if problems:
                    raise ShortRunFailed(problems)  # noqa: TRY301 - it is booked like any other failure
            except NotNowError:
                raise
            except Exception as error:
                if not conn.closed:
                    batches.book_failure(conn, batch.batch_id, live.KIND, error)
                raise
            batches.finish(conn, batch.batch_id)
            return Done(batch.batch_id, handed, skipped, time.monotonic() - began)

    def _work(self, conn: Connection, batch: Batch, profile: Profile) -> tuple[int, str | None, list[str]]:
        # Parsed before the lease is asked for: nobody is to wait for that.
        dbt = self._dbt()
        skipped, problems = self._extract(conn, batch, profile, dbt)
        with live.locked(self.etl_dsn, LOCK_WAIT_SECONDS):
            live.begin(conn, batch, TABLES)
            problems += self._check(conn, batch, set(profile.tables))
            problems += self._read_texts(conn, batch)
            self._transform(conn, batch, dbt)
            with batches.recorded_step(conn, batch.batch_id, "hand_over") as report:
                report.rows = hand_over(conn, batch, live.KIND, f"{live.PREFIX}intermediate")
        return report.rows, skipped, problems

    def _extract(self, conn: Connection, batch: Batch, profile: Profile, dbt: Dbt) -> tuple[str | None, list[str]]:
        """Load what was written since, under the lease; returns why not, and what went wrong."""
        problems: list[str] = []
        held = False
        try:
            with (
                lease(self.etl_dsn, self.run_id, "extract", self.lease_wait_seconds, live.BESIDE),
                batches.recorded_step(conn, batch.batch_id, "extract") as report,
            ):
                held = True
                waiting = self._load(batch, profile, problems)
                report.detail = {"waiting": waiting, "failed": len(problems)}
                problems += self._apply_seeds(conn, dbt)
        except LeaseError as error:
            if held:
                raise
            skipped = str(error)
            log.warning("nothing was loaded: %s", skipped)
            with batches.recorded_step(conn, batch.batch_id, "extract") as report:
                report.detail = {"skipped": skipped}
            if changed := _changed_seeds(conn, dbt):
                problems.append(_keep_seeds(conn, dbt, changed, skipped))
            return skipped, problems
        return None, problems

    def _load(self, batch: Batch, profile: Profile, problems: list[str]) -> list[str]:
        from retention.extract.errors import ExtractError, NothingNewError, WaitsForNightError
        from retention.extract.load import extract_table

        connections = {name: self.source_dsn(name) for name in profile.connections}
        waiting = []
        for table in TABLES:
            if table not in profile.tables:
                continue
            try:
                extract_table(
                    self.etl_dsn, table, profile, connections, batch.batch_id, batch.as_of, self.environment,
                    is_short=True,
                )  # fmt: skip
            except NothingNewError as error:
                log.info("%s", error)
            except WaitsForNightError as error:
                waiting.append(str(error))
                log.warning("%s", error)
            except ExtractError as error:
                # One source that fails must not keep the others' threats waiting.
                problems.append(str(error))
                log.error("%s", error)  # noqa: TRY400 - a traceback tells nothing more
        return waiting

    def _apply_seeds(self, conn: Connection, dbt: Dbt) -> list[str]:
        """Load seeds of ours that were edited since they were loaded; where that cannot be, go on with those loaded."""
        changed = _changed_seeds(conn, dbt)
        if not changed:
            return []
        if live.is_night_half_built(conn):
            return [_keep_seeds(conn, dbt, changed, "a night is being built with those before.")]
        hashes = dbt.hashes("seed")
        try:
            dbt.build_seeds({name: digest for name, digest in hashes.items() if name not in changed})
        except TransformError as error:
            return [_keep_seeds(conn, dbt, changed, str(error))]
        batches.record_hashes(conn, {name: hashes[name] for name in changed})
        return []

    def _check(self, conn: Connection, batch: Batch, supplied: Collection[str]) -> list[str]:
        """The gate of raw on what no night has checked; loads of a table that fails are left for the next run."""
        problems: list[str] = []
        with batches.recorded_step(conn, batch.batch_id, "check_raw") as report:
            if not live.to_check(conn):
                return problems
            from retention.erasure.suppression import suppress_batch
            from retention.quality.gate import run_gate
            from retention.quality.verdict import GateFailed

            with conn, conn.cursor() as cur:
                suppress_batch(cur, self.environment, is_short=True)
            while True:
                try:
                    run_gate(
                        self.etl_dsn, "raw", batch.batch_id, self.project / "expectations", "raw", supplied,
                        is_short=True,
                    )  # fmt: skip
                    break
                except GateFailed as failed:
                    tables = {check.table for check in failed.verdict.critical_failures}
                    report.detail["left out"] = sorted({*report.detail.get("left out", ()), *tables})
                    problems.append(f"{', '.join(sorted(tables))} is left out of the hand-over. {failed}")
                    if not live.leave_out(conn, tables):
                        raise
        return problems

    def _read_texts(self, conn: Connection, batch: Batch) -> list[str]:
        """Signals of the run's messages; while a night reads texts, they are left for the next run."""
        from retention.text.model_file import model_path
        from retention.text.read import read_texts
        from retention.text.store import MESSAGES, BusyError

        if not live.to_check(conn) & set(MESSAGES):
            return []

        with batches.recorded_step(conn, batch.batch_id, "read_texts") as report:
            seeds = self.project / "dbt_project" / "seeds"
            try:
                read = read_texts(conn, batch.batch_id, seeds, model_path(self.environment), is_short=True)
            except BusyError as error:
                live.leave_out(conn, MESSAGES)
                report.detail["left out"] = sorted(MESSAGES)
                return [f"{', '.join(sorted(MESSAGES))}: left out of the hand-over until the next run. {error}"]
            report.rows = read.messages + read.replies
        return []

    def _transform(self, conn: Connection, batch: Batch, dbt: Dbt) -> None:
        with batches.recorded_step(conn, batch.batch_id, "transform") as report:
            names = dbt.upstream(TARGET)
            built = dbt.build_models(LAYERS, live.applied(conn, names), names)
            hashes = {name: digest for layer in LAYERS for name, digest in dbt.hashes(layer).items()}
            live.record(conn, {name: hashes[name] for name in built.refreshed})
            live.consume(conn, batch)
            report.rows = sum(built.rows.values())
            report.detail = {
                "seconds": {
                    name: round(value, 2) for name, value in sorted(built.seconds.items(), key=lambda i: -i[1])
                },
                "refreshed": built.refreshed,
            }

    def _dbt(self) -> Dbt:
        target = self.work / "dbt" / "live"
        target.mkdir(parents=True, exist_ok=True)
        return Dbt(
            Project(
                self.project / "dbt_project", target, self.etl_dsn,
                schema_prefix=live.PREFIX, run_schema=live.RUN_SCHEMA,
            )
        )  # fmt: skip


def _changed_seeds(conn: Connection, dbt: Dbt) -> list[str]:
    """Seeds that the hand-over is built from and that are not what the warehouse holds."""
    hashes = dbt.hashes("seed")
    return sorted(name for name in dbt.upstream(TARGET, "seed") if batches.applied_hash(conn, name) != hashes[name])


def _keep_seeds(conn: Connection, dbt: Dbt, changed: Sequence[str], why: str) -> str:
    """Go on with what the warehouse holds of some seeds; returns what to tell."""
    dbt.pin_seeds({name: digest for name in changed if (digest := batches.applied_hash(conn, name)) is not None})
    return f"seeds {', '.join(changed)} changed and could not be loaded; those before decided. {why}"
