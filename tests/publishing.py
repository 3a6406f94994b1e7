"""A warehouse with hand-made marts, for the tests of publishing: what dbt and the gates do, in a few statements."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from conftest import Warehouse
from retention import publish

#: What a batch's marts look like unless a test says otherwise; {n} is the batch.
TWO_MARTS = {
    "churn": "select {n}::bigint as _batch_id, i as churn_id, {n} * i as days from generate_series(1, 5) as t(i)",
    "episodes": "select {n}::bigint as _batch_id, i as episode_id, 'topic ' || i as topic "
    "from generate_series(1, 9) as t(i)",
}


@dataclass
class Publisher:
    """Runs nights of hand-made marts in one warehouse."""

    warehouse: Warehouse
    conn: Connection
    etl: Connection

    @classmethod
    def of(cls, warehouse: Warehouse) -> "Publisher":
        """Connect as publisher and etl."""
        return cls(warehouse, warehouse.connect("publisher"), warehouse.connect("etl"))

    def open(self, day: int) -> int:
        """A new batch whose as_of is that day of January 2026."""
        with self.etl, self.etl.cursor() as cur:
            cur.execute(
                "insert into ops.batches (kind, as_of, run_id, state) "
                "values ('nightly', '2025-12-31'::timestamptz + %s * interval '1 day', 'test', 'open') "
                "returning batch_id",
                (day,),
            )
            (batch_id,) = cur.fetchone() or (0,)
        return int(batch_id)

    def build(self, batch_id: int, marts: Mapping[str, str] = TWO_MARTS) -> str:
        """Build the marts as etl, by query; the slot is left unchecked."""
        slot = publish.begin_build(self.conn, batch_id)
        with self.etl, self.etl.cursor() as cur:
            for name, query in marts.items():
                cur.execute(f"drop table if exists {slot}.{name}")
                body = query.format(n=batch_id)
                cur.execute(f"create table {slot}.{name} as {body}")
                cur.execute(f"comment on table {slot}.{name} is 'Grain: one row per {name} of batch {batch_id}.'")
                cur.execute(f"comment on column {slot}.{name}._batch_id is 'Night {batch_id}.'")
        return slot

    def night(self, day: int, marts: Mapping[str, str] = TWO_MARTS) -> publish.Publication:
        """Open, build, check and publish."""
        batch_id = self.open(day)
        publish.mark_checked(self.conn, self.build(batch_id, marts), batch_id)
        return publish.publish(self.conn, batch_id)

    def checked(self, day: int, marts: Mapping[str, str] = TWO_MARTS) -> int:
        """Everything but the publish; returns the batch."""
        batch_id = self.open(day)
        publish.mark_checked(self.conn, self.build(batch_id, marts), batch_id)
        return batch_id

    def rows(self, query: str, role: str = "bi_reader") -> list[tuple[object, ...]]:
        """What a query returns to a role, in a connection of its own."""
        conn = self.warehouse.connect(role)
        try:
            with conn, conn.cursor() as cur:
                cur.execute(query)
                return cur.fetchall()
        finally:
            conn.close()
