"""A small operator and its nights, for tests that run the whole chain: real sources, real warehouse, no Airflow."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg2

from conftest import Warehouse, create_database
from retention.handover.run import ShortRun
from retention.mart_views import STANDING
from retention.night import STEPS, Night
from retention.row_hash import row_hash
from retention.sources.contract import create_raw_tables

PROJECT = Path(__file__).resolve().parents[1]
MOSCOW = ZoneInfo("Europe/Moscow")
#: The simulated operator's first day.
START = datetime(2025, 1, 1, tzinfo=MOSCOW)


#: In the place of a first step: a ten-minute run.
SHORT_RUN = "short run"


def as_of_after(days: int) -> datetime:
    """The `as_of` of the night after that many simulated days."""
    return START + timedelta(days=days, hours=2)


@dataclass(frozen=True)
class NightSpec:
    """What `Night` needs, in plain values that can cross a process boundary."""

    etl_dsn: str
    publisher_dsn: str
    sources: dict[str, str]
    work: str
    profile: str
    environment: dict[str, str]

    def night(self, run_id: str = "test run", lease_wait_seconds: float = 5) -> Night:
        return Night(
            etl_dsn=self.etl_dsn,
            publisher_dsn=self.publisher_dsn,
            source_dsn=lambda name: self.sources[name],
            project=PROJECT,
            work=Path(self.work),
            profile=self.profile,
            run_id=run_id,
            environment=self.environment,
            lease_wait_seconds=lease_wait_seconds,
        )

    def short_run(self, run_id: str = SHORT_RUN, lease_wait_seconds: float = 5) -> ShortRun:
        return ShortRun(
            etl_dsn=self.etl_dsn,
            source_dsn=lambda name: self.sources[name],
            project=PROJECT,
            work=Path(self.work),
            profile=self.profile,
            run_id=run_id,
            environment=self.environment,
            lease_wait_seconds=lease_wait_seconds,
        )

    def start_in_a_process(
        self, as_of: datetime, first_step: str, log: Path, run_id: str = "killed run", lease_wait_seconds: float = 5
    ) -> "subprocess.Popen[bytes]":
        """Start the night at `first_step` in a process of its own (to be killed); its output goes to `log`."""
        words = [as_of.isoformat(), first_step, run_id, str(lease_wait_seconds)]
        command = [sys.executable, __file__, json.dumps(asdict(self)), *words]
        with log.open("ab") as stream:
            return subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)


def prepare(warehouse: Warehouse, work: Path, sources: dict[str, str], profile: str, **environment: str) -> NightSpec:
    """Create the raw tables in a fresh warehouse and return what nights on it need."""
    conn = warehouse.connect("etl")
    create_raw_tables(conn)
    conn.close()
    return NightSpec(
        warehouse.dsn("etl"), warehouse.dsn("publisher"), sources, str(work), profile, {**os.environ, **environment}
    )


def simulate(warehouse: Warehouse, work: Path, subscribers: int, days: int, seed: int) -> NightSpec:
    """Create a simulated operator beside a fresh warehouse."""
    from retention.simulator.run import create

    sources = {name: warehouse.cluster.dsn(create_database(warehouse.cluster, name)) for name in ("crm", "helpdesk")}
    create(sources["crm"], sources["helpdesk"], work, subscribers, days, seed)
    return prepare(warehouse, work, sources, "simulator", RETENTION_DROPS=str(work / "drops"))


def on_another_warehouse(spec: NightSpec, warehouse: Warehouse, work: Path) -> NightSpec:
    """The same sources, an empty warehouse."""
    fresh = prepare(warehouse, work, spec.sources, spec.profile)
    return replace(fresh, environment=spec.environment)


def hashes(dsn: str, *schemas: str) -> dict[str, tuple[int, str]]:
    """(rows, order-independent hash less lineage columns) of every table and view in the schemas, books apart."""
    conn = psycopg2.connect(dsn)
    try:
        with conn.cursor() as cur:
            cur.execute(
                """select table_schema, table_name from information_schema.tables
                where table_schema = any(%s) and table_name <> all(%s) order by 1, 2""",
                (list(schemas), list(STANDING)),
            )
            return {f"{schema}.{table}": row_hash(conn, schema, table) for schema, table in cur.fetchall()}
    finally:
        conn.close()


def scalar(dsn: str, query: str, *parameters: object) -> object:
    """The first column of the first row."""
    conn = psycopg2.connect(dsn)
    try:
        with conn.cursor() as cur:
            cur.execute(query, parameters)
            row = cur.fetchone()
            return row[0] if row else None
    finally:
        conn.close()


def run_steps(night: Night, as_of: datetime, last: str) -> int:
    """A night from its beginning to the step `last`, included; returns its batch."""
    batch_id = night.open(as_of)
    for table in night.supplied_tables():
        night.extract(batch_id, table)
    for step in STEPS[1 : STEPS.index(last) + 1]:
        getattr(night, step)(batch_id)
    return batch_id


def continue_night(night: Night, as_of: datetime, first_step: str) -> None:
    """Run a night from `first_step` to its end, as a scheduler does after a task failed."""
    batch_id = night.open(as_of)
    for step in STEPS[STEPS.index(first_step) :]:
        if step == "extract":
            for table in night.supplied_tables():
                night.extract(batch_id, table)
        else:
            getattr(night, step)(batch_id)


if __name__ == "__main__":
    given, as_of_text, first, run, wait = sys.argv[1:]
    interrupted = NightSpec(**json.loads(given))
    if first == SHORT_RUN:
        interrupted.short_run(run, float(wait)).run(datetime.fromisoformat(as_of_text))
    else:
        continue_night(interrupted.night(run, float(wait)), datetime.fromisoformat(as_of_text), first)
