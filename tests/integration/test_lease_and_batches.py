"""The lease and the batch ledger, on a real PostgreSQL."""

import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from conftest import Warehouse
from retention.warehouse import batches
from retention.warehouse import lease as lease_module
from retention.warehouse.lease import LeaseError, lease

NIGHT = datetime(2026, 2, 4, 23, tzinfo=UTC)


def holds(warehouse: Warehouse) -> list[tuple[str, str]]:
    with warehouse.connect() as conn, conn.cursor() as cur:
        cur.execute("select holder, step from ops.lease_holds order by 1, 2")
        return list(cur.fetchall())


def test_the_same_run_re_enters_and_another_is_refused_by_name(warehouse: Warehouse) -> None:
    with lease(warehouse.dsn(), "night 1", "extract a", 0), lease(warehouse.dsn(), "night 1", "extract b", 0):
        with (
            pytest.raises(LeaseError, match=r"run night 1 is working.*extract [ab].*transform of night 2 did nothing"),
            lease(warehouse.dsn(), "night 2", "transform", 0),
        ):
            pytest.fail("two runs held the lease at once")
        assert holds(warehouse) == [("night 1", "extract a"), ("night 1", "extract b")]
    with lease(warehouse.dsn(), "night 2", "transform", 0):
        assert holds(warehouse) == [("night 2", "transform")]
    assert holds(warehouse) == []


def test_another_run_waits_until_the_stage_ends(warehouse: Warehouse) -> None:
    order: list[str] = []
    inside = threading.Event()

    def first() -> None:
        with lease(warehouse.dsn(), "night 1", "transform", 0):
            inside.set()
            time.sleep(0.5)
            order.append("first ends")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with lease(warehouse.dsn(), "night 2", "transform", 10):
        order.append("second works")
    thread.join()
    assert order == ["first ends", "second works"]


def test_who_asked_first_is_next(warehouse: Warehouse) -> None:
    """A night whose parallel steps share the lease does not starve a ten-minute run: its next step stands behind."""
    order: list[str] = []

    def short_run() -> None:
        with lease(warehouse.dsn(), "short run", "extract", 20):
            order.append("short run")

    def next_step() -> None:
        with lease(warehouse.dsn(), "night", "extract b", 20):
            order.append("night goes on")

    threads = [threading.Thread(target=short_run), threading.Thread(target=next_step)]
    with lease(warehouse.dsn(), "night", "extract a", 0):
        for thread in threads:
            thread.start()
            wait_for_line(warehouse, threads.index(thread) + 1)
    for thread in threads:
        thread.join()
    assert order == ["short run", "night goes on"]
    assert rows_of(warehouse, "select count(*) from ops.lease_waits") == [(0,)]


def test_one_that_stopped_asking_has_no_place_in_the_line(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.lease_waits (holder, process, asked_at) values"
            " ('gone', 'elsewhere:1', clock_timestamp() - %s::interval)",
            (timedelta(seconds=lease_module.SILENT_AFTER_SECONDS + 1),),
        )
    with lease(warehouse.dsn(), "night", "transform", 0):
        assert holds(warehouse) == [("night", "transform")]


def test_a_run_does_not_wait_for_steps_that_it_does_not_disturb(warehouse: Warehouse) -> None:
    with lease(warehouse.dsn(), "night", "build_marts", 0):
        with lease(warehouse.dsn(), "short run", "extract", 0, beside=["build_marts"]):
            assert holds(warehouse) == [("night", "build_marts"), ("short run", "extract")]
        with pytest.raises(LeaseError), lease(warehouse.dsn(), "short run", "extract", 0, beside=["transform"]):
            pytest.fail("it disturbed the night")


def rows_of(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    with warehouse.connect() as conn, conn.cursor() as cur:
        cur.execute(query)
        return list(cur.fetchall())


def wait_for_line(warehouse: Warehouse, length: int) -> None:
    give_up = time.monotonic() + 10
    while rows_of(warehouse, "select count(*) from ops.lease_waits") != [(length,)]:
        assert time.monotonic() < give_up, "nobody stands in line"
        time.sleep(0.02)


def test_a_dead_holder_is_taken_over(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.lease_holds values ('night 1', 'transform', 'gone:1', clock_timestamp() - %s::interval)",
            (timedelta(seconds=lease_module.DEAD_AFTER_SECONDS + 1),),
        )
    with lease(warehouse.dsn(), "night 2", "transform", 0):
        assert holds(warehouse) == [("night 2", "transform")]


def test_the_heartbeat_keeps_a_long_step_alive(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease_module, "DEAD_AFTER_SECONDS", 0.6)
    with lease(warehouse.dsn(), "night 1", "transform", 0):
        time.sleep(1.2)
        with pytest.raises(LeaseError), lease(warehouse.dsn(), "night 2", "transform", 0):
            pytest.fail("a living holder was taken over")


def test_a_step_that_lost_its_hold_says_so(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 0.05)

    def work() -> None:
        with lease(warehouse.dsn(), "night 1", "transform", 0):
            with warehouse.connect() as conn, conn.cursor() as cur:
                cur.execute("delete from ops.lease_holds")
            time.sleep(0.5)

    with pytest.raises(LeaseError, match="transform of night 1 lost the lease while it worked"):
        work()


def test_a_night_is_one_batch_however_often_it_is_opened(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn:
        first = batches.open_batch(conn, NIGHT, "run a")
        assert batches.open_batch(conn, NIGHT, "run b") == first
        assert batches.open_batch(conn, NIGHT + timedelta(days=1), "run c").batch_id != first.batch_id


def test_as_of_without_a_zone_is_refused(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn, pytest.raises(batches.BatchError, match="no time zone"):
        batches.open_batch(conn, NIGHT.replace(tzinfo=None), "run")


def test_an_older_night_is_not_opened_after_a_newer_is_published(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn:
        newer = batches.open_batch(conn, NIGHT, "run")
        with conn, conn.cursor() as cur:
            cur.execute("update ops.batches set state = 'published' where batch_id = %s", (newer.batch_id,))
        with pytest.raises(batches.BatchError, match="never published over a newer"):
            batches.open_batch(conn, NIGHT - timedelta(days=1), "late run")


def test_an_unfinished_night_that_a_later_one_went_past_does_nothing(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn:
        left = batches.open_batch(conn, NIGHT, "run 1")
        later = batches.open_batch(conn, NIGHT + timedelta(days=1), "run 2")
        with batches.recorded_step(conn, later.batch_id, "transform"):
            pass
        with pytest.raises(batches.BatchError, match=f"batch {left.batch_id} .* was left unfinished"):
            batches.get_batch(conn, left.batch_id)
        assert batches.get_batch(conn, later.batch_id) == later


def test_the_previous_as_of_is_that_of_the_last_transformed_batch(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn:
        for day, finished in ((0, True), (1, False), (2, True)):
            batch = batches.open_batch(conn, NIGHT + timedelta(days=day), f"run {day}")
            batches.set_current_run(conn, batch)
            if finished:
                with batches.recorded_step(conn, batch.batch_id, "transform"):
                    pass
        with conn, conn.cursor() as cur:
            cur.execute("select as_of, prev_as_of from ops.current_run")
            assert cur.fetchone() == (NIGHT + timedelta(days=2), NIGHT)


def test_loads_stay_pending_until_a_transform_consumed_them(warehouse: Warehouse) -> None:
    insert = """insert into ops.loads (batch_id, table_name, rows_read, rows_appended, keys_new, keys_deleted,
        rows_rejected, live_keys, contract_hash, reader, seconds)
        values (%s, 'crm.plans', 1, 1, 1, 0, 0, 1, '', '', 0)"""
    with batches.connected(warehouse.dsn(), "test") as conn:

        def pending() -> int:
            with conn, conn.cursor() as cur:
                cur.execute("select count(*) from ops.loads_to_stage")
                return int((cur.fetchone() or (0,))[0])

        first = batches.open_batch(conn, NIGHT, "run 1")
        second = batches.open_batch(conn, NIGHT + timedelta(days=1), "run 2")
        with conn, conn.cursor() as cur:
            cur.execute(insert, (first.batch_id,))
            cur.execute(insert, (second.batch_id,))
        batches.set_current_run(conn, first)
        assert pending() == 1  # a later batch's load is not this one's
        batches.set_current_run(conn, second)
        assert pending() == 2  # the first batch never consumed its own
        assert batches.consume_loads(conn, second.batch_id) == 2
        assert pending() == 2  # a rerun of the same batch sees the same loads
        with conn, conn.cursor() as cur, pytest.raises(psycopg2.errors.UniqueViolation):
            cur.execute(insert, (second.batch_id,))


def test_a_night_works_with_what_there_was_when_its_gate_began(warehouse: Warehouse) -> None:
    """Loads of ten-minute runs by day are the night's; those that they make while it builds are the next night's."""
    insert = """insert into ops.loads (batch_id, table_name, rows_read, rows_appended, keys_new, keys_deleted,
        rows_rejected, live_keys, contract_hash, reader, seconds)
        values (%s, 'crm.plans', 1, 1, 1, 0, 0, 1, '', '', 0)"""
    with batches.connected(warehouse.dsn(), "test") as conn:

        def seen(batch: batches.Batch) -> tuple[list[int], list[int]]:
            batches.set_current_run(conn, batch)
            with conn, conn.cursor() as cur:
                cur.execute(
                    "select (select coalesce(array_agg(load_id order by load_id), '{}') from ops.loads_to_stage),"
                    " (select coalesce(array_agg(load_id order by load_id), '{}') from ops.loads_seen)"
                )
                pending, visible = cur.fetchone() or ([], [])
            return pending, visible

        def load(batch: batches.Batch) -> None:
            with conn, conn.cursor() as cur:
                cur.execute(insert, (batch.batch_id,))

        by_day = batches.open_batch(conn, NIGHT - timedelta(hours=1), "run", kind="escalations")
        load(by_day)
        waits = batches.open_batch(conn, NIGHT - timedelta(minutes=10), "run", kind="escalations")
        first = batches.open_batch(conn, NIGHT, "run 1")
        load(first)
        beside = batches.open_batch(conn, NIGHT + timedelta(minutes=10), "run", kind="escalations")
        load(beside)
        batches.close_loads(conn, first.batch_id)
        load(waits)
        assert seen(first) == ([1, 2, 3], [1, 2, 3])
        batches.consume_loads(conn, first.batch_id)
        with batches.recorded_step(conn, beside.batch_id, "transform"):
            pass
        second = batches.open_batch(conn, NIGHT + timedelta(days=1), "run 2")
        assert seen(second) == ([4], [1, 2, 3, 4])
        assert seen(first) == ([1, 2, 3], [1, 2, 3])
        # The transform of a ten-minute run is no night's: what became visible since is told from the night before.
        assert batches.get_batch(conn, first.batch_id) == first


def test_a_step_that_fails_is_not_booked(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn:
        batch = batches.open_batch(conn, NIGHT, "run")
        with pytest.raises(ZeroDivisionError), batches.recorded_step(conn, batch.batch_id, "transform"):
            raise ZeroDivisionError
        with conn, conn.cursor() as cur:
            cur.execute("select count(*) from ops.steps")
            assert cur.fetchone() == (0,)


def test_only_a_night_that_is_not_published_is_unfinished(warehouse: Warehouse) -> None:
    with batches.connected(warehouse.dsn(), "test") as conn, conn.cursor() as cur:
        assert batches.unfinished_night(cur) is None
        night = batches.open_batch(conn, NIGHT, "run")
        batches.open_batch(conn, NIGHT + timedelta(days=1), "run", kind="another")
        assert batches.unfinished_night(cur) == night.batch_id
        cur.execute("update ops.batches set state = 'published' where batch_id = %s", (night.batch_id,))
        assert batches.unfinished_night(cur) is None
