"""The publisher is killed at every statement of every step; run again, the night ends as if nothing had happened."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from conftest import Warehouse, create_warehouse
from publishing import TWO_MARTS, Publisher
from retention import publish

#: A night that makes a view, drops one, appends a column to one and retypes another.
OLD = {
    **TWO_MARTS,
    "gone": "select {n}::bigint as _batch_id, 1 as days",
    "retyped": "select {n}::bigint as _batch_id, 1 as days",
}
NEW = {
    "churn": TWO_MARTS["churn"].replace(" as days", " as days, i as months"),
    "episodes": TWO_MARTS["episodes"],
    "new": "select {n}::bigint as _batch_id, 1 as days",
    "retyped": "select {n}::bigint as _batch_id, 1.5 as days",
}


class Killer:
    """Counts the statements and commits of connections it makes, and ends the server's side before the k-th."""

    def __init__(self, warehouse: Warehouse, kill_at: int | None) -> None:
        self.warehouse = warehouse
        self.kill_at = kill_at
        self.steps = 0

    def step(self, conn: Connection) -> None:
        self.steps += 1
        if self.steps != self.kill_at:
            return
        admin = self.warehouse.connect("postgres")
        with admin, admin.cursor() as cur:
            # With a timeout: the function waits until the backend is gone.
            cur.execute("select pg_terminate_backend(%s, 5000)", (conn.info.backend_pid,))
        admin.close()

    def connect(self) -> Connection:
        killer = self

        class CountingCursor(Cursor):
            def execute(self, *args: Any, **kwargs: Any) -> None:
                killer.step(self.connection)
                super().execute(*args, **kwargs)

        class CountingConnection(Connection):
            def commit(self) -> None:
                killer.step(self)
                super().commit()

        return psycopg2.connect(
            self.warehouse.dsn("publisher"), connection_factory=CountingConnection, cursor_factory=CountingCursor
        )


def begin(conn: Connection, batch_id: int) -> None:
    publish.begin_build(conn, batch_id)


def check(conn: Connection, batch_id: int) -> None:
    publish.mark_checked(conn, publish.building_slot(conn, batch_id), batch_id)


def switch(conn: Connection, batch_id: int) -> None:
    publish.publish(conn, batch_id)


def back(conn: Connection, batch_id: int) -> None:
    publish.rollback(conn)


def everything(publisher: Publisher) -> list[object]:
    """The visible state: views with content, comments and rights; slots and who may enter them; books without times."""
    return [
        publisher.rows(query, "postgres")
        for query in (
            """select relname, relacl::text, obj_description(oid, 'pg_class'), pg_get_viewdef(oid) from pg_class
            where relnamespace = 'marts'::regnamespace order by 1""",
            """select attrelid::regclass::text, attnum, attname, col_description(attrelid, attnum) from pg_attribute
            where attrelid in (select oid from pg_class where relnamespace = 'marts'::regnamespace) order by 1, 2""",
            "select nspname, nspacl::text from pg_namespace where nspname like 'marts%' order by 1",
            "select slot, state, batch_id from ops.slots order by 1",
            "select batch_id, state, published_at is null from ops.batches order by 1",
            "select batch_id, slot, action from ops.publications order by publication_id",
            """select rank() over (order by publication_id), mart, rows, row_hash from ops.publication_marts
            order by 1, 2""",
            "select json_agg(churn order by churn_id)::text from marts.churn",
        )
    ]


def prepare(publisher: Publisher, step: Callable[[Connection, int], None]) -> int:
    """Two published nights and a third that has come to just before `step`; returns its batch."""
    publisher.night(1)
    publisher.night(2, OLD)
    batch_id = publisher.open(3)
    if step in (check, switch):
        publisher.build(batch_id, NEW)
    if step is switch:
        check(publisher.conn, batch_id)
    return batch_id


@pytest.mark.parametrize("step", [begin, check, switch, back])
def test_killed_at_every_statement_and_run_again(
    warehouse: Warehouse, role_passwords: dict[str, str], step: Callable[[Connection, int], None]
) -> None:
    calm = Publisher.of(warehouse)
    batch_id = prepare(calm, step)
    before = everything(calm)
    counter = Killer(warehouse, None)
    step(counter.connect(), batch_id)
    after = everything(calm)
    assert after != before
    assert counter.steps > 5
    # One warehouse serves all kills: a killed step leaves everything as it was, so the next kill starts from there.
    hit = Publisher.of(create_warehouse(warehouse.cluster, role_passwords))
    assert prepare(hit, step) == batch_id
    for kill_at in range(1, counter.steps + 1):
        killer = Killer(hit.warehouse, kill_at)
        conn = killer.connect()
        with suppress(psycopg2.Error):
            step(conn, batch_id)
        assert killer.steps == kill_at, "the kill was survived"
        conn.close()
        # Each step writes in one transaction, its last: a kill before any statement of it leaves nothing.
        assert everything(hit) == before, f"something was left half done by a kill before statement {kill_at}"
    again = hit.warehouse.connect("publisher")
    step(again, batch_id)
    assert everything(hit) == after
    for one in (again, calm.conn, calm.etl, hit.conn, hit.etl):
        one.close()


@pytest.mark.parametrize("step", [begin, check, switch])
def test_killed_after_the_commit_and_run_again(warehouse: Warehouse, step: Callable[[Connection, int], None]) -> None:
    """The answer to the commit was lost: the step is done, and doing it again changes nothing."""
    publisher = Publisher.of(warehouse)
    batch_id = prepare(publisher, step)
    step(publisher.conn, batch_id)
    after = everything(publisher)
    step(publisher.conn, batch_id)
    assert everything(publisher) == after
    publisher.conn.close()
    publisher.etl.close()
