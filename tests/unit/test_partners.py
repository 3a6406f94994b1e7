"""Partners against in-house: the planted paradox, what is compared with what, what is refused, what a month costs."""

import numpy as np
import pytest
from unit_cases import DAY, block, frame

from retention.outcomes.partners import compare_partners

#: DEFINITIONS 8: the vendor gets the easy cases.
PARADOX = (
    block(200, 10), block(800, 160, stratum="hard"),
    block(800, 48, partner="v1"), block(200, 44, partner="v1", stratum="hard"),
)  # fmt: skip


def rows(cases, min_cell_n=10):
    """Rows by (unit, period, use case, horizon); a team is called by its own name."""
    found = list(compare_partners(cases, min_cell_n))
    named = {(row.unit, row.period, row.use_case, row.horizon_days): row for row in found}
    assert len(named) == len(found)
    return named


def test_the_vendor_with_the_easier_cases_is_not_declared_better():
    """Crude 9.2 % against 17 %: it looks twice as good; on the same mix 14.0 % against 12.5 %, and nothing is shown."""
    found = rows(frame(*PARADOX))
    for unit in ("v1", "outsourced"):
        vendor = found[unit, "2025-Q1", "all", 90]
        assert (vendor.crude_share, vendor.left_count, vendor.n) == (0.092, 92, 1000)
        assert (round(vendor.standardised_share, 9), round(vendor.reference_share, 9)) == (0.14, 0.125)
        assert (vendor.verdict, vendor.dropped_share, vendor.reference) == ("no_difference_shown", 0, "in_house")
        half = (vendor.difference_ci_high - vendor.difference_ci_low) / 2
        assert half == pytest.approx(0.036, abs=0.0005)
    own = found["in_house", "2025-Q1", "all", 90]
    assert (own.crude_share, own.verdict, own.comparison_refusal) == (0.17, "reference", "is_reference")
    assert own.crude_ci_low > vendor.crude_ci_high, "a reader of crude shares would be sure"


def test_a_vendor_that_is_worse_on_like_cases_is_called_worse_and_a_better_one_better():
    found = rows(frame(block(1000, 100), block(1000, 150, partner="v1"), block(1000, 60, partner="v2")))
    assert found["v1", "all", "all", 90].verdict == "worse"
    assert found["v2", "all", "all", 90].verdict == "better"
    assert found["team of v2", "all", "all", 90].reference == "others"
    assert found["team of v2", "all", "all", 90].reference_n == 2000


def test_only_cases_of_one_quarter_are_compared():
    """A bad quarter that the vendor worked through is not its fault."""
    blocks = [block(900, 90), block(100, 30, period="2025-Q2"), block(100, 10, partner="v1")]
    found = rows(frame(*blocks, block(900, 270, partner="v1", period="2025-Q2")))
    vendor = found["v1", "all", "all", 90]
    assert vendor.crude_share == 0.28
    assert vendor.difference == pytest.approx(0)


def test_who_is_old_enough_counts_and_who_left_first_and_inside_the_horizon():
    blocks = [
        block(20, 2), block(5, 5, followed_s=90 * DAY - 1), block(5, 5, churn_s=90 * DAY),
        block(5, 5, churn_s=10 * DAY, competing_s=9 * DAY), block(5, 5, churn_s=10 * DAY, competing_s=10 * DAY),
    ]  # fmt: skip
    found = rows(frame(*blocks))
    own = found["in_house", "all", "all", 90]
    assert (own.cases, own.n, own.left_count, own.maturity_status) == (40, 35, 7, "partly_mature")
    assert found["in_house", "all", "all", 60].left_count == 12
    young = rows(frame(block(20, 2, followed_s=29 * DAY)))["in_house", "all", "all", 30]
    assert (young.cases, young.n, young.refusal_reason, young.cost_refusal) == (20, 0, "immature", "immature")


def test_edge_73_a_vendor_of_three_is_hidden_with_its_complement():
    """Three cases, and the other vendor: from outsourced and v2 one could compute v1. In-house is not touched."""
    found = rows(frame(block(500, 50), block(3, 1, partner="v1"), block(400, 40, partner="v2")))
    for unit in ("v1", "v2", "team of v1", "team of v2"):
        row = found[unit, "2025-Q1", "all", 90]
        assert (row.refusal_reason, row.left_count, row.verdict) == ("small_cell", None, "refused"), unit
    assert found["v1", "2025-Q1", "all", 90].n == 3
    assert found["outsourced", "2025-Q1", "all", 90].left_count == 41
    assert found["in_house", "2025-Q1", "all", 90].left_count == 50


def test_edge_73_a_small_quarter_is_hidden_with_another_quarter_of_the_same_unit():
    quarters = ("2025-Q1", "2025-Q2", "2025-Q3")
    blocks = [block(4, 1, partner="v1"), *(block(100, 9, partner="v1", period=p) for p in quarters[1:])]
    found = rows(frame(*(block(100, 10, period=p) for p in quarters), *blocks))
    hidden = {p for p in (*quarters, "all") if found["v1", p, "all", 90].refusal_reason == "small_cell"}
    assert "2025-Q1" in hidden
    assert len(hidden) == 2
    # The only vendor is all that is outsourced: its row would give it away.
    assert found["outsourced", "2025-Q1", "all", 90].refusal_reason == "small_cell"


def test_edge_73_a_part_is_hidden_when_the_rest_of_the_unit_is_small():
    """94 of 98 are risks: from all cases and the risks one could compute the four others."""
    found = rows(frame(block(200, 20), block(200, 20, is_risk=True), block(4, 1, partner="v1"),
                       block(94, 9, partner="v1", is_risk=True)))  # fmt: skip
    assert found["v1", "all", "all", 90].left_count == 10
    assert found["v1", "all", "repeat_and_risk", 90].refusal_reason == "small_cell"
    assert found["in_house", "all", "repeat_and_risk", 90].n == 200


def test_one_party_with_many_lines_is_hidden():
    found = rows(frame(block(500, 50), block(60, 6, partner="v1", party=7)))
    assert found["v1", "all", "all", 90].refusal_reason == "small_cell"


def test_a_comparison_that_loses_most_of_its_cases_is_refused():
    mostly_alone = rows(frame(block(500, 50), block(40, 4, partner="v1"), block(60, 6, partner="v1", stratum="odd")))
    vendor = mostly_alone["v1", "all", "all", 90]
    assert (vendor.comparison_refusal, vendor.verdict, vendor.dropped_share) == ("no_overlap", "refused", 0.6)
    assert vendor.crude_share == 0.1
    alone = rows(frame(block(500, 50, stratum="other"), block(40, 4, partner="v1")))["v1", "all", "all", 90]
    assert alone.comparison_refusal == "no_overlap"
    nobody = rows(frame(block(40, 4, partner="v1")))["v1", "all", "all", 90]
    assert nobody.comparison_refusal == "zero_denominator"


def test_use_cases_and_what_cannot_be_told_yet():
    night, risk = {"is_night": True}, {"is_risk": True}
    found = rows(frame(block(100, 10), block(100, 10, **night), block(100, 10, **risk), block(50, 5, partner="v1"),
                       block(50, 9, partner="v1", **night), block(50, 7, partner="v1", **risk)))  # fmt: skip
    counts = {case: found["v1", "all", case, 90].left_count for case in ("all", "night", "repeat_and_risk")}
    assert counts == {"all": 21, "night": 9, "repeat_and_risk": 7}
    assert ("team of v1", "all", "night", 90) not in found
    for use_case, reason in (("proactive", "no_holdout"), ("pilots", "not_estimated")):
        row = found["outsourced", "all", use_case, 180]
        assert (row.n, row.crude_share, row.refusal_reason, row.verdict) == (0, None, reason, "refused")


def test_quarters_older_than_the_latest_eight_are_left_out():
    quarters = [f"{year}-Q{q}" for year in (2023, 2024, 2025) for q in (1, 2, 3, 4)]
    found = rows(frame(*(block(20, 2, period=p) for p in quarters)))
    assert {period for _, period, *_ in found} == {"all", *quarters[4:]}
    assert found["in_house", "all", "all", 90].n == 160


def test_a_retained_month_costs_what_was_spent_over_the_months_stayed():
    """20 stayed 180 days and 10 left on day 10: 3,700 days; 40 roubles each at the vendor, 100 in-house."""
    found = rows(frame(block(20, 0), block(10, 10), block(20, 0, partner="v1", cost_rub=40.0),
                       block(10, 10, partner="v1", cost_rub=40.0)))  # fmt: skip
    months = (20 * 180 + 10 * 10) / 30.4375
    own, vendor = found["in_house", "all", "all", 180], found["v1", "all", "all", 180]
    assert (own.retained_months, own.cost_rub) == (pytest.approx(months), 3000)
    assert own.cost_per_retained_month_rub == pytest.approx(3000 / months)
    assert own.cost_ci_low < own.cost_per_retained_month_rub < own.cost_ci_high
    # By hand: cost is constant, so only the months vary: the error of their mean over it, on the logarithm.
    stayed = np.repeat([180.0, 10.0], [20, 10]) / 30.4375
    error = np.std(stayed, ddof=1) / np.sqrt(30) / stayed.mean()
    assert np.log(own.cost_ci_high / own.cost_per_retained_month_rub) == pytest.approx(1.959964 * error)
    assert vendor.standardised_cost_rub == pytest.approx(1200 / months)
    assert vendor.reference_cost_rub == pytest.approx(3000 / months)
    assert found["v1", "all", "all", 90].cost_refusal == "other_horizon"


def test_a_cost_on_the_same_mix_takes_away_what_the_mix_explains():
    """Hard cases cost 300, easy ones 100, whoever has them: crude they differ twofold, like for like not at all."""
    shares = {("in_house", "easy"): 200, ("in_house", "hard"): 800, ("v1", "easy"): 800, ("v1", "hard"): 200}
    blocks = [
        block(n, n // 10, partner=partner, stratum=stratum, cost_rub=100.0 if stratum == "easy" else 300.0)
        for (partner, stratum), n in shares.items()
    ]
    vendor = rows(frame(*blocks))["v1", "all", "all", 180]
    assert vendor.cost_per_retained_month_rub / vendor.reference_cost_rub == pytest.approx(0.7)
    assert vendor.standardised_cost_rub == pytest.approx(vendor.reference_cost_rub)
    assert vendor.standardised_cost_ci_low < vendor.standardised_cost_rub < vendor.standardised_cost_ci_high


@pytest.mark.parametrize(("cost", "reason"), [(np.nan, "no_price"), (0.0, "zero_denominator")])
def test_without_a_price_or_any_cost_there_is_none(cost, reason):
    own = rows(frame(block(50, 5), block(50, 5, cost_rub=cost) if cost else block(50, 5)))[
        "in_house", "all", "all", 180
    ]
    free = rows(frame(block(50, 5, cost_rub=cost)))["in_house", "all", "all", 180]
    assert (free.cost_refusal, free.cost_per_retained_month_rub) == (reason, None)
    assert (own.cost_refusal, own.crude_share) == (("no_price", 0.1) if np.isnan(cost) else (None, 0.1))


def test_without_cases_only_what_cannot_be_told_is_there():
    found = rows(frame(block(0)))
    assert {use_case for _, _, use_case, _ in found} == {"proactive", "pilots"}
