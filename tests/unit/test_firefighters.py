"""Teams and agents against the expected: by hand, shrunken, hidden when small, noise called noise."""

import numpy as np
import pytest
from unit_cases import DAY, block, frame

from retention.outcomes.firefighters import rank_firefighters


def rows(cases, min_cell_n=10):
    found = list(rank_firefighters(cases, min_cell_n))
    named = {(row.unit, row.period): row for row in found}
    assert len(named) == len(found)
    return named


def test_expected_is_what_like_cases_of_all_would_have_done():
    """Easy: 20 of 200 left, hard: 60 of 200. One team has 150 easy and 50 hard cases: 15 + 15 expected."""
    found = rows(frame(
        block(150, 10, team="one"), block(50, 20, team="one", stratum="hard"),
        block(50, 10, team="two"), block(150, 40, team="two", stratum="hard"),
    ))  # fmt: skip
    one, two = found["one", "2025-Q1"], found["two", "2025-Q1"]
    assert (one.left_count, two.left_count) == (30, 50)
    assert (one.expected_left, two.expected_left, one.ratio) == pytest.approx((30, 50, 1))
    assert (one.reading, one.kept_share) == ("as_expected", 0.85)
    assert one.kept_ci_low < 0.85 < one.kept_ci_high
    assert one.ci_low < 1 < one.ci_high
    assert found["one", "all"].ratio == pytest.approx(1)


def test_a_quarter_is_judged_by_its_own_shares():
    found = rows(frame(
        block(100, 10, team="one"), block(100, 30, team="one", period="2025-Q2"),
        block(300, 30, team="two"), block(100, 30, team="two", period="2025-Q2"),
    ))  # fmt: skip
    assert found["one", "all"].expected_left == pytest.approx(40)


def test_what_nobody_else_has_is_compared_with_nobody():
    found = rows(
        frame(block(100, 10, team="one"), block(50, 40, team="one", stratum="own"), block(100, 10, team="two"))
    )
    one = found["one", "all"]
    assert (one.n, one.left_count, one.compared_left, one.expected_left) == (150, 50, 10, pytest.approx(10))
    assert one.dropped_share == pytest.approx(1 / 3)
    mostly = rows(frame(block(40, 4, team="one"), block(60, 40, team="one", stratum="own"), block(100, 10, team="two")))
    assert (mostly["one", "all"].refusal_reason, mostly["one", "all"].ratio) == ("no_overlap", None)


def test_few_cases_are_drawn_further_towards_the_expected_and_ranked_by_that():
    """Twice the expected both: of 2 it says little, of 120 something."""
    agents = [block(400, 40, agent=f"a{i}") for i in range(6)]
    found = rows(frame(*agents, block(10, 2, agent="few"), block(600, 120, agent="many")))
    few, many = found["few", "all"], found["many", "all"]
    assert few.ratio == pytest.approx(many.ratio)
    assert 1 < few.shrunken_ratio < many.shrunken_ratio < many.ratio
    assert (few.reading, many.reading) == ("as_expected", "more_left")
    ranks = sorted((row.unit_rank, row.shrunken_ratio) for row in found.values() if row.unit_kind == "agent")
    assert [rank for rank, _ in ranks] == list(range(1, 9))
    assert [ratio for _, ratio in ranks] == sorted(ratio for _, ratio in ranks)


def test_agents_alike_are_called_apart_hardly_ever():
    """Forty agents, one risk: at 95 % two would be called different as counted. A bad one among them is found."""
    rng = np.random.default_rng(3)
    alike = [block(80, rng.binomial(80, 0.1), agent=f"a{i}") for i in range(40)]
    found = rows(frame(*alike, block(300, 75, agent="careless")))
    readings = {unit: row.reading for (unit, _), row in found.items() if row.unit_kind == "agent"}
    assert readings.pop("careless") == "more_left"
    assert sum(reading != "as_expected" for reading in readings.values()) <= 1


def test_edge_73_an_agent_with_three_cases_is_hidden_with_another_of_the_team():
    found = rows(frame(
        block(3, 1, agent="three", team="t"), block(100, 9, agent="less", team="t"),
        block(200, 20, agent="more", team="t"), block(100, 10, agent="other", team="u"),
    ))  # fmt: skip
    hidden = {unit for (unit, _), row in found.items() if row.refusal_reason == "small_cell"}
    assert hidden == {"three", "less"}
    three, less = found["three", "all"], found["less", "all"]
    assert (three.n, three.left_count, three.ratio, three.unit_rank) == (3, None, None, None)
    assert (less.left_count, less.kept_share) == (None, None)
    assert found["more", "all"].unit_rank is not None


@pytest.mark.parametrize(("n", "hidden"), [(4, {"small", "three", "more"}), (8, {"small", "three"})])
def test_edge_73_two_small_agents_hide_each_other_when_they_are_enough_together(n, hidden):
    found = rows(frame(block(3, 1, agent="three"), block(n, 1, agent="small"), block(100, 9, agent="more")))
    assert {unit for (unit, _), row in found.items() if row.refusal_reason == "small_cell"} == hidden


def test_edge_73_the_only_agent_of_a_hidden_team_is_hidden():
    """Team c is small, and a is hidden to guard it: their agents have just their cases."""
    found = rows(frame(block(100, 10, team="a"), block(200, 20, team="b"), block(3, 0, team="c")))
    agents = {unit for (unit, _), row in found.items() if row.unit_kind == "agent" and row.refusal_reason}
    assert agents == {"agent of a", "agent of c"}


def test_edge_73_few_cases_of_nobody_named_are_not_what_is_left_of_a_team():
    found = rows(frame(block(100, 10, agent="a"), block(90, 9, agent="b"), block(3, 3, agent="unknown")))
    assert {unit for (unit, _), row in found.items() if row.refusal_reason == "small_cell"} == {"b"}


def test_edge_73_a_small_team_is_hidden_with_another_of_its_partner():
    teams = [block(100, 10, team="a"), block(200, 20, team="b"), block(3, 0, team="c"), block(90, 9, partner="v1")]
    found = rows(frame(*teams, block(90, 9, partner="v1", team="theirs")))
    hidden = {unit for (unit, _), row in found.items() if row.unit_kind == "team" and row.refusal_reason}
    assert hidden == {"a", "c"}


def test_an_agent_has_no_quarters_and_nobody_named_is_nobody():
    found = rows(frame(block(100, 10, agent="a"), block(100, 10, agent="b"), block(50, 9, agent="unknown")))
    assert {period for (unit, period), row in found.items() if row.unit_kind == "agent"} == {"all"}
    assert "unknown" not in {unit for unit, _ in found}
    assert found["a", "all"].expected_left == pytest.approx(10)


def test_the_young_are_counted_and_not_judged():
    young = {"followed_s": 80 * DAY}
    found = rows(frame(block(100, 10, team="one"), block(30, 3, team="one", **young), block(30, 3, team="new", **young),
                       block(100, 10, team="two")))  # fmt: skip
    assert (found["one", "all"].cases, found["one", "all"].n, found["one", "all"].maturity_status) == (
        130, 100, "partly_mature",
    )  # fmt: skip
    assert (found["new", "all"].refusal_reason, found["new", "all"].left_count) == ("immature", None)
    assert list(rank_firefighters(frame(block(0)), 10)) == []


def test_where_nobody_left_there_is_nothing_to_expect():
    found = rows(frame(block(100, 0, team="one"), block(100, 0, team="two")))
    assert found["one", "all"].refusal_reason == "zero_denominator"
