"""The life table's estimators: worked values, agreement with lifelines, laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from retention.outcomes import survival

ROWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=40)
HORIZONS = (0.0, 1.0, 5.0, 13.0)


def table(rows, n_causes=3):
    durations, causes = zip(*rows, strict=True)
    return survival.life_table(np.array(durations, float), np.array(causes), n_causes)


def value(fitted, causes, horizon):
    (estimate,) = survival.incidence(fitted, causes, (horizon,))
    return estimate.value


def test_kaplan_meier_worked_value():
    fitted = table(zip([3, 5, 5, 8, 12, 15, 20, 20, 25, 30], [1, 1, 0, 1, 0, 1, 0, 1, 0, 0], strict=True))
    (estimate,) = survival.kaplan_meier(fitted, (30.0,))
    assert round(estimate.value, 6) == 0.411429
    assert survival.median(fitted) == 20
    assert round(survival.restricted_mean(fitted, 30.0).value, 6) == 18.857143


def test_aalen_johansen_worked_value():
    fitted = table(zip([3, 5, 6, 8, 12, 15, 20, 21, 25, 30], [1, 2, 0, 1, 0, 1, 0, 2, 0, 0], strict=True))
    assert round(value(fitted, (1,), 30.0), 6) == 0.351429


def test_aalen_johansen_worked_value_with_ties_between_causes():
    fitted = table(zip([1, 1, 2, 2, 3, 3], [1, 2, 1, 0, 2, 0], strict=True))
    (kept,) = survival.kaplan_meier(fitted, (4.0,))
    assert (round(value(fitted, (1,), 4.0), 6), round(value(fitted, (2,), 4.0), 6)) == (0.333333, 0.416667)
    assert kept.value == 0.25


def test_horizon_is_half_open():
    day = 86_400.0
    fitted = table([(30 * day, 1), (60 * day, 0)])
    assert value(fitted, (1,), 30 * day) == 0.0
    assert value(fitted, (1,), 30 * day + 0.001) == 0.5


def test_not_estimable_past_the_last_follow_up_unless_everybody_had_an_event():
    assert not table([(3, 1), (5, 0)]).is_estimable(6.0)
    assert table([(3, 1), (5, 0)]).is_estimable(5.0)
    assert table([(3, 1), (5, 2)]).is_estimable(6.0)


@pytest.mark.parametrize(("duration", "cause"), [([-1.0], [1]), ([float("nan")], [0]), ([1.0], [4]), ([1.0, 2.0], [1])])
def test_impossible_rows_are_refused(duration, cause):
    with pytest.raises(ValueError, match="life table"):
        survival.life_table(np.array(duration), np.array(cause), 3)


def test_no_rows_is_an_empty_table():
    assert not survival.life_table(np.array([]), np.array([], dtype=np.int64), 2).is_estimable(1.0)


@pytest.fixture(scope="module")
def untied():
    rng = np.random.default_rng(7)
    return rng.permutation(400) + rng.uniform(0, 0.9, 400), rng.integers(0, 3, 400)


def test_agrees_with_lifelines_without_ties(untied):
    duration, cause = untied
    fitted = survival.life_table(duration, cause, 2)
    horizons = (50.0, 200.0, 350.0)
    theirs = AalenJohansenFitter(calculate_variance=False).fit(duration, cause, event_of_interest=1)
    expected = [theirs.predict(h) for h in horizons]
    assert [e.value for e in survival.incidence(fitted, (1,), horizons)] == pytest.approx(expected, abs=1e-12)
    kaplan_meier = KaplanMeierFitter().fit(duration, cause > 0)
    expected = [kaplan_meier.predict(h) for h in horizons]
    assert [e.value for e in survival.kaplan_meier(fitted, horizons)] == pytest.approx(expected, abs=1e-12)


def test_kaplan_meier_error_is_greenwoods(untied):
    duration, cause = untied
    # Ties on purpose: the identity is exact with them.
    duration = np.floor(duration / 10)
    fitted = survival.life_table(duration, cause, 2)
    (estimate,) = survival.kaplan_meier(fitted, (30.0,))
    dead = fitted.events.sum(axis=0)
    inside = fitted.times < 30.0
    terms = dead / (fitted.at_risk * (fitted.at_risk - dead).clip(1))
    greenwood = estimate.value * np.sqrt(terms[inside].sum())
    assert estimate.standard_error() == pytest.approx(greenwood, rel=1e-12)


def test_influence_is_the_derivative_by_a_rows_weight(untied):
    """Doubling the sample m times and adding one copy of row i moves the estimate by influence / m."""
    duration, cause = np.floor(untied[0][:30] / 40), untied[1][:30]
    copies, horizon = 20_000, 7.0
    fitted = survival.life_table(duration, cause, 2)
    for estimate_of in (
        lambda t: survival.incidence(t, (1,), (horizon,))[0],
        lambda t: survival.incidence(t, (2,), (horizon,))[0],
        lambda t: survival.restricted_mean(t, horizon),
    ):
        whole = estimate_of(fitted)
        assert whole.influence.sum() == pytest.approx(0.0, abs=1e-12)
        for i in range(0, 30, 5):
            more = np.append(np.repeat(duration, copies), duration[i])
            more_cause = np.append(np.repeat(cause, copies), cause[i])
            moved = estimate_of(survival.life_table(more, more_cause, 2)).value - whole.value
            assert moved * copies == pytest.approx(whole.influence[i], abs=1e-4)


def test_clustered_error_of_copies_is_that_of_the_originals(untied):
    """Ten identical rows of a party are one observation, not ten."""
    duration, cause = np.floor(untied[0][:60] / 20), untied[1][:60]
    (single,) = survival.incidence(survival.life_table(duration, cause, 2), (1,), (15.0,))
    copied = survival.life_table(np.tile(duration, 10), np.tile(cause, 10), 2)
    (tenfold,) = survival.incidence(copied, (1,), (15.0,))
    clusters = np.tile(np.arange(60), 10)
    assert tenfold.value == pytest.approx(single.value)
    assert tenfold.standard_error(clusters) == pytest.approx(single.standard_error() * np.sqrt(60 / 59))
    assert tenfold.standard_error() == pytest.approx(single.standard_error() / np.sqrt(10))


def test_own_clusters_change_nothing_and_one_cluster_has_no_error(untied):
    fitted = survival.life_table(*untied, 2)
    (estimate,) = survival.incidence(fitted, (1,), (200.0,))
    assert estimate.standard_error(np.arange(400)[::-1]) == pytest.approx(estimate.standard_error(), rel=1e-12)
    assert np.isnan(estimate.standard_error(np.zeros(400, dtype=np.int64)))


def test_restricted_mean_error_matches_the_textbook(untied):
    """Var = sum over event times of (area after t)^2 d / (Y (Y - d))."""
    duration, cause = np.floor(untied[0] / 10), untied[1]
    fitted = survival.life_table(duration, cause, 2)
    horizon = 25.0
    variance = 0.0
    for k, t in enumerate(fitted.times):
        if t < horizon:
            after = [s for s in (*fitted.times[fitted.times >= t], horizon) if s <= horizon]
            heights = fitted.survival[k : k + len(after) - 1]
            area = float(np.sum(heights * np.diff(after)))
            dead, risk = fitted.events[:, k].sum(), fitted.at_risk[k]
            variance += area**2 * dead / (risk * (risk - dead))
    assert survival.restricted_mean(fitted, horizon).standard_error() == pytest.approx(np.sqrt(variance), rel=1e-10)


@given(ROWS)
def test_incidences_and_survival_add_to_one(rows):
    fitted = table(rows)
    kept = survival.kaplan_meier(fitted, HORIZONS)
    left = [survival.incidence(fitted, (cause,), HORIZONS) for cause in (1, 2, 3)]
    for i in range(len(HORIZONS)):
        assert kept[i].value + sum(each[i].value for each in left) == pytest.approx(1.0, abs=1e-12)


@given(ROWS)
def test_incidence_never_falls_and_stays_inside_zero_and_one(rows):
    values = [e.value for e in survival.incidence(table(rows), (1,), tuple(float(h) for h in range(15)))]
    assert values == sorted(values)
    assert 0.0 <= values[0] <= values[-1] <= 1.0 + 1e-12


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    before, after = survival.incidence(table(rows), (1,), HORIZONS), survival.incidence(table(shuffled), (1,), HORIZONS)
    for one, other in zip(before, after, strict=True):
        assert one.value == other.value
        assert sorted(one.influence) == pytest.approx(sorted(other.influence))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_censored_rows_alone_give_nothing(durations):
    for estimate in survival.incidence(table([(d, 0) for d in durations]), (1, 2, 3), HORIZONS):
        assert (estimate.value, estimate.events, estimate.standard_error()) == (0.0, 0, 0.0)


@settings(max_examples=50)
@given(ROWS)
def test_restricted_mean_is_the_area_under_survival(rows):
    fitted = table(rows)
    grid = np.arange(0.0, 13.0)
    # Survival only steps at integers, so its area is a sum of unit strips (an event at t takes effect after t).
    heights = [e.value for e in survival.kaplan_meier(fitted, tuple(grid + 0.5))]
    assert survival.restricted_mean(fitted, 13.0).value == pytest.approx(sum(heights), abs=1e-9)


def test_without_censoring_the_estimates_are_plain_shares():
    rng = np.random.default_rng(3)
    duration, cause = rng.integers(0, 50, 500).astype(float), rng.integers(1, 3, 500)
    (estimate,) = survival.incidence(survival.life_table(duration, cause, 2), (1,), (25.0,))
    share = ((duration < 25) & (cause == 1)).mean()
    assert estimate.value == pytest.approx(share)
    assert estimate.standard_error() == pytest.approx(np.sqrt(share * (1 - share) / 500))
