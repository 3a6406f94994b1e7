"""Our estimators against libraries on random data with ties, and against exact fractions where libraries give way."""

from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time
from statsmodels.stats.proportion import proportion_confint

from retention.outcomes import survival
from retention.outcomes.intervals import Z, clustered_wilson, critical_value, wilson, wilson_of_clusters

#: (time, cause): few distinct times, so that ties of causes and of censoring are the rule.
ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=30)
HORIZONS = tuple(float(h) for h in range(11))


def arrays(rows):
    times, causes = zip(*rows, strict=True)
    return np.array(times, float), np.array(causes)


def exact(rows, horizon):
    """Aalen-Johansen by its definition, in fractions: survival, and incidence of causes 1 to 3, inside [0, horizon)."""
    kept, left = Fraction(1), [Fraction(0)] * 3
    for time in sorted({time for time, cause in rows if cause and time < horizon}):
        at_risk = sum(1 for other, _ in rows if other >= time)
        events = [sum(1 for other, cause in rows if other == time and cause == c) for c in (1, 2, 3)]
        left = [sofar + kept * Fraction(d, at_risk) for sofar, d in zip(left, events, strict=True)]
        kept *= 1 - Fraction(sum(events), at_risk)
    return kept, left


@given(ROWS)
def test_aalen_johansen_is_the_exact_life_table_at_ties(rows):
    """lifelines shifts ties between causes at random, so the judge is arithmetic."""
    fitted = survival.life_table(*arrays(rows), 3)
    kept = survival.kaplan_meier(fitted, HORIZONS)
    left = [survival.incidence(fitted, (cause,), HORIZONS) for cause in (1, 2, 3)]
    for i, horizon in enumerate(HORIZONS):
        exact_kept, exact_left = exact(rows, horizon)
        assert kept[i].value == pytest.approx(float(exact_kept), abs=1e-14)
        assert [each[i].value for each in left] == pytest.approx([float(x) for x in exact_left], abs=1e-14)
        assert exact_kept + sum(exact_left) == 1


def test_the_exact_life_table_has_the_worked_values():
    """The judge itself: section 8's ties between causes, in thirds and twelfths."""
    kept, left = exact(list(zip([1, 1, 2, 2, 3, 3], [1, 2, 1, 0, 2, 0], strict=True)), 4)
    assert (kept, left) == (Fraction(1, 4), [Fraction(1, 3), Fraction(5, 12), 0])


def test_an_order_of_ties_of_ones_own_is_found_out():
    """Cause 1 always a moment before cause 2, as a shift might have it: not the exact table."""
    times, causes = arrays([(1, 1), (1, 2), (2, 1), (2, 0), (3, 2), (3, 0)])
    (shifted,) = survival.incidence(survival.life_table(times + 0.1 * (causes == 2), causes, 3), (2,), (4.0,))
    assert shifted.value != pytest.approx(5 / 12, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_kaplan_meier_and_its_error_are_lifelines(rows):
    times, causes = arrays(rows)
    # Lifelines puts an event at 0 on its origin; ours is a step like any other.
    times = times + 1
    theirs = KaplanMeierFitter().fit(times, causes > 0)
    fitted = survival.life_table(times, causes, 3)
    # Just after a time: ours is half-open.
    horizons = tuple(float(t) + 0.5 for t in np.unique(times))
    ours = survival.kaplan_meier(fitted, horizons)
    assert [one.value for one in ours] == pytest.approx([theirs.predict(horizon) for horizon in horizons], abs=1e-12)
    for one, time in zip(ours, np.unique(times), strict=True):
        if 0 < one.value < 1:
            # Greenwood's variance of log S, as lifelines keeps it.
            greenwood = one.value * np.sqrt(theirs._cumulative_sq_.loc[time].item())
            assert one.standard_error() == pytest.approx(greenwood, rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_restricted_mean_is_lifelines(rows):
    times, causes = arrays(rows)
    theirs = KaplanMeierFitter().fit(times + 1, causes > 0)
    ours = survival.restricted_mean(survival.life_table(times + 1, causes, 3), 8.0)
    assert ours.value == pytest.approx(restricted_mean_survival_time(theirs, t=8.0), abs=1e-9)


@given(st.integers(1, 100_000), st.data())
def test_wilson_is_statsmodels(n, data):
    successes = data.draw(st.integers(0, n))
    ours = wilson(successes, n)
    low, high = proportion_confint(successes, n, alpha=0.05, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((max(0.0, low), min(1.0, high)), abs=1e-12)


CLUSTERS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=2, max_size=15)


@settings(max_examples=50, deadline=None)
@given(CLUSTERS)
def test_clustered_wilson_rests_on_statsmodels_sandwich(clusters):
    """A regression on a constant with errors clustered by party has the variance that the effective size is made of."""
    sizes = np.array([size for size, _ in clusters])
    won = np.minimum([w for _, w in clusters], sizes)
    assume(0 < won.sum() < sizes.sum())
    flags = np.concatenate([np.arange(size) < w for size, w in zip(sizes, won, strict=True)])
    party = np.repeat(np.arange(len(sizes)), sizes)
    theirs = sm.OLS(flags.astype(float), np.ones(len(flags))).fit(cov_type="cluster", cov_kwds={"groups": party})
    share, n = won.sum() / sizes.sum(), sizes.sum()
    effect = max(1.0, float(theirs.bse[0]) ** 2 / (share * (1 - share) / n))
    assume(len(sizes) < n)
    by_hand = wilson(share * n / effect, n / effect, critical_value(party))
    found = clustered_wilson(flags, party)
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high), abs=1e-9)
    assert found == wilson_of_clusters(won, sizes)


@settings(max_examples=50, deadline=None)
@given(CLUSTERS)
def test_influence_clustered_error_is_statsmodels_sandwich_without_censoring(clusters):
    sizes = np.array([size for size, _ in clusters])
    won = np.minimum([w for _, w in clusters], sizes)
    assume(len(sizes) < sizes.sum())
    party = np.repeat(np.arange(len(sizes)), sizes)
    left = np.concatenate([np.arange(size) < w for size, w in zip(sizes, won, strict=True)])
    # Who left did on day 1 to 7, the rest were followed beyond the horizon.
    duration = np.where(left, 1.0 + np.arange(len(left)) % 7, 20.0)
    (ours,) = survival.incidence(survival.life_table(duration, left.astype(np.int64), 1), (1,), (10.0,))
    theirs = sm.OLS(left.astype(float), np.ones(len(left))).fit(cov_type="cluster", cov_kwds={"groups": party})
    assert ours.standard_error(party) == pytest.approx(float(theirs.bse[0]), abs=1e-12)


def test_z_is_the_normal_quantile():
    assert pytest.approx(1.959963984540054, abs=1e-12) == Z
