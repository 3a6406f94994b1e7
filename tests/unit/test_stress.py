"""The queue against theory, its conservation laws, and the replay's scenarios on weeks planted by hand."""

from dataclasses import replace
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retention.outcomes.intervals import clustered_wilson, wilson_of_clusters
from retention.outcomes.replay import Observed, Scenario, StressRow, replay
from retention.outcomes.stress import (
    arrivals_of,
    greatest_backlog,
    multiplied,
    observed_peak,
    peak_hours_of,
    serve,
)

AS_OBSERVED = Scenario("as_observed", 1.0, 0, 1.0, 7)


def erlang_c(servers: int, load: float) -> float:
    """Probability of waiting in M/M/c (Erlang, 1917)."""
    last = load**servers / factorial(servers) * servers / (servers - load)
    return last / (sum(load**k / factorial(k) for k in range(servers)) + last)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (3, 1.8), (10, 7.0)])
def test_waiting_is_what_erlang_says(servers, load):
    rng = np.random.default_rng(0)
    at = np.cumsum(rng.exponential(60.0, 150_000))
    work = rng.exponential(60.0 * load, len(at))
    agents = np.full(int(at[-1] // 3600) + 24, servers)
    waits = serve(at, np.zeros(len(at), bool), work, agents) - at
    assert np.mean(waits > 0) == pytest.approx(erlang_c(servers, load), abs=0.02)
    mean = erlang_c(servers, load) / (servers / (60.0 * load) - 1 / 60.0)
    assert waits.mean() == pytest.approx(mean, rel=0.15)


def test_a_day_worked_by_hand():
    # One agent in hours 0 and 1, nobody in hour 2, two in hour 3. The third contact is sensitive.
    at = np.array([100.0, 200.0, 300.0, 7000.0, 7100.0])
    urgent = np.array([False, False, True, False, False])
    work = np.array([1000.0, 1000.0, 1000.0, 4000.0, 10.0])
    taken = serve(at, urgent, work, np.array([1, 1, 0, 2]))
    # The agent of 7000 stays until 11000 although the shift ended; the last waits for the next one at 10800.
    assert taken.tolist() == [100.0, 2100.0, 1100.0, 7000.0, 10800.0]
    assert greatest_backlog(at, taken, np.arange(4)).tolist() == [2, 1, 1, 1]


def test_nobody_there_and_nobody_comes():
    assert np.isnan(serve(np.array([5.0]), np.array([True]), np.array([1.0]), np.array([0, 0]))).all()
    assert len(serve(np.array([]), np.array([], bool), np.array([]), np.array([1]))) == 0
    with pytest.raises(ValueError, match="ascend within"):
        serve(np.array([3600.0]), np.array([True]), np.array([1.0]), np.array([1]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_the_queue_conserves_contacts_and_never_exceeds_the_agents(seed, count, agents):
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(0, len(agents) * 3600, count))
    urgent, work = rng.random(count) < 0.3, rng.exponential(1500, count)
    taken = serve(at, urgent, work, np.array(agents))
    done = ~np.isnan(taken)
    assert (taken[done] >= at[done]).all()
    # Within a class nobody overtakes: who came later and is served was not served earlier.
    for kind in (urgent, ~urgent):
        served = taken[kind & done]
        assert (np.diff(served) >= 0).all()
        assert (np.diff(done[kind].astype(int)) <= 0).all()
    # Whoever is taken up finds an agent free, shifts that end keep theirs to the end of the contact.
    for j in np.flatnonzero(done):
        busy = ((taken < taken[j]) & (taken + work > taken[j]))[done].sum()
        assert busy < max(agents)
    most = greatest_backlog(at, taken, np.arange(len(agents)))
    assert (most <= count).all()
    assert count - done.sum() <= max(most.max(), 0)


def test_multiplied_counts_keep_the_fraction_by_chance():
    counts = np.full((168, 4, 2), 3)
    doubled = multiplied(counts, np.full((168, 1, 1), 2.0), np.random.default_rng(1))
    assert (doubled == 6).all()
    halves = multiplied(counts, np.full((168, 1, 1), 1.5), np.random.default_rng(1))
    assert set(np.unique(halves)) == {4, 5}
    assert halves.mean() == pytest.approx(4.5, abs=0.1)


def test_contacts_come_in_their_hours_and_take_what_was_observed():
    counts = np.zeros((168, 4, 2), np.int64)
    counts[5, 1, 1], counts[167, 2, 0] = 40, 300
    contacts = arrivals_of(counts, np.array([60.0, 120.0]), 1.5, np.random.default_rng(1))
    assert (np.diff(contacts.at_s) >= 0).all()
    assert np.bincount((contacts.at_s // 3600).astype(int), minlength=168)[[5, 167]].tolist() == [40, 300]
    assert contacts.segment.tolist() == [1] * 40 + [2] * 300
    assert contacts.is_sensitive.tolist() == [True] * 40 + [False] * 300
    assert 90 <= contacts.work_s.min() <= contacts.work_s.max() <= 180
    assert contacts.work_s.mean() == pytest.approx(135, abs=5)


def test_an_incident_s_peak_is_measured_against_other_weeks():
    counts = np.full((4, 168), 2)
    counts[2, 50:56] = 8
    assert observed_peak(counts, np.array([2 * 168 + 50]), 6, 10.0) == pytest.approx(4.0)
    assert observed_peak(counts, np.array([2 * 168 + 50]), 6, 13.0) == 0.0, "too few to say"
    assert observed_peak(counts, np.array([], np.int64), 6, 10.0) == 0.0
    assert peak_hours_of(counts.sum(axis=0).astype(float), 6) == slice(50, 56)


def observed(weeks=6, per_hour=20, agents=4):
    """Weeks of working days, every day: contacts of 8 minutes, among them a sensitive VIP's each hour."""
    counts = np.zeros((weeks, 168, 4, 2), np.int64)
    working = [hour for hour in range(168) if 8 <= hour % 24 < 20]
    counts[:, working, 2, 0] = per_hour
    counts[:, working, 0, 1] = 1
    return Observed(
        counts=counts,
        judged=counts.sum(axis=(0, 3)),
        in_time=counts.sum(axis=(0, 3)),
        agents=np.where(np.isin(np.arange(168), working), agents, 0),
        target_s=np.array([600.0, 600.0, 600.0, 600.0]),
        handling_s=np.array([240.0, 480.0, 720.0]),
        work_factor=1.0,
        incident_hours=np.array([], np.int64),
    )


def cell(rows: list[StressRow], scenario="as_observed", segment="all", band="all") -> StressRow:
    (row,) = (row for row in rows if (row.scenario, row.segment, row.hour_band) == (scenario, segment, band))
    return row


def test_the_replay_of_what_was_is_near_what_was_and_more_is_worse():
    scenarios = [AS_OBSERVED, replace(AS_OBSERVED, scenario="twice", arrivals_factor=2.0),
                 replace(AS_OBSERVED, scenario="peak", peak_hours=6, peak_factor=2.0)]  # fmt: skip
    rows = list(replay(observed(), scenarios))
    assert len(rows) == 3 * 5 * 5
    assert rows == list(replay(observed(), scenarios)), "the same seed, the same answer"
    same, twice, peak = (cell(rows, scenario.scenario) for scenario in scenarios)
    assert same.in_time_share == pytest.approx(same.observed_in_time_share, abs=0.05)
    assert same.arrivals == 6 * 84 * 21 == twice.arrivals / 2
    assert same.utilisation == pytest.approx(21 * 480 / (4 * 3600), rel=0.02)
    assert twice.utilisation == pytest.approx(2 * same.utilisation, rel=0.02)
    assert twice.in_time_share < 0.5 < peak.in_time_share < same.in_time_share
    assert same.max_backlog < peak.max_backlog < twice.max_backlog
    assert cell(rows, "twice", "vip").in_time_share > 0.9 > cell(rows, "twice", "mass").in_time_share
    assert cell(rows, "twice", "corporate").refusal_reason == "zero_denominator"
    for row in rows:
        assert row.arrivals == row.answered + row.still_waiting
        assert row.answered_in_time <= row.n <= row.arrivals
        assert (row.in_time_share is None) == (row.refusal_reason is not None) == (row.ci_low is None)
    for scenario in ("as_observed", "twice", "peak"):
        parts = [cell(rows, scenario, "all", band) for band in ("night", "morning", "afternoon", "evening")]
        assert sum(part.arrivals for part in parts) == cell(rows, scenario).arrivals
        segments = [cell(rows, scenario, segment) for segment in ("vip", "corporate", "mass", "unknown")]
        assert sum(part.answered for part in segments) == cell(rows, scenario).answered


def test_the_share_is_of_those_that_can_be_judged():
    # Nobody is there; who came within the target's 600 s before the end of the week may still be answered in time.
    nobody = replace(observed(), agents=np.array([0] * 167 + [1]), counts=np.ones((2, 168, 4, 2), np.int64))
    row = cell(list(replay(nobody, [AS_OBSERVED])))
    assert row.arrivals == 2 * 168 * 8
    assert 0 < row.arrivals - row.n < 2 * 8
    assert row.answered_in_time / row.n == row.in_time_share


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"counts": np.ones((1, 168, 4, 2), np.int64)}, "too_few_weeks"),
        ({"counts": np.zeros((2, 168, 4, 2), np.int64)}, "zero_denominator"),
        ({"handling_s": np.array([])}, "no_handling_times"),
        ({"agents": np.zeros(168, np.int64)}, "no_agents"),
    ],
)
def test_what_cannot_be_replayed_says_why(change, reason):
    rows = list(replay(replace(observed(), **change), [AS_OBSERVED]))
    assert {row.refusal_reason for row in rows} == {reason}
    assert {(row.in_time_share, row.weeks, row.arrivals) for row in rows} == {(None, 0, 0)}


def test_the_interval_of_clusters_is_that_of_their_rows():
    sizes, successes = np.array([40, 60, 0, 50]), np.array([30, 55, 0, 10])
    rows = np.concatenate([np.arange(n) < k for n, k in zip(sizes, successes, strict=True)])
    clusters = np.repeat([0, 1, 1, 2], sizes)
    for flags, counted in ((rows, successes), (np.ones(150, bool), sizes)):
        found, expected = wilson_of_clusters(counted, sizes), clustered_wilson(flags, clusters)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert wilson_of_clusters(np.array([3, 0]), np.array([5, 0])) is None
