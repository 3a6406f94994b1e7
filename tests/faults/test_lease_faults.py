"""The lease when processes die, clocks are set back and the warehouse goes away."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from conftest import Warehouse
from retention.warehouse import batches
from retention.warehouse.lease import LeaseError, lease

NIGHT = datetime(2026, 2, 4, 23, tzinfo=UTC)


def run_sql(warehouse: Warehouse, statement: str, *parameters: object) -> None:
    """A statement of a superuser's, committed."""
    conn = warehouse.connect("postgres")
    with conn, conn.cursor() as cur:
        cur.execute(statement, parameters)
    conn.close()


def held_by(warehouse: Warehouse, pid: int, beat: str = "0 seconds") -> None:
    """`transform` of night 1 is held by a process of this machine; its last beat was so long from now."""
    run_sql(
        warehouse,
        "insert into ops.lease_holds values ('night 1', 'transform', %s, clock_timestamp() + %s::interval)",
        f"{socket.gethostname()}:{pid}", beat,
    )  # fmt: skip


def end_connections(warehouse: Warehouse, application: str) -> None:
    """As if the warehouse had gone away under them."""
    run_sql(
        warehouse,
        """select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and application_name like %s""",
        application,
    )


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    """A living process that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_dead_process_of_this_machine_is_taken_over_at_once(
    warehouse: Warehouse, other_process: "subprocess.Popen[bytes]"
) -> None:
    held_by(warehouse, other_process.pid)
    with pytest.raises(LeaseError, match="night 1 is working"), lease(warehouse.dsn(), "night 2", "transform", 0):
        pytest.fail("a living holder was taken over")
    other_process.kill()
    other_process.communicate()
    with lease(warehouse.dsn(), "night 2", "transform", 0):
        pass


def test_the_same_step_does_not_work_twice_at_once(
    warehouse: Warehouse, other_process: "subprocess.Popen[bytes]"
) -> None:
    """A task that was given up, is run again, and still works."""
    held_by(warehouse, other_process.pid)
    with pytest.raises(LeaseError, match="night 1 is working"), lease(warehouse.dsn(), "night 1", "transform", 0):
        pytest.fail("two processes worked on one step")
    with lease(warehouse.dsn(), "night 1", "extract crm.plans", 0):
        pass


def test_a_beat_from_the_future_counts_from_now(warehouse: Warehouse, other_process: "subprocess.Popen[bytes]") -> None:
    held_by(warehouse, other_process.pid, "1 year")
    with pytest.raises(LeaseError, match="last sign of life 0 s ago"), lease(warehouse.dsn(), "night 2", "x", 0):
        pytest.fail("a living holder was taken over")
    run_sql(warehouse, "update ops.lease_holds set heartbeat_at = heartbeat_at - interval '31 seconds'")
    with lease(warehouse.dsn(), "night 2", "x", 0):
        pass


def test_a_step_whose_warehouse_went_away_is_not_trusted(warehouse: Warehouse) -> None:
    with (
        pytest.raises(LeaseError, match="lost the lease while it worked"),
        lease(warehouse.dsn(), "night 1", "transform", 0),
    ):
        end_connections(warehouse, "retention lease")


def test_what_ended_a_step_is_told_although_the_warehouse_went_away(warehouse: Warehouse) -> None:
    def work() -> None:
        with (
            batches.connected(warehouse.dsn(), "transform") as conn,
            lease(warehouse.dsn(), "night 1", "transform", 0),
        ):
            batch = batches.open_batch(conn, NIGHT, "night 1")
            end_connections(warehouse, "retention %")
            reason = ZeroDivisionError("the reason")
            batches.book_failure(conn, batch.batch_id, "transform", reason)
            raise reason

    with pytest.raises(ZeroDivisionError, match="the reason"):
        work()
