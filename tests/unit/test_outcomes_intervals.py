"""Intervals: worked values, ends, clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from retention.outcomes import survival
from retention.outcomes.intervals import Z, clustered_wilson, critical_value, log_log, wilson, wilson_of_clusters


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"), [(0, 10, 0, 0.2775), (8, 10, 0.4902, 0.9433), (45, 60, 0.6277, 0.8422)]
)
def test_wilson_worked_values(successes, n, low, high):
    interval = wilson(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_of_nothing_is_nothing():
    assert wilson(0, 0) is None
    assert clustered_wilson(np.array([], dtype=bool), np.array([], dtype=np.int64)) is None


def test_wilson_refuses_more_successes_than_rows():
    with pytest.raises(ValueError, match="impossible"):
        wilson(11, 10)


@given(st.integers(1, 500), st.data())
def test_wilson_contains_its_share_and_mirrors(n, data):
    successes = data.draw(st.integers(0, n))
    interval, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert (interval.low, interval.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))


def test_one_row_a_party_is_plain_wilson():
    flags = np.arange(60) < 45
    assert clustered_wilson(flags, np.arange(60)[::-1]) == wilson(45, 60)


def test_copies_of_a_party_add_no_information():
    """Ten identical rows a party: as wide as one row each, or wider for the fewer degrees of freedom."""
    single = wilson(20, 60)
    copied = clustered_wilson(np.tile(np.arange(60) < 20, 10), np.tile(np.arange(60), 10))
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.05)
    assert copied.high - copied.low > single.high - single.low


def test_all_alike_counts_parties_not_rows():
    interval = clustered_wilson(np.ones(100, dtype=bool), np.repeat(np.arange(10), 10))
    assert interval == wilson(10, 10, critical_value(np.repeat(np.arange(10), 10)))


def test_one_party_has_no_interval():
    assert clustered_wilson(np.array([True, False]), np.array([0, 0])) is None


def test_clusters_counted_and_rows_of_clusters_have_one_interval():
    sizes, successes = np.array([5, 1, 0, 7, 3]), np.array([2, 1, 0, 0, 3])
    flags = np.concatenate([np.arange(size) < won for size, won in zip(sizes, successes, strict=True)])
    rows = clustered_wilson(flags, np.repeat([0, 1, 9, 2, 3], sizes))
    assert rows == wilson_of_clusters(successes, sizes)
    # By hand: 6 of 16 in four clusters; between them 4/3 * 15.71875 / 256, within a binomial's 0.375 * 0.625 / 16.
    effect = (4 / 3 * np.square([2 - 1.875, 1 - 0.375, 0 - 2.625, 3 - 1.125]).sum() / 256) / (0.375 * 0.625 / 16)
    by_hand = wilson(6 / effect, 16 / effect, critical_value(np.repeat([0, 1, 2, 3], [5, 1, 7, 3])))
    assert [rows.low, rows.high] == pytest.approx([by_hand.low, by_hand.high])


def test_log_log_agrees_with_lifelines():
    duration, event = np.arange(1.0, 31.0), np.tile([1, 0, 1], 10)
    (estimate,) = survival.kaplan_meier(survival.life_table(duration, event, 1), (20.5,))
    theirs = KaplanMeierFitter().fit(duration, event).confidence_interval_.loc[20.0]
    ours = log_log(estimate.value, estimate.standard_error())
    assert [ours.low, ours.high] == pytest.approx(list(theirs), rel=1e-9)


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0, 1))
def test_log_log_contains_its_value(value, error):
    interval = log_log(value, error)
    assert 0 <= interval.low <= value + 1e-12 and value - 1e-12 <= interval.high <= 1


def test_critical_value_is_students_only_when_clustered():
    assert critical_value(np.arange(10)) == Z == pytest.approx(1.959964, abs=1e-6)
    assert critical_value(np.repeat(np.arange(10), 10)) == pytest.approx(2.262157, abs=1e-6)


def test_a_few_large_parties_count_for_few():
    skewed = np.repeat(np.arange(8), [200, 60, 30, 10, 5, 5, 3, 2])
    assert (
        critical_value(skewed)
        > critical_value(np.repeat(np.arange(3), 105))
        > critical_value(np.repeat(np.arange(8), 40))
    )


def test_clustered_interval_covers_the_truth_where_the_plain_one_does_not():
    """12 parties of 40 rows whose hazards differ, 300 samples: the plain interval holds in about 58% of them."""
    rng = np.random.default_rng(1)
    party, horizon = np.repeat(np.arange(12), 40), 60.0
    many = rng.exponential(1 / (0.004 * np.exp(rng.normal(0, 0.8, 200_000))))
    truth = (many < horizon).mean()
    held = {"clustered": 0, "plain": 0}
    for _ in range(300):
        churn = rng.exponential(1 / (0.004 * np.exp(rng.normal(0, 0.8, 12)))[party])
        limit = rng.uniform(20, 200, len(party))
        fitted = survival.life_table(np.minimum(churn, limit), (churn < limit).astype(np.int64), 1)
        (estimate,) = survival.kaplan_meier(fitted, (horizon,))
        plain = log_log(estimate.value, estimate.standard_error())
        clustered = log_log(estimate.value, estimate.standard_error(party), critical_value(party))
        held["plain"] += plain.low <= 1 - truth <= plain.high
        held["clustered"] += clustered.low <= 1 - truth <= clustered.high
    assert 0.91 <= held["clustered"] / 300 <= 0.98
    assert held["plain"] / 300 < 0.7
