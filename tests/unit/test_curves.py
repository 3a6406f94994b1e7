"""Curves to draw: equal to the estimates at every horizon, and refused where those are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retention.outcomes import survival
from retention.outcomes.cells import SECONDS_PER_DAY
from retention.outcomes.curves import CAUSES, LAST_DAY, CurveRow, incidence_curve, survival_curves
from retention.outcomes.estimates import HORIZONS_DAYS, estimate_survival

DAY = float(SECONDS_PER_DAY)
ROWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=40)
Curves = dict[tuple[str, str, str], list[CurveRow]]


@given(ROWS)
@settings(max_examples=80, deadline=None)
def test_value_and_error_of_every_day_are_those_of_the_estimate(rows: list[tuple[int, int, int]]) -> None:
    times, causes, parties = (np.array(column) for column in zip(*rows, strict=True))
    table = survival.life_table(times.astype(float), causes, n_causes=2)
    clusters = pd.factorize(parties)[0]
    horizons = tuple(float(h) for h in range(14))
    inside = np.array([table.before(h) for h in horizons])
    for of in CAUSES.values():
        values, errors = incidence_curve(table, of, inside, clusters)
        for i, one in enumerate(survival.incidence(table, of, horizons)):
            both = [one.standard_error(), one.standard_error(clusters)]
            assert values[i] == one.value
            # Squared: the root of a rounding is large.
            assert errors[i] ** 2 == pytest.approx(np.nanmax(both) ** 2, rel=1e-9, abs=1e-12)


def frame(n: int, seed: int, parties: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    churn = np.where(rng.random(n) < 0.4, rng.uniform(0, 250, n) * DAY, np.nan)
    return pd.DataFrame(
        {
            "level": rng.choice(["L1", "L2", "L3a"], n, p=[0.6, 0.38, 0.02]),
            "segment": rng.choice(["mass", "vip"], n),
            "sourcing": rng.choice(["in_house", "outsourced"], n),
            "party": rng.integers(0, parties, n),
            "churn_s": churn,
            "is_order_churn": rng.random(n) < 0.5,
            "competing_s": np.where(rng.random(n) < 0.1, rng.uniform(0, 250, n) * DAY, np.nan),
            "followed_any_s": rng.uniform(-10, 230, n) * DAY,
            "followed_order_s": rng.uniform(60, 320, n) * DAY,
        }
    )


def drawn(episodes: pd.DataFrame, min_cell_n: int = 10) -> Curves:
    curves: Curves = {}
    units = {"vendor": episodes["sourcing"], "team": episodes["sourcing"]}
    for row in survival_curves(episodes.assign(**units), min_cell_n):
        curves.setdefault((row.grouping_name, row.member, row.cause), []).append(row)
    return curves


@pytest.mark.parametrize(("seed", "parties"), [(1, 10_000), (2, 90)])
def test_curves_pass_through_the_published_estimates(seed: int, parties: int) -> None:
    episodes = frame(500, seed, parties)
    curves = drawn(episodes)
    compared = 0
    for row in estimate_survival(episodes, 10):
        if (
            row.variant != "left_any"
            or row.estimator == "restricted_mean_days"
            or "all" not in (row.level, row.segment)
        ):
            continue
        member = next((name for name in (row.level, row.segment) if name != "all"), "all")
        grouping = "none" if member == "all" else "level" if row.segment == "all" else "segment"
        days = {one.day: one for one in curves[grouping, member, row.cause]}
        one = days.get(row.horizon_days)
        if row.refusal_reason:
            assert one is None or one.estimate is None
            assert list(days.values())[-1].refusal_reason == row.refusal_reason
            continue
        assert one is not None
        assert (one.estimate, one.events, one.at_risk, one.n) == (row.value, row.events, row.at_risk, row.n)
        assert (one.ci_low, one.ci_high) == pytest.approx((row.ci_low, row.ci_high), abs=1e-9)
        compared += 1
    assert compared > 3 * len(HORIZONS_DAYS)


def test_causes_and_survival_add_up_to_one_on_every_day() -> None:
    curves = drawn(frame(500, 3, 10_000))
    days = [curves["none", "all", cause] for cause in CAUSES]
    assert len(days[0]) == LAST_DAY + 1
    for left, ended, there in zip(*days, strict=True):
        assert left.estimate is not None and ended.estimate is not None and there.estimate is not None
        assert left.estimate + ended.estimate + there.estimate == pytest.approx(1.0)
    first = [one[0] for one in days]
    assert [one.estimate for one in first] == [0.0, 0.0, 1.0]


def test_edge_73_a_small_group_is_one_row_without_a_value_and_so_is_its_complement() -> None:
    episodes = frame(200, 4, 10_000)
    episodes["followed_any_s"] = 300 * DAY
    episodes.loc[:2, "sourcing"], episodes.loc[3:, "sourcing"] = "unknown", "in_house"
    curves = drawn(episodes)
    for member in ("unknown", "in_house"):
        for cause in CAUSES:
            (only,) = curves["sourcing", member, cause]
            assert (only.day, only.estimate, only.refusal_reason) == (0, None, "small_cell")
    assert len(curves["none", "all", "any"]) == LAST_DAY + 1


def test_a_curve_ends_where_nobody_was_followed_and_says_so() -> None:
    episodes = frame(100, 5, 10_000)
    episodes["churn_s"] = episodes["competing_s"] = np.nan
    episodes["followed_any_s"] = 40 * DAY
    curve = drawn(episodes)["none", "all", "any"]
    assert [row.day for row in curve] == list(range(42))
    assert (curve[40].estimate, curve[40].at_risk) == (1.0, 100)
    assert (curve[41].estimate, curve[41].refusal_reason) == (None, "immature")


def test_edge_74_no_episodes_are_zero_denominators() -> None:
    for curve in drawn(frame(0, 6, 1)).values():
        (only,) = curve
        assert (only.n, only.estimate, only.refusal_reason) == (0, None, "zero_denominator")
