"""Weekly upkeep: the periods of the seed applied to the warehouse, and booked in ops.upkeep."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection

from retention.erasure import compact
from retention.erasure.errors import without_values
from retention.erasure.periods import KINDS, Period, load_periods
from retention.erasure.vacuum import vacuum
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
        ):
            for period in periods:
                one = _apply(conn, contract, period, as_of)
                if one.rows:
                    _book(conn, as_of, one)
                    done.append(one)
            vacuum(conn, {place for one in done for place in _places(one)})
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
    return Done(period.table, period.what, rows, kept_from)


def _next_batch(conn: Connection) -> int:
    with conn, conn.cursor() as cur:
        cur.execute("select coalesce(max(batch_id), 0) + 1 from ops.batches")
        (batch_id,) = cur.fetchone() or (1,)
    return int(batch_id)


def _book(conn: Connection, as_of: datetime, done: Done) -> None:
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.upkeep (as_of, table_name, what, rows, kept_from_batch_id) values (%s, %s, %s, %s, %s)",
            (as_of, done.table, done.what, done.rows, done.kept_from_batch_id),
        )


def _places(done: Done) -> list[str]:
    if done.what == "rejects":
        return [done.table]
    name = done.table.replace(".", "__")
    return [f"raw.{name}"] if done.what == "versions" else [f"raw.{name}", f"staging.stg_{name}"]
