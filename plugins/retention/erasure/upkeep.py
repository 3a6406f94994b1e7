"""Weekly upkeep: the periods of the seed applied to the warehouse, and booked in ops.upkeep."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection

from retention.erasure import compact
from retention.erasure.errors import ErasureError, without_values
from retention.erasure.periods import KINDS, Period, load_periods
from retention.erasure.vacuum import vacuum
from retention.handover import live
from retention.sources.contract import Contract, load_contract
from retention.warehouse import batches
from retention.warehouse.lease import lease

LEASE_WAIT_SECONDS = 1800.0


@dataclass(frozen=True)
class Done:
    """What a period took away; nights before `kept_from_batch_id` cannot be rebuilt any more."""

    table: str
    what: str
    rows: int
    kept_from_batch_id: int | None
    keep_days: int


@dataclass(frozen=True)
class Upkeep:
    """`file_tables` are the tables that the profile reads from files."""

    etl_dsn: str
    project: Path
    file_tables: frozenset[str]
    run_id: str = "upkeep"
    lease_wait_seconds: float = LEASE_WAIT_SECONDS

    def run(self, as_of: datetime, kinds: Collection[str] = KINDS) -> list[Done]:
        """Apply the periods of these kinds as of a moment; returns what went. Running again takes nothing more away."""
        contract = load_contract()
        seed = self.project / "dbt_project" / "seeds" / "retention_periods.csv"
        periods = [one for one in load_periods(seed, contract, self.file_tables) if one.what in kinds]
        done = []
        with (
            without_values("upkeep"),
            batches.connected(self.etl_dsn, "upkeep") as conn,
            lease(self.etl_dsn, self.run_id, "upkeep", self.lease_wait_seconds),
            live.locked(self.etl_dsn, self.lease_wait_seconds),
        ):
            if any(period.what == "rows" for period in periods):
                _refuse_between_transform_and_publish(conn)
            for period in periods:
                one = _apply(conn, contract, period, as_of)
                if one.rows:
                    _book(conn, as_of, one)
                    done.append(one)
            vacuum(conn, {place for one in done for place in _places(conn, one)})
        return done


def _apply(conn: Connection, contract: Contract, period: Period, as_of: datetime) -> Done:
    days, kept_from = period.keep_days, None
    if period.what == "rejects":
        rows = compact.forget_rejects(conn, contract, as_of, days)
    elif period.what == "texts":
        rows = compact.forget_texts(conn, contract.tables[period.table], as_of, days)
    elif period.what == "rows":
        rows = compact.drop_rows(conn, contract.tables[period.table], as_of, days)
        kept_from = _next_batch(conn)
    else:
        kept_from = compact.horizon_batch(conn, as_of, days)
        rows = compact.compact_versions(conn, contract.tables[period.table], kept_from) if kept_from else 0
    return Done(period.table, period.what, rows, kept_from, days)


def _refuse_between_transform_and_publish(conn: Connection) -> None:
    """Raw would have lost rows that what was built of it still holds: the gate at marts counts both."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            select batch_id from ops.batches as newest
            where kind = 'nightly' and state <> 'published'
                and as_of = (select max(as_of) from ops.batches where kind = 'nightly')
                and exists (select from ops.steps where batch_id = newest.batch_id and step = 'transform')
            """
        )
        unfinished = cur.fetchone()
    if unfinished is not None:
        raise ErasureError(
            f"batch {unfinished[0]} is transformed and not published: rows that go now would be missed by its checks. "
            "Nothing was removed. Finish the night (`retention run`), then run upkeep again."
        )


def _next_batch(conn: Connection) -> int:
    with conn, conn.cursor() as cur:
        cur.execute("select coalesce(max(batch_id), 0) + 1 from ops.batches")
        (batch_id,) = cur.fetchone() or (1,)
    return int(batch_id)


def _book(conn: Connection, as_of: datetime, done: Done) -> None:
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.upkeep (as_of, table_name, what, rows, kept_from_batch_id, forgotten_before)"
            " values (%(as_of)s, %(table)s, %(what)s, %(rows)s, %(kept)s, case when %(what)s = 'texts'"
            " then %(as_of)s::timestamptz - make_interval(days => %(days)s) end)",
            {
                "as_of": as_of, "table": done.table, "what": done.what, "rows": done.rows,
                "kept": done.kept_from_batch_id, "days": done.keep_days,
            },
        )  # fmt: skip


def _places(conn: Connection, done: Done) -> list[str]:
    if done.what == "rejects":
        return [done.table]
    name = done.table.replace(".", "__")
    if done.what == "versions":
        return [f"raw.{name}"]
    with conn, conn.cursor() as cur:
        cur.execute("select to_regclass(%s) is not null", (f"live_staging.stg_{name}",))
        lives = cur.fetchone() == (True,)
    return [f"raw.{name}", f"staging.stg_{name}", *([f"live_staging.stg_{name}"] if lives else [])]
