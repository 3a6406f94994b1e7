"""Scores of surveys, who is asked, and rates on the same mix, against answers worked out by hand and by numpy."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from retention.outcomes.intervals import Interval, wilson
from retention.outcomes.standardise import standardise
from retention.outcomes.standardised import standardised_metrics
from retention.outcomes.surveys import gap_metrics, invitation_gaps, net_promoter, newcombe, survey_metrics

DAY = 86_400
MIN_CELL_N = 3


def opinions(scores):
    return np.array([1.0 if score >= 9 else -1.0 if score <= 6 else 0.0 for score in scores])


def surveys(rows):
    """Invitations: each a dict of what differs from an answered CSAT of a mass customer."""
    usual = {"kind": "csat", "level": "L1", "segment": "mass", "product": "postpaid", "team": "t1",
             "vendor": "in_house", "sourcing": "in_house", "month": "2026-01", "is_elapsed": True, "opinion": 1.0,
             "is_gone": False, "churn_s": math.nan, "competing_s": math.nan, "followed_s": 200.0 * DAY}  # fmt: skip
    return pd.DataFrame([{**usual, "party": i, **row} for i, row in enumerate(rows)])


def occasions(rows):
    usual = {"level": "L1", "segment": "mass", "team": "t1", "vendor": "v1", "sourcing": "outsourced",
             "is_invited": False, "resolved": 1, "not_sensitive": 1, "not_repeated": 1, "in_time": -1}  # fmt: skip
    return pd.DataFrame([{**usual, "party": i, **row} for i, row in enumerate(rows)])


NOBODY = occasions([{}]).iloc[:0]


def measured(frame, asked=NOBODY):
    """Metric rows by (metric, breakdown, member, level, segment)."""
    found = list(survey_metrics(frame, asked, MIN_CELL_N))
    rows = {(row.metric, row.breakdown, row.member, row.level, row.segment): row for row in found}
    assert len(rows) == len(found), "a cell is written once"
    return rows


def total(metric, breakdown="none", member="all"):
    return metric, breakdown, member, "all", "all"


def test_net_promoter_score_of_definitions():
    scores = opinions([10, 9, 9, 8, 7, 6, 3, 10, 0, 9])
    value, interval = net_promoter(scores, np.arange(10))
    assert value == pytest.approx(0.20)
    assert round(100 * (interval.high - value), 1) == 54.0
    assert round(100 * (value - interval.low), 1) == 54.0


@given(st.lists(st.integers(-1, 1), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1))
def test_its_variance_is_that_of_the_mean(values):
    array = np.array(values, dtype=float)
    value, interval = net_promoter(array, np.arange(len(array)))
    half = 1.959963985 * array.std() / math.sqrt(len(array))
    assert value == pytest.approx(array.mean())
    assert interval.low == pytest.approx(max(-1, array.mean() - half))
    assert interval.high == pytest.approx(min(1, array.mean() + half))


def test_a_party_that_answers_often_widens_it():
    scores = opinions([10, 10, 10, 10, 0, 0, 0, 0])
    _, alone = net_promoter(scores, np.arange(8))
    _, together = net_promoter(scores, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert together.low < alone.low < alone.high < together.high


@pytest.mark.parametrize(("score", "low", "high"), [(10, 1 - 2 * (1 - 0.5101), 1), (0, -1, 2 * (1 - 0.5101) - 1),
                                                   (8, -(1 - 0.5101), 1 - 0.5101)])  # fmt: skip
def test_four_that_agree_are_not_certain(score, low, high):
    assert round(wilson(4, 4).low, 4) == 0.5101
    _, interval = net_promoter(opinions([score] * 4), np.arange(4))
    assert (interval.low, interval.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_difference_of_shares_of_definitions():
    bounds = newcombe(0.08, wilson(80, 1000), 0.11, wilson(110, 1000))
    assert (round(bounds.low, 4), round(bounds.high, 4)) == (-0.0559, -0.0043)
    assert newcombe(1.0, Interval(0.9, 1.0), 0.0, Interval(0.0, 0.1)).high == 1.0


def test_scores_count_answers_whose_time_has_passed():
    frame = surveys([
        *[{"opinion": 1.0}] * 3, *[{"opinion": 0.0}] * 2, *[{"opinion": math.nan}] * 5,
        {"is_elapsed": False}, *[{"kind": "transactional_nps", "opinion": value} for value in (1.0, 1.0, 0.0, -1.0)],
        *[{"kind": "relational_nps", "level": "unknown", "opinion": -1.0}] * 3,
    ])  # fmt: skip
    rows = measured(frame)
    csat = rows[total("csat")]
    assert (csat.numerator, csat.denominator, csat.value, csat.maturity_status) == (3, 5, 0.6, "partly_mature")
    nps = rows[total("transactional_nps")]
    assert (nps.numerator, nps.n, nps.value, nps.method) == (1, 4, 0.25, "net_promoter")
    assert rows[total("relational_nps")].value == -1.0, "kept apart"
    response = rows[total("survey_response_rate")]
    assert (response.numerator, response.denominator) == (9, 14), "five did not answer, one still may"
    assert rows[total("survey_response_rate", "survey_kind", "relational_nps")].value == 1.0


def test_edge_66_no_responses_are_null_and_never_zero():
    rows = measured(surveys([{"opinion": math.nan}] * 6))
    csat = rows[total("csat")]
    assert (csat.value, csat.n, csat.numerator, csat.refusal_reason) == (None, 0, None, "zero_denominator")
    assert rows[total("transactional_nps")].refusal_reason == "zero_denominator"
    assert rows[total("survey_response_rate")].value == 0.0, "of six invitations none was answered: that is a rate"
    assert rows[total("left_after_survey", "response", "not_answered")].n == 6


def test_edge_74_nobody_asked_has_no_rate():
    rows = measured(surveys([{}]).iloc[:0])
    for metric in ("csat", "transactional_nps", "relational_nps", "survey_response_rate", "survey_invitation_rate"):
        row = rows[total(metric)]
        assert (row.value, row.n, row.refusal_reason) == (None, 0, "zero_denominator")


def test_edge_73_a_small_cell_is_hidden_with_its_complement():
    frame = surveys([*[{"kind": "transactional_nps", "vendor": "v1"}] * 2, *[{"kind": "transactional_nps"}] * 9])
    rows = measured(frame)
    reasons = {member: rows[total("transactional_nps", "vendor", member)].refusal_reason
               for member in ("v1", "in_house")}  # fmt: skip
    assert reasons == {"v1": "small_cell", "in_house": "small_cell"}
    assert rows[total("transactional_nps")].value == 1.0


def test_edge_73_a_small_team_is_not_found_from_its_vendors_total():
    teams = {("A", "a1"): 30, ("A", "a2"): 2, ("B", "b1"): 20, ("B", "b2"): 6}
    asked = [
        {"vendor": vendor, "team": team, "sourcing": "outsourced"}
        for (vendor, team), n in teams.items()
        for _ in range(n)
    ]
    both = [{"kind": kind, **row} for kind in ("csat", "transactional_nps") for row in asked]
    hidden = {"a1": "small_cell", "a2": "small_cell", "b1": None, "b2": None}
    rows = measured(surveys(both), occasions(asked))
    for metric in ("csat", "transactional_nps", "survey_invitation_rate"):
        assert {team: rows[total(metric, "team", team)].refusal_reason for team in hidden} == hidden
        assert rows[total(metric, "vendor", "A")].refusal_reason is None
    rows = measured(surveys(asked))
    assert {team: rows[total("survey_response_rate", "team", team)].refusal_reason for team in hidden} == hidden


def test_who_left_is_shown_for_those_who_did_not_answer_and_for_every_answer():
    left = {"churn_s": 10.0 * DAY}
    frame = surveys([
        *[{"opinion": math.nan, **left}] * 3, *[{"opinion": math.nan}] * 3, *[{"opinion": 0.0, **left}] * 1,
        *[{"opinion": 0.0}] * 3, *[{"opinion": 1.0}] * 4, {"opinion": 1.0, "churn_s": 90.0 * DAY},
        {"opinion": 1.0, "competing_s": 5.0 * DAY, **left}, {"opinion": 1.0, "is_gone": True},
        {"opinion": 1.0, "followed_s": 89.0 * DAY, **left},
        *[{"kind": "relational_nps", "opinion": -1.0, **left}] * 3, *[{"kind": "relational_nps", "opinion": -1.0}] * 3,
    ])  # fmt: skip
    rows = {key[1:3]: row for key, row in measured(frame).items() if key[0] == "left_after_survey"}
    assert (rows["response", "not_answered"].numerator, rows["response", "not_answered"].n) == (3, 6)
    assert (rows["response", "answered"].numerator, rows["response", "answered"].n) == (1, 10)
    assert rows["response", "answered"].maturity_status == "partly_mature"
    assert (rows["score_band", "csat_not_satisfied"].numerator, rows["score_band", "csat_not_satisfied"].n) == (1, 4)
    assert (rows["score_band", "csat_satisfied"].numerator, rows["score_band", "csat_satisfied"].n) == (0, 6)
    assert rows["score_band", "relational_nps_detractor"].value == 0.5


def biased(good_share, bad_share, n=400, **row):
    """Cases half of which were open, invited at those shares."""
    return occasions([
        {"resolved": resolved, "is_invited": i < share * n // 2, **row}
        for resolved, share in ((1, good_share), (0, bad_share))
        for i in range(n // 2)
    ])  # fmt: skip


def test_edge_67_surveys_only_after_good_calls_are_alarming():
    gaps = {(row.good_sign, row.vendor): row for row in invitation_gaps(biased(0.6, 0.1), 0.05, MIN_CELL_N)}
    gap = gaps["resolved", "v1"]
    assert (gap.good_invited, gap.good_n, gap.bad_invited, gap.bad_n) == (120, 200, 20, 200)
    assert gap.gap == pytest.approx(0.5)
    assert gap.ci_low > gap.max_gap
    fair = {(row.good_sign, row.vendor): row for row in invitation_gaps(biased(0.6, 0.58), 0.05, MIN_CELL_N)}
    assert fair["resolved", "v1"].ci_low < 0.05, "chance"
    # Nothing tells good from bad: no gap, and no zero either.
    assert gaps["in_time", "all"].refusal_reason == "zero_denominator"
    (row,) = [row for row in gap_metrics(list(gaps.values())) if row.member == "resolved"]
    assert (row.metric, row.value, row.n) == ("invitation_gap", pytest.approx(0.5), 400)


def test_a_vendors_choice_is_not_hidden_by_the_others():
    frame = pd.concat([biased(0.6, 0.1, 200), biased(0.6, 0.6, 4000, vendor="in_house", sourcing="in_house")])
    frame["party"] = np.arange(len(frame))
    gaps = {row.vendor: row for row in invitation_gaps(frame, 0.05, MIN_CELL_N) if row.good_sign == "resolved"}
    assert gaps["all"].ci_low < 0.05 < gaps["v1"].ci_low


def test_a_small_side_is_hidden():
    frame = occasions([{"resolved": 0}, *[{"resolved": 1, "is_invited": True}] * 9])
    (row,) = [r for r in invitation_gaps(frame, 0.05, MIN_CELL_N) if (r.good_sign, r.vendor) == ("resolved", "v1")]
    assert (row.gap, row.good_invited, row.bad_invited, row.refusal_reason) == (None, None, None, "small_cell")


def contacts(*groups):
    """Groups of (vendor, level, repeats, contacts), each contact its own party's, codes as they are read."""
    rows = [(vendor, level, i < repeats) for vendor, level, repeats, n in groups for i in range(n)]
    frame = pd.DataFrame(rows, columns=["vendor", "level", "has_repeat_30d"])
    frame = frame.assign(segment="mass", topic="billing", team="unknown", is_window_30d_elapsed=True,
                         is_first_contact=True, party=np.arange(len(frame)))  # fmt: skip
    frame["sourcing"] = np.where(frame["vendor"] == "in_house", "in_house", "outsourced")
    return frame.astype(dict.fromkeys(("vendor", "level", "segment", "topic", "team", "sourcing"), "category"))


def on_one_mix(frame, asked=None, min_cell_n=MIN_CELL_N):
    """Standardised rows by (metric, breakdown, member), names without their ending."""
    found = list(standardised_metrics(frame, surveys([{}]).iloc[:0] if asked is None else asked, min_cell_n))
    rows = {(row.metric.removesuffix("_standardised"), row.breakdown, row.member): row for row in found}
    assert len(rows) == len(found), "a member is written once"
    return rows


#: Definitions' example, of repeat contacts: in-house has the hard cases.
EASY_AND_HARD = (
    ("in_house", "L1", 10, 200),
    ("in_house", "L2", 160, 800),
    ("v1", "L1", 48, 800),
    ("v1", "L2", 44, 200),
)


def test_easier_cases_are_no_merit():
    found = on_one_mix(contacts(*EASY_AND_HARD))
    theirs, ours = (found["repeat_contact_rate", "vendor", who] for who in ("v1", "in_house beside v1"))
    assert (ours.value, theirs.value) == (pytest.approx(0.125), pytest.approx(0.14))
    assert ours.ci_low < theirs.value < theirs.ci_high
    assert (ours.denominator, ours.n, ours.method) == (1000, 1000, "direct_standardisation")
    resolved = found["first_contact_resolution", "sourcing", "outsourced"]
    assert resolved.value == pytest.approx(1 - theirs.value)
    assert not [key for key in found if key[1] == "team"], "unknown is compared with nobody"
    reference = found["repeat_contact_rate", "vendor", "in_house"]
    assert (reference.value, reference.denominator, reference.refusal_reason) == (None, 1000, "not_estimated")


def test_a_niche_vendor_changes_nobody_elses_rate():
    found = on_one_mix(contacts(*EASY_AND_HARD))
    # v2 has one kind of case that in-house has few of, v3 one that nobody else has, v4 mostly that.
    niche = (("v2", "L3a", 30, 60), ("in_house", "L3a", 4, 8), ("v3", "L3b", 9, 60), ("v4", "L1", 4, 40),
             ("v4", "L3b", 9, 60))  # fmt: skip
    beside_them = on_one_mix(contacts(*EASY_AND_HARD, *niche))
    rate = {member: row for (metric, breakdown, member), row in beside_them.items()
            if (metric, breakdown) == ("repeat_contact_rate", "vendor")}  # fmt: skip
    assert rate["v1"] == found["repeat_contact_rate", "vendor", "v1"]
    ours = rate["in_house beside v1"]
    assert (ours.value, ours.n, ours.denominator) == (pytest.approx(0.125), 1000, 1008)
    assert (rate["v2"].value, rate["v2"].n, rate["in_house beside v2"].n) == (0.5, 60, 8)
    reasons = {
        name: (row.n, row.value, row.refusal_reason) for name, row in rate.items() if name.endswith(("v3", "v4"))
    }
    assert reasons == {
        "v3": (0, None, "no_overlap"), "in_house beside v3": (0, None, "no_overlap"),
        "v4": (40, None, "no_overlap"), "in_house beside v4": (200, None, "no_overlap"),
    }  # fmt: skip
    few = on_one_mix(contacts(*EASY_AND_HARD, *niche), min_cell_n=10)
    assert few["repeat_contact_rate", "vendor", "v2"].refusal_reason == "too_few", "eight in-house contacts are no rate"


def test_edge_73_a_team_hidden_in_the_crude_rate_is_hidden_here():
    frame = contacts(("v1", "L1", 10, 32), ("in_house", "L1", 10, 40))
    frame["team"] = pd.Categorical(["a1"] * 30 + ["a2"] * 2 + ["b1"] * 20 + ["b2"] * 20)
    found = on_one_mix(frame)
    rates = {team: found["repeat_contact_rate", "team", team].refusal_reason for team in ("a1", "a2", "b1", "b2")}
    assert rates == {"a1": "small_cell", "a2": "small_cell", "b1": None, "b2": None}
    assert found["repeat_contact_rate", "vendor", "v1"].refusal_reason is None


def test_a_team_and_all_others_are_as_if_every_row_were_compared():
    rng = np.random.default_rng(3)
    frame = contacts(*EASY_AND_HARD).assign(party=rng.integers(0, 900, 2000))
    frame["team"] = pd.Categorical(rng.choice(["t1", "t2", "t3"], 2000))
    frame["topic"] = pd.Categorical(
        np.where(frame["team"] == "t1", "billing", rng.choice(["billing", "roaming"], 2000))
    )
    found = on_one_mix(frame)
    stratum = frame.groupby(["level", "topic"], observed=True).ngroup()
    one, others = standardise(frame["has_repeat_30d"], frame["team"] != "t1", stratum, frame["party"]).groups
    for member, group in (("t1", one), ("not t1", others)):
        row = found["repeat_contact_rate", "team", member]
        assert (row.value, row.ci_low, row.ci_high) == pytest.approx((group.value, group.low, group.high))
        assert (row.n, row.denominator) == (group.n_used, group.n)
    assert others.n_used < others.n


def test_scores_on_the_same_mix_and_partners_without_one():
    bad = [{"kind": "transactional_nps", "vendor": vendor, "level": level, "opinion": value}
           for vendor, level, value in (("v1", "L1", 1.0), ("v1", "L2", -1.0), ("in_house", "L1", 1.0),
                                        ("in_house", "L2", -1.0))
           for _ in range(5)]  # fmt: skip
    nobody = contacts().astype({"has_repeat_30d": bool})
    found = on_one_mix(nobody, surveys([*bad, *[{**bad[0], "vendor": "v1"}] * 30]))
    v1, ours = (found["transactional_nps", "vendor", who] for who in ("v1", "in_house beside v1"))
    assert v1.value == pytest.approx(ours.value), "the mix is the same, so is the score"
    apart = surveys([{**row, "level": "L2" if row["vendor"] == "v1" else "L1"} for row in bad])
    assert on_one_mix(nobody, apart)["transactional_nps", "vendor", "v1"].refusal_reason == "no_overlap"
    # Nobody to be compared with.
    alone = on_one_mix(nobody, surveys([row for row in bad if row["vendor"] == "v1"]))
    assert {key[2]: row.refusal_reason for key, row in alone.items() if key[1] == "vendor"} == {"v1": "no_overlap"}


@given(st.integers(2, 60), st.integers(2, 60), st.data())
def test_difference_of_shares_against_statsmodels(n, other_n, data):
    count, other = data.draw(st.integers(0, n)), data.draw(st.integers(0, other_n))
    bounds = newcombe(count / n, wilson(count, n), other / other_n, wilson(other, other_n))
    low, high = confint_proportions_2indep(count, n, other, other_n, compare="diff", method="newcomb")
    assert (bounds.low, bounds.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
