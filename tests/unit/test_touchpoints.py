"""Shrunken rates recover what was planted, cells are ranked by them, and small cells are hidden with a complement."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import fisher_exact, gamma

from retention.outcomes.suppression import ALL
from retention.outcomes.touchpoint_outcomes import Departures, Revenue, touchpoint_outcomes
from retention.outcomes.touchpoints import Complaints, Exposure, shrink, touchpoints, with_totals

REGIONS = ("r1", "r2", "r3", "r4")


def test_gamma_rates_are_recovered_and_the_intervals_cover_them():
    rng = np.random.default_rng(4)
    shape, family = 3.0, np.repeat([0, 1], 400)
    mean = np.where(family == 0, 2.0, 20.0)
    exposure = rng.lognormal(0.0, 1.0, 800)
    truth = rng.gamma(shape, mean / shape)
    counted = rng.poisson(truth * exposure).astype(float)
    found = shrink(counted, exposure, family)
    assert found.shape == pytest.approx(shape, rel=0.2)
    covered = (found.low <= truth) & (truth <= found.high)
    assert covered.mean() == pytest.approx(0.95, abs=0.02)
    crude = counted / exposure
    assert np.mean((found.rate - truth) ** 2) < 0.8 * np.mean((crude - truth) ** 2)


def test_the_posterior_worked_by_hand():
    # Cells that agree get the family's mean, and more certainty than any of them alone; not more than all together.
    found = shrink(np.full(50, 10.0), np.full(50, 5.0), np.zeros(50, np.int64))
    assert found.rate == pytest.approx(np.full(50, 2.0), rel=1e-3)
    alone, together = gamma(10, scale=1 / 5), gamma(500, scale=1 / 250)
    assert (
        alone.ppf(0.025) < found.low[0] < together.ppf(0.025) < together.ppf(0.975) < found.high[0] < alone.ppf(0.975)
    )
    # A posterior is Gamma(shape + O, shape / mean + E); half a complaint at the overall rate is in the mean.
    counted, exposure = np.array([0.0, 4.0, 30.0]), np.array([1.0, 2.0, 3.0])
    found = shrink(counted, exposure, np.zeros(3, np.int64))
    mean = 34.5 / (6 + 0.5 / (34 / 6))
    precision = found.shape / mean + exposure
    posterior = gamma(found.shape + counted, scale=1 / precision)
    assert found.rate == pytest.approx((found.shape + counted) / precision)
    # Never narrower than if the family's mean were known.
    assert (found.high - found.low > posterior.ppf(0.975) - posterior.ppf(0.025)).all()
    # Towards the mean, the lone complaint-free cell most.
    assert 0 < found.rate[0] < mean < found.rate[2] < 10


def exposures(n=1000, **special):
    """Two stages in four regions, 90 days each; and everybody of a region."""
    sizes = {("onboarding", r): n for r in REGIONS} | {("established", r): 20 * n for r in REGIONS}
    sizes |= special.get("sizes", {})
    sizes |= {("unknown", r): sum(v for (_, where), v in sizes.items() if where == r) for r in REGIONS}
    return {cell: Exposure(v, v * 90.0) for cell, v in sizes.items()}


COMPLAINTS = [
    Complaints("mobile_internet", "call", "onboarding", "r1", 40, 50),
    Complaints("mobile_internet", "call", "onboarding", "r2", 10, 12),
    Complaints("mobile_internet", "call", "established", "r1", 100, 140),
    Complaints("mobile_internet", "social", "unknown", "r3", 7, 7),
    Complaints("mobile_internet", "social", "unknown", "unknown", 3, 3),
    Complaints("roaming", "call", "not_active", "r4", 2, 2),
]


def rows_of(complaints, exposed, min_cell_n=10):
    return {(r.topic, r.channel, r.stage, r.region_id): r for r in touchpoints(complaints, exposed, 90, min_cell_n)}


def test_every_complaint_is_in_a_touchpoint_and_rates_rest_on_exposure():
    rows = rows_of(COMPLAINTS, exposures())
    parts = [row for row in rows.values() if row.region_id != ALL]
    totals = [row for row in rows.values() if row.region_id == ALL]
    assert sum(row.complaints for row in parts) == sum(row.complaints for row in totals) == 162
    assert sum(row.contacts for row in parts) == 214
    row = rows["mobile_internet", "call", "onboarding", "r1"]
    assert (row.rate_per_1000, row.n, row.exposure_days) == (40.0, 1000, 90_000.0)
    assert row.ci_low < row.shrunken_rate_per_1000 < row.rate_per_1000
    # No complaint is a low rate, not a missing one.
    silent = rows["mobile_internet", "call", "established", "r4"]
    assert (silent.complaints, silent.rate_per_1000) == (0, 0.0)
    assert 0 <= silent.ci_low < silent.shrunken_rate_per_1000


def test_ranks_follow_the_shrunken_rate_with_regions_and_totals_apart():
    rows = list(rows_of(COMPLAINTS, exposures()).values())
    for is_total in (False, True):
        ranked = sorted(
            (r for r in rows if r.touchpoint_rank and (r.region_id == ALL) == is_total), key=lambda r: r.touchpoint_rank
        )
        assert [r.touchpoint_rank for r in ranked] == list(range(1, len(ranked) + 1))
        assert all(a.shrunken_rate_per_1000 >= b.shrunken_rate_per_1000 for a, b in pairwise(ranked))
    best = next(r for r in rows if r.touchpoint_rank == 1 and r.region_id != ALL)
    assert (best.stage, best.region_id) == ("onboarding", "r1")


def test_edge_11_an_unmatched_review_is_counted_against_everybody_of_its_region():
    rows = rows_of(COMPLAINTS, exposures())
    review = rows["mobile_internet", "social", "unknown", "r3"]
    assert (review.complaints, review.n, review.rate_per_1000) == (7, 21_000, pytest.approx(7 / 21))
    # Of one whose region is unknown, too, it may be anybody.
    assert rows["mobile_internet", "social", "unknown", "unknown"].n == 84_000


def test_edge_73_a_cell_of_three_is_hidden_with_its_complement():
    rows = rows_of(COMPLAINTS, exposures(sizes={("onboarding", "r4"): 3, ("onboarding", "r3"): 400}))
    hidden = {key[2:]: row for key, row in rows.items() if row.refusal_reason == "small_cell"}
    assert set(hidden) == {("onboarding", "r4"), ("onboarding", "r3")}, "the smallest beside it"
    assert hidden["onboarding", "r4"].n == 3
    assert {(row.rate_per_1000, row.ci_low, row.touchpoint_rank) for row in hidden.values()} == {(None, None, None)}


def test_edge_74_without_exposure_there_is_no_rate():
    rows = rows_of(COMPLAINTS, exposures())
    row = rows["roaming", "call", "not_active", "r4"]
    assert (row.complaints, row.n, row.rate_per_1000, row.ci_high) == (2, 0, None, None)
    assert row.refusal_reason == "zero_denominator"
    assert rows_of([], exposures()) == {}
    assert {row.refusal_reason for row in rows_of(COMPLAINTS, {}).values()} == {"zero_denominator"}


def test_totals_of_exposure_are_sums_over_regions():
    exposed = with_totals(exposures())
    assert exposed["onboarding", ALL] == Exposure(4000, 360_000.0)
    assert exposed["unknown", "unknown"] == exposed["unknown", ALL] == Exposure(84_000, 84_000 * 90.0)
    assert with_totals({}) == {}


def departures(*counts, topic="billing", stage="established"):
    """Cells of one topic by region: (mature, left) each."""
    return [
        Departures(topic, "call", stage, region, mature, left, mature)
        for region, (mature, left) in zip(REGIONS, counts, strict=False)
    ]


def outcomes_of(departed, revenue=(), keys=(), min_cell_n=10):
    found = touchpoint_outcomes(keys, departed, revenue, min_cell_n)
    return {(r.topic, r.stage, r.region_id): r for r in found}


def test_the_share_that_left_is_shrunk_and_tested_against_the_rest():
    rows = outcomes_of(departures((100, 40), (400, 40), (300, 27), (12, 3)))
    worst, small = rows["billing", "established", "r1"], rows["billing", "established", "r4"]
    assert (worst.n_mature, worst.left_after, worst.share_left) == (100, 40, 0.4)
    assert worst.ci_low < worst.shrunken_share_left < worst.share_left
    # A quarter of twelve is drawn further, by its own measure, than forty of a hundred.
    mean = 110 / 812
    assert (small.shrunken_share_left - mean) / (0.25 - mean) < (worst.shrunken_share_left - mean) / (0.4 - mean)
    others = {"r1": (40, 60, 70, 642), "r2": (40, 360, 70, 342), "r3": (27, 273, 83, 429), "r4": (3, 9, 107, 693)}
    p_values = {r: fisher_exact([counts[:2], counts[2:]], alternative="greater").pvalue for r, counts in others.items()}
    assert worst.q_value == pytest.approx(4 * p_values["r1"])
    assert [r for r in REGIONS if rows["billing", "established", r].is_above_others] == ["r1"]
    total = rows["billing", "established", ALL]
    assert (total.n_mature, total.left_after, total.q_value, total.is_above_others) == (812, 110, 1.0, False)


def test_among_equal_touchpoints_few_are_marked():
    rng = np.random.default_rng(6)
    marked = 0
    for _ in range(40):
        cells = [
            Departures(f"t{i}", "call", "established", "r1", 60, int(left), 60)
            for i, left in enumerate(rng.binomial(60, 0.12, 40))
        ]
        marked += any(r.is_above_others for r in touchpoint_outcomes((), cells, (), 10) if r.region_id != ALL)
    # Whoever marks each p below 0.05 marks somebody in nearly every one of these worlds.
    assert marked <= 5


def test_revenue_at_risk_is_what_they_pay_times_the_shrunken_share():
    money = [Revenue("billing", "call", "established", "r1", 80, 40_000.0),
             Revenue("billing", "call", "established", "r2", 4, 9_000.0)]  # fmt: skip
    rows = outcomes_of(departures((100, 40), (400, 40)), money)
    first, second, total = (rows["billing", "established", region] for region in ("r1", "r2", ALL))
    assert first.revenue_at_risk_rub is None, "with the total it would give the four away"
    assert (second.revenue_refusal, second.refusal_reason, second.n_earning) == ("small_cell", None, 4)
    assert total.revenue_at_risk_rub == pytest.approx(49_000 * total.shrunken_share_left)
    (alone,) = [r for r in touchpoint_outcomes((), departures((50, 5)), money[:1], 10) if r.region_id == "r1"]
    assert alone.revenue_at_risk_rub == pytest.approx(40_000 * alone.shrunken_share_left)


def test_edge_73_outcomes_of_three_episodes_or_one_party_are_hidden_with_a_complement():
    rows = outcomes_of(departures((100, 40), (400, 40), (50, 2), (3, 3)))
    hidden = {key[2] for key, row in rows.items() if row.refusal_reason == "small_cell"}
    assert hidden == {"r4", "r3"}
    row = rows["billing", "established", "r4"]
    assert (row.n_mature, row.share_left, row.ci_low, row.q_value, row.is_above_others) == (3, *[None] * 4)
    company = [Departures("billing", "call", "established", "r1", 40, 4, 1)]
    assert {r.refusal_reason for r in touchpoint_outcomes((), company, (), 10)} == {"small_cell"}


def test_edge_74_a_touchpoint_without_mature_episodes_has_no_share():
    key = ("roaming", "call", "established", "r1")
    rows = outcomes_of(departures((100, 4)), [Revenue(*key, 30, 9_000.0)], keys=[key])
    row = rows["roaming", "established", "r1"]
    assert (row.n_mature, row.shrunken_share_left, row.refusal_reason) == (0, None, "zero_denominator")
    assert (row.n_earning, row.revenue_at_risk_rub, row.revenue_refusal) == (30, None, "zero_denominator")
    assert list(touchpoint_outcomes((), (), (), 10)) == []
