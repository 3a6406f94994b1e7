"""The night, step by step, in plain values: what Airflow's tasks, the tests and the benchmark all run.

Each step takes the lease, makes its batch the current one, calls one room and books what it did in ops.steps. A step of
a published batch does nothing; a step of an unfinished batch replaces what it did before.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg2.extensions import connection as Connection

from retention.transform import Built, Dbt, Project
from retention.warehouse import batches
from retention.warehouse.batches import Batch, Step
from retention.warehouse.lease import lease

if TYPE_CHECKING:
    from retention.rebuild import Comparison
    from retention.sources.profile import Profile

log = logging.getLogger(__name__)

#: The order of a night; `extract` runs once for each table that the profile supplies.
STEPS = (
    "extract", "check_raw", "read_texts", "transform", "hand_over", "track_outcomes", "build_marts", "check_marts",
    "publish",
)  # fmt: skip
#: Another run may hold the lease for one of its stages, not for a night.
LEASE_WAIT_SECONDS = 1800.0


@dataclass(frozen=True)
class Working:
    """An unfinished step in progress: its batch, a connection of role etl, and the report to fill."""

    batch: Batch
    conn: Connection
    report: Step


@dataclass(frozen=True)
class Night:
    """Everything a night needs to know; `run_id` names the holder of the lease."""

    etl_dsn: str
    publisher_dsn: str
    source_dsn: Callable[[str], str]
    project: Path
    work: Path
    profile: str
    run_id: str
    environment: Mapping[str, str] = field(repr=False)
    lease_wait_seconds: float = LEASE_WAIT_SECONDS

    @contextmanager
    def _step(self, batch_id: int, step: str) -> Iterator[Working | None]:
        """Lease, current run and bookkeeping around one step; yields None when BI already sees the batch."""
        with batches.connected(self.etl_dsn, step) as conn:
            try:
                with lease(self.etl_dsn, self.run_id, step, self.lease_wait_seconds):
                    batch = batches.get_batch(conn, batch_id)
                    if batch.is_published:
                        log.info("%s: batch %d is published; nothing to do", step, batch_id)
                        batches.forget_failure(conn, batch_id, step)
                        yield None
                        return
                    batches.set_current_run(conn, batch)
                    with batches.recorded_step(conn, batch_id, step) as report:
                        yield Working(batch, conn, report)
            except Exception as error:
                if not conn.closed:
                    batches.book_failure(conn, batch_id, step, error)
                raise

    def open(self, as_of: datetime) -> int:
        """Open or continue the night of `as_of`; returns its batch id."""
        with batches.connected(self.etl_dsn, "open_batch") as conn:
            batches.bind_profile(conn, self._profile().name)
            return batches.open_batch(conn, as_of, self.run_id).batch_id

    def supplied_tables(self) -> list[str]:
        """The canonical tables that the profile supplies."""
        return sorted(self._profile().tables)

    def extract(self, batch_id: int, table: str, force: bool = False) -> int:
        """Load one table; returns the rows appended to raw."""
        from retention.extract.load import extract_table

        with self._step(batch_id, f"extract {table}") as working:
            if working is None:
                return 0
            profile = self._profile()
            connections = {name: self.source_dsn(name) for name in profile.connections}
            result = extract_table(
                self.etl_dsn, table, profile, connections, batch_id, working.batch.as_of, self.environment, force
            )
            working.report.rows = result.rows_appended
            working.report.detail = {"read": result.rows_read, "rejected": result.rows_rejected}
            return result.rows_appended

    def check_raw(self, batch_id: int) -> None:
        """Gate tonight's loads; GateFailed stops the night before anything is built."""
        from retention.erasure.suppression import suppress_batch
        from retention.handover import live
        from retention.quality.gate import run_gate
        from retention.quality.loss import check_loss

        with self._step(batch_id, "check_raw") as working:
            if working is not None:
                batches.close_loads(working.conn, batch_id)
                working.report.detail = {"last_load": batches.last_load(working.conn, batch_id)}
                # Before any row is touched: a ten-minute run may be at the same rows, or build from them.
                with (
                    live.locked(self.etl_dsn, self.lease_wait_seconds),
                    working.conn,
                    working.conn.cursor() as cur,
                ):
                    if suppress_batch(cur, self.environment):
                        live.discard(cur)
                check_loss(self.etl_dsn, batch_id)
                folder = self.project / "expectations"
                run_gate(self.etl_dsn, "raw", batch_id, folder, "raw", self.supplied_tables())

    def read_texts(self, batch_id: int) -> None:
        """Read what tonight's new messages and replies say into the schema signals."""
        from retention.text.model_file import model_path
        from retention.text.read import read_texts

        with self._step(batch_id, "read_texts") as working:
            if working is not None:
                seeds = self.project / "dbt_project" / "seeds"
                read = read_texts(working.conn, batch_id, seeds, model_path(self.environment))
                working.report.rows = read.messages + read.replies

    def transform(self, batch_id: int) -> None:
        """Staging and intermediate, for the subjects that tonight's loads touch."""
        from retention.warehouse.late_rows import book_late_rows

        with self._step(batch_id, "transform") as working:
            if working is None:
                return
            batches.refuse_unchecked_loads(working.conn, batch_id)
            dbt = self._dbt("marts_a")
            applied = _applied(working.conn, dbt)
            built = dbt.build_seeds(applied)
            batches.record_hashes(working.conn, _hashes(dbt, "seed"))
            models = dbt.build_models(("staging", "intermediate"), applied)
            batches.record_hashes(working.conn, _hashes(dbt, "staging", "intermediate"))
            batches.consume_loads(working.conn, batch_id)
            book_late_rows(working.conn, batch_id)
            self._book_code(working.conn, batch_id, dbt)
            _report(working.report, models, built)

    def hand_over(self, batch_id: int) -> None:
        """Put what the night found into the outbox, but what a ten-minute run has handed over before."""
        from retention.handover.outbox import hand_over

        with self._step(batch_id, "hand_over") as working:
            if working is not None:
                working.report.rows = hand_over(working.conn, working.batch, "nightly", "intermediate")

    def track_outcomes(self, batch_id: int) -> None:
        """Survival, rates and restored subscribers of every cohort, into schema outcomes."""
        from retention.outcomes.track import track_outcomes

        with self._step(batch_id, "track_outcomes") as working:
            if working is not None:
                working.report.rows = track_outcomes(working.conn, working.batch.as_of, batch_id).rows

    def build_marts(self, batch_id: int) -> None:
        """Build the marts whole into the idle slot."""
        from retention import publish

        with self._step(batch_id, "build_marts") as working:
            if working is None:
                return
            batches.refuse_unchecked_loads(working.conn, batch_id)
            with batches.connected(self.publisher_dsn, "begin build") as conn:
                slot = publish.begin_build(conn, batch_id)
            _report(working.report, self._dbt(slot).build_models(("marts",), {}))
            working.report.detail["slot"] = slot

    def check_marts(self, batch_id: int) -> None:
        """Gate the idle slot and reconcile it to its sources; GateFailed stops before publish."""
        from retention import publish
        from retention.quality.gate import run_gate
        from retention.quality.reconcile import reconcile

        with self._step(batch_id, "check_marts") as working:
            if working is None:
                return
            with batches.connected(self.publisher_dsn, "check marts") as conn:
                slot = publish.building_slot(conn, batch_id)
                folder = self.project / "expectations"
                run_gate(self.etl_dsn, "marts", batch_id, folder, slot)
                reconcile(self.etl_dsn, batch_id, folder / "reconciliation", slot)
                publish.mark_checked(conn, slot, batch_id)

    def publish(self, batch_id: int) -> None:
        """Show the checked slot to BI, in one transaction."""
        from retention import publish

        with self._step(batch_id, "publish") as working:
            if working is None:
                return
            batches.refuse_unchecked_loads(working.conn, batch_id)
            with batches.connected(self.publisher_dsn, "publish") as conn:
                published = publish.publish(conn, batch_id)
            working.report.rows = sum(mart.rows for mart in published.marts)
            log.info("%s", published)

    def run(self, as_of: datetime) -> int:
        """The whole night in this process, one step after the other; returns the batch id."""
        batch_id = self.open(as_of)
        for table in self.supplied_tables():
            self.extract(batch_id, table)
        for step in STEPS[1:]:
            getattr(self, step)(batch_id)
        return batch_id

    def rebuild(self, as_of: datetime) -> "Comparison | None":
        """Build the published night of `as_of` again, beside the marts, and book in ops.rebuilds how it compares.

        None when that night was never published. RebuildError when rows differ although code and seeds are the same.
        Nothing is extracted or published, and no lease is taken.
        """
        from retention.rebuild import RebuildError, rebuild
        from retention.text.model_file import model_path

        with batches.connected(self.etl_dsn, "rebuild") as conn:
            batch_id = batches.published_batch(conn, as_of)
            if batch_id is None:
                return None
            try:
                comparison = rebuild(self.etl_dsn, self.project, self.work, batch_id, model_path(self.environment))
                batches.book_rebuild(conn, self.run_id, comparison)
                if comparison.is_unexplained:
                    message = f"{comparison}. What is published was not touched. See docs/runbooks/backfill.md"
                    raise RebuildError(message)  # noqa: TRY301 - it is booked like any other failure
            except Exception as error:
                if not conn.closed:
                    batches.book_failure(conn, batch_id, "rebuild", error)
                raise
            batches.forget_failure(conn, batch_id, "rebuild")
            return comparison

    def _profile(self) -> "Profile":
        from retention.sources.profile import load_profile

        return load_profile(self.profile)

    def _dbt(self, slot: str) -> Dbt:
        target = self.work / "dbt" / slot
        target.mkdir(parents=True, exist_ok=True)
        return Dbt(Project(self.project / "dbt_project", target, self.etl_dsn, slot))

    def _book_code(self, conn: Connection, batch_id: int, dbt: Dbt) -> None:
        """Record which code and seeds the batch was built with: a rebuild equals it only with the same."""
        from retention.text.model_file import model_path

        with conn, conn.cursor() as cur:
            cur.execute(
                "update ops.batches set code_hash = %s, seed_hash = %s where batch_id = %s",
                (dbt.code_digest(model_path(self.environment)), dbt.digest("seed"), batch_id),
            )


def _hashes(dbt: Dbt, *layers: str) -> dict[str, str]:
    return {name: digest for layer in layers for name, digest in dbt.hashes(layer).items()}


def _applied(conn: Connection, dbt: Dbt) -> dict[str, str | None]:
    return {name: batches.applied_hash(conn, name) for name in _hashes(dbt, "seed", "staging", "intermediate")}


def _report(report: Step, built: Built, seeds: Built | None = None) -> None:
    report.rows = sum(built.rows.values())
    report.detail = {
        "seconds": {name: round(value, 2) for name, value in sorted(built.seconds.items(), key=lambda item: -item[1])},
        "refreshed": built.refreshed + (seeds.refreshed if seeds else []),
    }
