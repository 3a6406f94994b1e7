"""Actions as time: the worked value, random data beside lifelines and statsmodels, and no credit for survival."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.stats.multitest import multipletests

from retention.outcomes.cox import hazard_ratio
from retention.outcomes.exposure import IN_TIME, STEPS, measure_exposures, person_time
from retention.outcomes.exposure_inputs import COLUMNS
from retention.outcomes.multiplicity import benjamini_hochberg

DAY = 86_400.0
NO = np.nan


def test_the_worked_value_of_immortal_time():
    contact = np.array([2, 5, 10, NO, NO, NO])
    end, event = np.array([30.0, 12, 30, 3, 30, 8]), np.array([0, 1, 0, 1, 0, 1], bool)
    seen = person_time(end, event, contact)
    assert (seen.unexposed, seen.exposed, seen.unexposed_events, seen.exposed_events) == (58, 55, 2, 1)
    assert np.exp(seen.log_ratio) == pytest.approx(0.5273, abs=5e-5)
    # Ever against never gives the time before the contact to those who were contacted.
    ever = ~np.isnan(contact)
    naive = (event[ever].sum() / end[ever].sum()) / (event[~ever].sum() / end[~ever].sum())
    assert naive == pytest.approx(0.2847, abs=5e-5)


def test_the_standard_error_of_a_rate_ratio_is_poissons_for_one_row_a_party_and_more_for_pairs():
    end, event = np.full(40, 10.0), np.arange(40) % 4 == 0
    exposed = np.where(np.arange(40) < 20, -1.0, NO)
    seen = person_time(end, event, exposed)
    assert seen.standard_error(np.arange(40)) == pytest.approx(np.sqrt(1 / 5 + 1 / 5))
    doubled = person_time(np.repeat(end, 2), np.repeat(event, 2), np.repeat(exposed, 2))
    # Two lines of a party that leave together tell as much as one.
    assert doubled.standard_error(np.repeat(np.arange(40), 2)) > 1.2 * doubled.standard_error(np.arange(80))
    assert person_time(end, np.zeros(40, bool), exposed).log_ratio is None


@st.composite
def histories(draw, may_tie=True):
    """Durations, events, exposure, strata and parties of a small cohort, sometimes in whole days."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(30, 120))
    stratum = rng.integers(0, 3, n)
    exposed_at = np.where(rng.random(n) < 0.6, rng.exponential(20, n), NO)
    exposed_at = np.where(rng.random(n) < 0.1, -1.0, exposed_at)
    left, censored = rng.exponential(40.0 * (1 + stratum)), rng.uniform(10, 90, n)
    end = np.minimum(left, censored) + 0.01
    if may_tie and draw(st.booleans()):
        end, exposed_at = np.ceil(end), np.floor(exposed_at)
    return end, left <= censored, exposed_at, stratum, rng.integers(0, n // 2, n)


def spells(end, event, exposed_at, stratum):
    """The same as (start, stop] rows, one before the exposure and one after it."""
    rows = []
    for i in range(len(end)):
        turn = exposed_at[i] if exposed_at[i] < end[i] else np.inf
        if turn > 0:
            rows.append((i, 0.0, min(turn, end[i]), 0.0, event[i] and turn >= end[i], stratum[i]))
        if turn < end[i]:
            rows.append((i, max(turn, 0.0), end[i], 1.0, event[i], stratum[i]))
    return pd.DataFrame(rows, columns=["id", "start", "stop", "exposed", "event", "stratum"])


@settings(max_examples=15, deadline=None)
@given(histories())
def test_coxs_estimate_is_lifelines(history):
    from lifelines import CoxTimeVaryingFitter

    end, event, exposed_at, stratum, _ = history
    found = hazard_ratio(end, event, exposed_at, stratum)
    if found is None or abs(found.log_ratio) > 3:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = CoxTimeVaryingFitter().fit(
            spells(end, event, exposed_at, stratum), id_col="id", start_col="start", stop_col="stop",
            event_col="event", strata=["stratum"],
        )  # fmt: skip
    assert found.log_ratio == pytest.approx(fitted.params_["exposed"], abs=1e-4)
    assert found.model_error == pytest.approx(fitted.standard_errors_["exposed"], rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(histories(may_tie=False))
def test_coxs_estimate_is_statsmodels_without_ties(history):
    end, event, exposed_at, stratum, _ = history
    found = hazard_ratio(end, event, exposed_at, stratum)
    if found is None or abs(found.log_ratio) > 3:
        return
    rows = spells(end, event, exposed_at, stratum)
    fitted = PHReg(
        rows["stop"], rows[["exposed"]], status=rows["event"].astype(int), entry=rows["start"], strata=rows["stratum"],
        ties="efron",
    ).fit(disp=0)  # fmt: skip
    assert found.log_ratio == pytest.approx(fitted.params[0], abs=1e-6)
    assert found.model_error == pytest.approx(fitted.bse[0], rel=1e-5)


def brute_force_influence(end, event, exposed_at, stratum, theta):
    """Score residuals by their definition: at each event a row's expected share, Efron's for those tied."""
    n = len(end)
    score, information = np.zeros(n), 0.0
    for group, time in sorted({(g, t) for g, t, e in zip(stratum, end, event, strict=True) if e}):
        at_risk = (stratum == group) & (end >= time)
        state = (exposed_at < time).astype(float)
        dying = at_risk & event & (end == time)
        weight = at_risk * np.where(state == 1, theta, 1.0)
        tied = dying.sum()
        for k in range(tied):
            present = weight * np.where(dying, 1 - k / tied, 1.0)
            mean = (present * state).sum() / present.sum()
            information += mean * (1 - mean)
            score += dying * (state - mean) / tied - present / present.sum() * (state - mean)
    return score / information


@settings(max_examples=20, deadline=None)
@given(histories())
def test_the_robust_error_is_lin_and_weis(history):
    end, event, exposed_at, stratum, party = history
    found = hazard_ratio(end, event, exposed_at, stratum)
    if found is None:
        return
    exposed = np.where(np.isnan(exposed_at), np.inf, exposed_at)
    expected = brute_force_influence(end, event, exposed, stratum, np.exp(found.log_ratio))
    assert found.influence == pytest.approx(expected, abs=1e-9)
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)
    clusters = pd.factorize(party)[0]
    sums = np.bincount(clusters, weights=expected)
    robust = np.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum())
    assert found.standard_error(clusters) >= max(found.model_error, robust) - 1e-9


@pytest.mark.parametrize(
    ("event", "exposed_at"),
    [
        ([0, 0, 0, 0], [1, NO, 1, NO]),  # nobody left
        ([1, 1, 0, 0], [NO, NO, NO, NO]),  # nobody exposed
        ([1, 0, 1, 0], [1, NO, 1, NO]),  # only exposed ones left
        ([0, 1, 0, 1], [1, NO, 1, NO]),  # only unexposed ones
    ],
)
def test_without_a_bound_there_is_no_ratio(event, exposed_at):
    end = np.array([5.0, 6, 7, 8])
    assert hazard_ratio(end, np.array(event, bool), np.array(exposed_at), np.zeros(4, np.int64)) is None


def cases(n, rng, **columns):
    """Index episodes that were followed for half a year, nothing done, nobody left."""
    frame = pd.DataFrame({name: np.full(n, NO) for name, (kind, _) in COLUMNS.items() if kind == "float64"})
    frame["followed_s"] = 180 * DAY
    for name, value in {"level": "L1", "segment": "mass", "product": "postpaid", "first_priority": "normal"}.items():
        frame[name] = pd.Categorical(np.full(n, value))
    frame["party"] = np.arange(n)
    frame["is_in_time"] = False
    return frame.assign(**columns)


def of_step(frame, step, level="all", min_cell_n=10):
    return next(r for r in measure_exposures(frame, min_cell_n) if (r.step, r.level) == (step, level))


def leaving(n, rng, hazard_per_day):
    return rng.exponential(1 / hazard_per_day, n) * DAY


def test_an_immortal_time_null_is_not_called_good():
    """Follow-ups weeks later to those who are still there: ever against never says they keep three in four."""
    rng = np.random.default_rng(21)
    n = 6000
    left = leaving(n, rng, 0.004)
    planned = np.where(rng.random(n) < 0.6, rng.uniform(2, 40, n) * DAY, NO)
    called = np.where(planned < left, planned, NO)
    row = of_step(cases(n, rng, decided_s=left, follow_up_s=called), "follow_up")
    ever = ~np.isnan(called)
    has_left = left < 90 * DAY
    assert has_left[ever].mean() / has_left[~ever].mean() < 0.8, "the trap is there"
    assert row.rate_ratio_low < 1 < row.rate_ratio_high
    assert row.hazard_ratio_low < 1 < row.hazard_ratio_high
    assert (row.label, row.method, row.refusal_reason) == ("association", "time_varying", None)


def test_a_planted_effect_is_found_within_strata_that_hide_it():
    """Hard cases leave more and are contacted more: crude, the contact looks useless."""
    rng = np.random.default_rng(12)
    n = 12_000
    is_hard = rng.random(n) < 0.5
    contacted = np.where(rng.random(n) < np.where(is_hard, 0.8, 0.2), rng.uniform(0, 5, n) * DAY, NO)
    base = np.where(is_hard, 0.012, 0.003)
    before = leaving(n, rng, base)
    left = np.where(before > contacted, contacted + leaving(n, rng, 0.55 * base), before)
    row = of_step(
        cases(n, rng, decided_s=left, first_contact_s=contacted,
              first_priority=pd.Categorical(np.where(is_hard, "high", "low"))),
        "first_contact",
    )  # fmt: skip
    assert row.rate_ratio > 0.8
    assert row.hazard_ratio_low < 0.55 < row.hazard_ratio_high < 0.7


def test_contact_in_time_is_judged_at_the_target_among_those_still_there():
    rng = np.random.default_rng(13)
    n = 8000
    due = 7200.0
    is_in_time = rng.random(n) < 0.5
    left = leaving(n, rng, np.where(is_in_time, 0.0055, 0.01))
    left[:500] = 60.0  # gone a minute later: nobody could have been in time
    frame = cases(n, rng, decided_s=left, contact_due_s=due, is_in_time=is_in_time & (left > due))
    row = of_step(frame, IN_TIME)
    assert row.n == (left > due).sum()
    assert row.hazard_ratio_low < 0.55 < row.hazard_ratio_high < 0.7
    assert row.method == "landmark"
    assert row.n_exposed == (is_in_time & (left > due)).sum()


def test_edge_27_who_leaves_exactly_90_days_on_is_outside():
    rng = np.random.default_rng(14)
    frame = cases(40, rng, offer_s=np.where(np.arange(40) < 20, 5 * DAY, NO))
    frame["decided_s"] = np.where(np.arange(40) % 2 == 0, 90 * DAY, 90 * DAY - 1)
    row = of_step(frame, "offer")
    assert (row.unexposed_events, row.exposed_events) == (10, 10)
    assert (row.unexposed_days, row.exposed_days) == pytest.approx((20 * 5 + 20 * 90, 20 * 85), abs=1e-3)


def test_who_had_taken_the_order_back_is_not_kept_by_a_later_call():
    rng = np.random.default_rng(15)
    frame = cases(60, rng, settled_s=3 * DAY, follow_up_s=10 * DAY, offer_s=1 * DAY)
    rows = {r.step: r for r in measure_exposures(frame, 10) if r.level == "all"}
    assert (rows["follow_up"].n_exposed, rows["follow_up"].refusal_reason) == (0, "zero_denominator")
    assert (rows["offer"].n_exposed, rows["offer"].refusal_reason) == (60, "too_few")


def test_edge_22_the_operators_own_action_ends_the_time_and_is_no_departure():
    rng = np.random.default_rng(16)
    frame = cases(40, rng, competing_s=10 * DAY, decided_s=20 * DAY, offer_s=np.where(np.arange(40) < 20, 5 * DAY, NO))
    row = of_step(frame, "offer")
    assert (row.unexposed_events, row.exposed_events, row.exposed_days) == (0, 0, 20 * 5)
    assert row.refusal_reason == "too_few"


def test_edge_73_a_level_with_few_exposed_is_hidden_with_a_complement():
    rng = np.random.default_rng(17)
    level = np.repeat(["L1", "L2", "L3a"], [100, 40, 60])
    offered = np.arange(200) % 2 == 0
    offered[100:140] = np.arange(40) < 3
    frame = cases(
        200, rng, level=pd.Categorical(level), offer_s=np.where(offered, 5 * DAY, NO), decided_s=leaving(200, rng, 0.01)
    )
    rows = {r.level: r for r in measure_exposures(frame, 10) if r.step == "offer"}
    assert {name for name, r in rows.items() if r.refusal_reason == "small_cell"} == {"L2", "L3a"}
    assert (rows["L2"].n, rows["L2"].n_exposed, rows["L2"].exposed_days, rows["L2"].hazard_ratio) == (40, *[None] * 3)
    assert rows["all"].refusal_reason is None


def test_edge_74_without_cases_or_exposure_there_are_no_ratios():
    rng = np.random.default_rng(18)
    rows = list(measure_exposures(cases(0, rng), 10))
    assert {(r.n, r.refusal_reason, r.hazard_ratio) for r in rows} == {(0, "zero_denominator", None)}
    assert {r.step for r in rows} == {*STEPS, IN_TIME}
    young = cases(50, rng)
    young["followed_s"] = -DAY
    row = of_step(young, "offer")
    assert (row.n, row.refusal_reason, row.maturity_status) == (0, "immature", "immature")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_are_scipys_and_statsmodels(p_values):
    found = benjamini_hochberg(np.array(p_values))
    assert found == pytest.approx(false_discovery_control(p_values))
    assert found == pytest.approx(multipletests(p_values, method="fdr_bh")[1])


def test_the_worked_q_values():
    assert benjamini_hochberg(np.array([0.001, 0.01, 0.03, 0.04, 0.2])).tolist() == [0.005, 0.025, 0.05, 0.05, 0.2]
    assert benjamini_hochberg(np.empty(0)).tolist() == []
    with pytest.raises(ValueError, match=r"not all of them in \[0, 1\]"):
        benjamini_hochberg(np.array([0.5, np.nan]))
