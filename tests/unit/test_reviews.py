"""Weeks, Newcombe's interval, findings of reviewers, and the share of closings that were lost."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from retention.outcomes.closings import CLOSING_COLUMNS, closing_metrics
from retention.outcomes.review_findings import Judgement, findings
from retention.outcomes.review_sampling import week_of

CODES = {"cause": ["late", "price"], "decision": ["train"]}


def test_the_difference_has_newcombe_s_interval() -> None:
    """DEFINITIONS 8: 80 of 1000 against 110 of 1000."""
    left = [judgement(i, "left", "late" if i < 80 else "price") for i in range(1000)]
    stayed = [judgement(i, "stayed", "late" if i < 1110 else "price") for i in range(1000, 2000)]
    (row,) = (
        r for r in findings([*left, *stayed], CODES, 0, 3) if (r.code, r.level, r.vendor) == ("late", "all", "all")
    )
    assert (row.ci_low, row.ci_high) == (pytest.approx(-0.0559, abs=5e-5), pytest.approx(-0.0043, abs=5e-5))


@pytest.mark.parametrize(
    ("as_of", "monday"),
    [
        (datetime(2026, 2, 1, 20, 59, 59, tzinfo=UTC), date(2026, 1, 26)),
        (datetime(2026, 2, 1, 21, tzinfo=UTC), date(2026, 2, 2)),
        (datetime(2026, 1, 1, tzinfo=UTC), date(2025, 12, 29)),
    ],
)
def test_a_week_begins_on_monday_in_moscow(as_of: datetime, monday: date) -> None:
    assert week_of(as_of).monday == monday
    assert week_of(as_of).begins_at <= as_of


def judgement(case: int, outcome: str, cause: str, reviewer: str = "r1", vendor: str = "v1") -> Judgement:
    return Judgement((date(2026, 2, 2), case), reviewer, cause, "train", None, outcome, "L1", vendor)


def test_a_cell_of_one_outcome_has_no_difference() -> None:
    only_left = [judgement(i, "left", "late") for i in range(9)]
    rows = {(r.kind, r.code, r.level, r.vendor): r for r in findings(only_left, CODES, 0, 3)}
    row = rows["cause", "late", "all", "all"]
    assert (row.left_n, row.stayed_n, row.difference, row.refusal_reason) == (9, 0, None, "zero_denominator")
    nothing = {r.refusal_reason for r in findings([], CODES, 0, 3) if r.kind != "no_such_case"}
    assert nothing == {"zero_denominator"}


def test_edge_73_a_small_cell_is_hidden_with_its_complement() -> None:
    """Two of v2 beside twenty of v1: without v1 the total would give v2 away."""
    many = [judgement(i, ("left", "stayed")[i % 2], ("late", "price")[i % 2]) for i in range(20)]
    few = [judgement(i, ("left", "stayed")[i % 2], "late", vendor="v2") for i in range(20, 22)]
    rows = list(findings([*many, *few], CODES, 0, 3))
    refusals = {r.vendor: r.refusal_reason for r in rows if (r.kind, r.code, r.level) == ("cause", "late", "all")}
    assert refusals == {"v1": "small_cell", "v2": "small_cell", "all": None}
    assert all((r.left_with is None) == (r.refusal_reason is not None) for r in rows)


def test_two_opinions_on_a_case_are_one_case() -> None:
    cases = [judgement(i, ("left", "stayed")[i % 2], "late") for i in range(8)]
    second = [judgement(0, "left", "price", "r2"), judgement(1, "stayed", "late", "r2")]
    rows = {(r.kind, r.code, r.level, r.vendor): r for r in findings([*cases, *second], CODES, 5, 3)}
    late, price = (rows["cause", code, "all", "all"] for code in ("late", "price"))
    assert (late.left_with, late.left_n, price.left_with, price.left_n) == (4, 4, 1, 4)
    assert (late.judged_twice, late.agreed) == (2, 1)
    assert rows["decision", "train", "all", "all"].agreed == 2
    assert rows["no_such_case", "no_such_case", "all", "all"].left_n == 5


def closings(*rows: dict[str, object]) -> pd.DataFrame:
    usual = {"level": "L1", "segment": "mass", "team": "t", "vendor": "in_house", "sourcing": "in_house",
             "is_lost": False, "is_mature": True}  # fmt: skip
    frame = pd.DataFrame([{**usual, "party": i, **row} for i, row in enumerate(rows)], columns=list(CLOSING_COLUMNS))
    return frame.astype({name: "category" if kind == "code" else kind for name, (kind, _) in CLOSING_COLUMNS.items()})


def test_the_share_lost_after_closing_is_of_mature_closings() -> None:
    rows = [{"is_lost": i < 2, "is_mature": i != 0, "vendor": "v1" if i % 2 else "in_house"} for i in range(9)]
    found = {(r.breakdown, r.member, r.level, r.segment): r for r in closing_metrics(closings(*rows), 3)}
    whole = found["none", "all", "all", "all"]
    assert (whole.numerator, whole.n, whole.horizon_days, whole.maturity_status) == (1, 8, 90, "partly_mature")
    assert (found["vendor", "v1", "all", "all"].numerator, found["vendor", "v1", "all", "all"].n) == (1, 4)
    assert found["none", "all", "L2", "vip"].refusal_reason == "zero_denominator"


def test_edge_73_a_small_team_that_closed_is_not_found_from_its_vendors_total() -> None:
    teams = {("A", "a1"): 60, ("A", "a2"): 3, ("B", "b1"): 40, ("B", "b2"): 12}
    rows = [
        {"vendor": vendor, "team": team, "sourcing": "outsourced"}
        for (vendor, team), n in teams.items()
        for _ in range(n)
    ]
    found = {r.member: r.refusal_reason for r in closing_metrics(closings(*rows), 10) if r.breakdown == "team"}
    assert found == {"a1": "small_cell", "a2": "small_cell", "b1": None, "b2": None}


def test_edge_74_no_closings_at_all_are_zero_denominators() -> None:
    assert {(r.value, r.n, r.refusal_reason) for r in closing_metrics(closings(), 3)} == {(None, 0, "zero_denominator")}
