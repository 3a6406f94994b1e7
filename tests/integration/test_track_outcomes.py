"""Outcome tracking on a real PostgreSQL, with rows whose answers were worked out by hand."""

from datetime import timedelta

import psycopg2
import pytest
from outcomes_kit import AS_OF, POLICY, plant, rows

from retention.outcomes.track import track_outcomes


@pytest.fixture
def conn(warehouse):
    connection = warehouse.connect("etl")
    with connection, connection.cursor() as cur:
        cur.execute(POLICY)
    plant(connection)
    yield connection
    connection.close()


def test_planted_rows_give_the_answers_worked_by_hand(conn):
    summary = track_outcomes(conn, AS_OF, 1)
    assert (summary.episodes, summary.contacts) == (10, 4)
    assert (summary.excluded.left_before, summary.excluded.cut_off_before) == (1, 1)
    ((value, low, high, numerator, n, status),) = rows(
        conn,
        "select value, ci_low, ci_high, numerator, n, maturity_status from outcomes.retention_metrics "
        "where metric = 'share_left_any' and (level, segment, horizon_days, breakdown) = ('all', 'all', 30, 'none')",
    )
    assert (round(value, 6), numerator, n, status) == (0.351429, 3, 10, "partly_mature")
    assert 0 < low < value < high < 1
    repeats = rows(
        conn,
        "select metric, horizon_days, numerator, denominator from outcomes.retention_metrics "
        "where (level, segment) = ('L2', 'vip') and value is not null order by 1, 2",
    )
    # First contacts whose 30 days have passed are two: a small cell.
    assert repeats == [("repeat_contact_rate", 7, 1, 4), ("repeat_contact_rate", 30, 2, 3)]
    refused = rows(
        conn,
        "select distinct refusal_reason from outcomes.retention_metrics "
        "where metric = 'share_left_any' and horizon_days = 180 and n > 0 and breakdown = 'none'",
    )
    assert refused == [("immature",)], "nobody was followed for 180 days"


def test_breakdowns_are_by_who_was_first_assigned(conn):
    """e0 and e1 began in-house, the others with the vendor v1; a small cell takes its complement with it."""
    track_outcomes(conn, AS_OF, 1)
    told = (
        "select member, numerator, n, refusal_reason from outcomes.retention_metrics"
        " where metric = 'share_left_by_order' and horizon_days = 30 and breakdown = '{}' order by member"
    )
    # Two episodes are too few to show, and the rest would give them away.
    small = [("in_house", None, 2, "small_cell"), ("v1", None, 8, "small_cell")]
    assert rows(conn, told.format("vendor")) == small
    assert rows(conn, told.format("team")) == [("t1", *small[0][1:]), ("t2", *small[1][1:])]
    # Of the first five nobody was followed for 30 days, of the others the last one was.
    assert rows(conn, told.format("topic")) == [("billing", None, 5, "immature"), ("network", 1, 5, None)]
    ((month, *of_month),) = rows(conn, told.format("month"))
    total = told.format("none").replace("order by", "and level = 'all' and segment = 'all' order by")
    assert (month, [("all", *of_month)]) == ("2025-03", rows(conn, total))
    repeats = (
        "select distinct breakdown, member from outcomes.retention_metrics where metric = 'repeat_contact_rate'"
        " and breakdown in ('team', 'month', 'topic') order by 1, 2"
    )
    assert rows(conn, repeats) == [
        ("month", "2025-03"), ("team", "t1"), ("team", "t2"), ("topic", "billing"),
    ]  # fmt: skip


def test_incidences_and_survival_add_to_one_in_the_table(conn):
    track_outcomes(conn, AS_OF, 1)
    sums = rows(
        conn,
        "select sum(value) from outcomes.survival_estimates where variant = 'left_any' "
        "and estimator <> 'restricted_mean_days' and value is not null group by level, segment, horizon_days",
    )
    assert len(sums) > 1
    assert all(total == pytest.approx(1.0) for (total,) in sums)


def test_running_again_changes_nothing_and_another_batch_replaces(conn):
    everything = "select told::text from outcomes.{} as told order by 1"
    first = track_outcomes(conn, AS_OF, 1)
    tables = [name for (name,) in rows(conn, "select tablename from pg_tables where schemaname = 'outcomes'")]
    assert {"survival_estimates", "retention_metrics", "touchpoints", "stress_replay"} < set(tables)
    before = [rows(conn, everything.format(t)) for t in tables]
    track_outcomes(conn, AS_OF, 1)
    assert [rows(conn, everything.format(t)) for t in tables] == before
    assert sum(map(len, before)) == first.rows
    track_outcomes(conn, AS_OF, 2)
    assert rows(conn, "select distinct batch_id from outcomes.retention_metrics") == [(2,)]
    track_outcomes(conn, AS_OF + timedelta(days=1), 3)
    assert rows(conn, "select count(distinct as_of) from outcomes.retention_metrics") == [(2,)]


def test_a_rebuild_works_in_scratch_schemas(conn):
    with conn, conn.cursor() as cur:
        cur.execute("create schema rebuild_intermediate; create schema rebuild_outcomes")
    plant(conn, "rebuild_intermediate")
    schemas = {"intermediate_schema": "rebuild_intermediate", "outcomes_schema": "rebuild_outcomes"}
    track_outcomes(conn, AS_OF, 1, **schemas)
    assert rows(conn, "select to_regclass('outcomes.retention_metrics')") == [(None,)]
    assert rows(conn, "select count(*) > 0 from rebuild_outcomes.retention_metrics") == [(True,)]


def test_a_failure_writes_nothing(conn):
    track_outcomes(conn, AS_OF, 1)
    before = rows(conn, "select told::text from outcomes.retention_metrics as told order by 1")
    with conn, conn.cursor() as cur:
        cur.execute(
            "alter table outcomes.retention_metrics add constraint planted check (horizon_days <> 180) not valid"
        )
    with pytest.raises(psycopg2.errors.CheckViolation):
        track_outcomes(conn, AS_OF, 2)
    assert rows(conn, "select told::text from outcomes.retention_metrics as told order by 1") == before
    assert rows(conn, "select distinct batch_id from outcomes.survival_estimates") == [(1,)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("knowable_until_any = null", "1 of 10 index episodes lack"),
        ("churned_at = level_reached_at - interval '1 hour'", "1 of 10 index episodes churned before"),
    ],
)
def test_episodes_that_cannot_be_judged_stop_it(conn, change, message):
    with conn, conn.cursor() as cur:
        cur.execute(f"update intermediate.int_episode_outcomes set {change} where episode_id = 'e3'")
    with pytest.raises(ValueError, match=message):
        track_outcomes(conn, AS_OF, 1)


@pytest.mark.parametrize("change", ["delete from seeds.small_cells", "update seeds.small_cells set valid_to = null"])
def test_without_one_policy_for_small_cells_it_stops(conn, change):
    with conn, conn.cursor() as cur:
        cur.execute(change)
    with pytest.raises(ValueError, match="rows for output retention_metrics"):
        track_outcomes(conn, AS_OF, 1)


def test_no_episodes_at_all_are_zero_denominators(conn):
    with conn, conn.cursor() as cur:
        cur.execute("truncate intermediate.int_episode_outcomes, intermediate.int_repeat_contacts")
    track_outcomes(conn, AS_OF, 1)
    query = (
        "select distinct refusal_reason, n, value from outcomes.retention_metrics"
        " where refusal_reason not in ('not_estimated', 'no_holdout')"
    )
    assert rows(conn, query) == [("zero_denominator", 0, None)]
    assert rows(conn, "select count(value) from outcomes.retention_metrics") == [(0,)]
