"""Planted loads and batches for tests of the gates."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from conftest import Warehouse
from retention.quality.gate import run_gate
from retention.quality.verdict import Verdict
from retention.sources.contract import create_raw_tables, raw_table
from retention.warehouse import batches

SUITES = Path(__file__).resolve().parents[2] / "expectations"
AT = "2026-02-01 10:00+00"
NIGHT_1 = datetime(2026, 2, 5, tzinfo=UTC)
#: What a good row of a table has where a test does not care.
GOOD: dict[str, dict[str, Any]] = {
    "helpdesk.contacts": {
        "channel": "call", "direction": "inbound", "initiator": "customer", "msisdn": "79990000001",
        "started_at": AT, "recorded_at": AT, "updated_at": AT,
    },
    "crm.parties": {"kind": "person", "updated_at": AT},
    "crm.subscriptions": {"product": "prepaid", "activated_at": AT, "updated_at": AT},
    "crm.usage_months": {"updated_at": AT},
    "crm.msisdn_periods": {"valid_from": "2026-01-01 00:00+00", "updated_at": AT},
}  # fmt: skip


@dataclass
class Nights:
    """A warehouse with raw tables and an open batch; loads are planted, gates are run on them."""

    warehouse: Warehouse
    conn: Connection
    batch_id: int = 0
    suites: Path = SUITES

    def open(self) -> None:
        """The next night; the loads of the one before are consumed."""
        if self.batch_id:
            batches.consume_loads(self.conn, self.batch_id)
            with batches.recorded_step(self.conn, self.batch_id, "transform"):
                pass
        as_of = NIGHT_1 + timedelta(days=self.batch_id)
        batch = batches.open_batch(self.conn, as_of, "test")
        batches.set_current_run(self.conn, batch)
        self.batch_id = batch.batch_id

    def load(self, table: str, rows: Sequence[Mapping[str, Any]], live_keys: int | None = None) -> int:
        """A committed load of versions, each said by how it differs from a good one; `_op: d` is a tombstone."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new,"
                " keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)"
                " values (%s, %s, true, 1, %s, 1, 0, 0, %s, 'h', 'test', 0) returning load_id",
                (self.batch_id, table, len(rows), len(rows) if live_keys is None else live_keys),
            )
            (load_id,) = cur.fetchone() or (0,)
            for row in rows:
                full = {} if row.get("_op") == "d" else GOOD[table]
                full = full | row | {"_load_id": load_id}
                cur.execute(
                    f"insert into {raw_table(table)} ({', '.join(full)}) values ({', '.join(['%s'] * len(full))})",
                    list(full.values()),
                )
        return int(load_id)

    def check(self, tables: Sequence[str] | None = None) -> Verdict:
        """The raw gate of this night."""
        return run_gate(self.warehouse.dsn(), "raw", self.batch_id, self.suites, "raw", tables)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query returns."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(query)
            return cur.fetchall()

    def in_quarantine(self) -> list[tuple[Any, ...]]:
        """(load, key's values) of what is set aside now."""
        return self.rows(
            "select load_id, (select string_agg(value, ' ' order by ordinality) from jsonb_each_text(key)"
            " with ordinality) from ops.quarantine where released_batch_id is null order by 1, 2"
        )

    def released(self) -> list[tuple[Any, ...]]:
        """(load, batch, reason) of what was let back."""
        return self.rows(
            "select load_id, released_batch_id, released_because from ops.quarantine"
            " where released_batch_id is not null order by 1"
        )

    def shown(self, table: str, key: str) -> list[tuple[Any, ...]]:
        """(key, load) of what staging shows: each key's latest version that is not set aside."""
        return self.rows(
            f"select distinct on ({key}) {key}, _load_id from {raw_table(table)} as r where not exists (select from"
            f" ops.set_aside as s where s.is_set_aside and s.table_name = '{table}' and s.load_id = r._load_id"
            f" and s.key ->> '{key}' = r.{key}) order by {key}, _load_id desc"
        )

    def failed(self) -> list[tuple[Any, ...]]:
        """Failed checks of this night's books."""
        return self.rows(
            "select table_name, check_name, severity, is_quarantined, rows_examined, rows_failed, failing_keys"
            f" from ops.checks where not is_passed and batch_id = {self.batch_id} order by check_id"
        )


@contextmanager
def nights(warehouse: Warehouse) -> Iterator[Nights]:
    """A fresh warehouse with raw tables and batch 1 open."""
    conn = warehouse.connect()
    create_raw_tables(conn)
    opened = Nights(warehouse, conn)
    opened.open()
    yield opened
    conn.close()
