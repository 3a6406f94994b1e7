"""Metrics from frames: maturity, refusals, suppression, restored subscribers, catalogue."""

import csv
import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retention import outcomes
from retention.outcomes import counterfactual
from retention.outcomes.cells import LEVELS, SECONDS_PER_DAY, SEGMENTS
from retention.outcomes.counterfactual import not_estimated
from retention.outcomes.estimates import estimate_survival
from retention.outcomes.frames import CONTACT_COLUMNS, EPISODE_COLUMNS
from retention.outcomes.metrics import measure
from retention.outcomes.suppression import ALL

DAY = float(SECONDS_PER_DAY)
NEVER = float("nan")
CATALOGUE = Path(__file__).parents[2] / "dbt_project" / "seeds" / "metrics_catalogue.csv"

SPLIT = {
    "topic": "billing",
    "region": "msk",
    "product": "postpaid",
    "team": "t1",
    "vendor": "in_house",
    "sourcing": "in_house",
    "month": "2025-03",
}
EPISODE = {
    **SPLIT,
    "level": "L1",
    "segment": "mass",
    "started_s": 0.0,
    "churn_s": NEVER,
    "is_order_churn": False,
    "competing_s": NEVER,
    "return_s": NEVER,
    "has_return_revenue": False,
    "followed_order_s": 400 * DAY,
    "followed_any_s": 400 * DAY,
    "is_own_words_3b": False,
    "is_silent_30d": False,
    "is_silent_at_complaint": False,
    "followed_usage_s": 400 * DAY,
}
CONTACT = {
    **SPLIT,
    "level": "L1",
    "segment": "mass",
    "has_repeat_7d": False,
    "has_repeat_30d": False,
    "is_window_7d_elapsed": True,
    "is_window_30d_elapsed": True,
    "is_first_contact": True,
}


def frame(columns, default, rows):
    """Rows of changes to a default; each its own party and subscription unless it says otherwise."""
    full = [{"party": i, "subscription": i, **default, **row} for i, row in enumerate(rows)]
    kinds = {name: "str" if kind == "code" else kind for name, (kind, _) in columns.items()}
    return pd.DataFrame(full, columns=list(columns)).astype(kinds)


def measured(episodes=(), contacts=(), min_cell_n=1, breakdown="none"):
    """Rows by (metric, level, segment, days); of a breakdown, the member stands for the level."""
    episodes = frame(EPISODE_COLUMNS, EPISODE, episodes)
    rows = measure(
        episodes, frame(CONTACT_COLUMNS, CONTACT, contacts), estimate_survival(episodes, min_cell_n), min_cell_n
    )
    rows = [row for row in rows if row.breakdown == breakdown]
    return {
        (row.metric, row.level if breakdown == "none" else row.member, row.segment, row.horizon_days): row
        for row in rows
    }


def order_churn(day, **changes):
    return {"churn_s": day * DAY, "is_order_churn": True, **changes}


def every_module_of_metrics():
    """Metrics by module: a module of outcomes that writes metrics names them in METRICS."""
    names = [module.name for module in pkgutil.iter_modules(outcomes.__path__)]
    modules = [importlib.import_module(f"retention.outcomes.{name}") for name in names]
    return {module.__name__: set(module.METRICS) for module in modules if hasattr(module, "METRICS")}


def test_the_catalogue_lists_exactly_what_is_written():
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        catalogue = list(csv.DictReader(file))
    assert list(catalogue[0]) == ["metric", "title", "formula", "unit", "owner", "is_additive"]
    assert all(value for row in catalogue for value in row.values())
    listed = [row["metric"] for row in catalogue]
    assert len(listed) == len(set(listed))
    by_module = every_module_of_metrics()
    assert by_module["retention.outcomes.metrics"] == {key[0] for key in measured([{}], [{}])}
    assert set(listed) == set().union(*by_module.values())


def test_no_input_is_zero_denominators_everywhere():
    rows = measured().values()
    assert {(row.value, row.n, row.refusal_reason) for row in rows} == {(None, 0, "zero_denominator")}
    cells = {(row.level, row.segment) for row in rows if row.metric == "share_left_any"}
    assert cells == {(level, segment) for level in (*LEVELS, ALL) for segment in (*SEGMENTS, ALL)}


def test_share_left_by_horizon_and_half_open():
    rows = measured([order_churn(30), order_churn(29), {}, {"competing_s": 40 * DAY}])
    at_30, at_60 = (rows["share_left_any", ALL, ALL, days] for days in (30, 60))
    assert (at_30.numerator, at_30.denominator, at_30.value, at_30.maturity_status) == (1, 4, 0.25, "mature")
    assert (at_60.numerator, at_60.value, at_60.method) == (2, 0.5, "aalen_johansen")
    assert rows["survival", ALL, ALL, 60].value == 0.25
    assert rows["survival", ALL, ALL, 60].numerator == 1


def test_variants_have_their_own_maturity():
    """Prepaid, 100 days old: orders are known to 99 days, inactivity to 10."""
    young = {"followed_order_s": 99 * DAY, "followed_any_s": 10 * DAY}
    rows = measured([order_churn(40, **young), {**young}, {**young, "churn_s": 5 * DAY}, {**young}])
    by_order = rows["share_left_by_order", "L1", "mass", 60]
    assert (by_order.value, by_order.maturity_status) == (0.25, "mature")
    left_any = rows["share_left_any", "L1", "mass", 30]
    assert (left_any.value, left_any.refusal_reason, left_any.maturity_status, left_any.n) == (
        None,
        "immature",
        "immature",
        4,
    )


def test_a_complaint_29_days_old_is_censored_not_stayed():
    old, young = {}, {"followed_any_s": 29 * DAY, "followed_order_s": 29 * DAY}
    row = measured([order_churn(10), old, young, young])["share_left_any", ALL, ALL, 30]
    assert (row.value, row.n, row.maturity_status) == (0.25, 4, "partly_mature")
    # After the two censorings one member carries what is left: 1/4 + 3/4 x 1.
    late = measured([order_churn(10), order_churn(29.5), young, young])["share_left_any", ALL, ALL, 30]
    assert late.value == 1.0


def test_an_episode_of_which_nothing_is_known_counts_in_maturity_only():
    row = measured([{}, {}, {"followed_any_s": -5 * DAY}])["share_left_any", ALL, ALL, 30]
    assert (row.n, row.value, row.maturity_status) == (2, 0.0, "partly_mature")


def test_a_churn_known_beyond_the_limit_is_not_used():
    """An order entered with a date after the limit is known early; stayers of that age are not."""
    row = measured([order_churn(25, followed_any_s=20 * DAY), {}, {}])["share_left_any", ALL, ALL, 30]
    assert row.value == 0.0


def test_every_value_has_its_interval_and_every_null_its_reason():
    rng = np.random.default_rng(5)
    episodes = [
        {
            "level": str(rng.choice(LEVELS)),
            "segment": str(rng.choice(SEGMENTS, p=[0.8, 0.1, 0.07, 0.03])),
            "party": int(rng.integers(0, 150)),
            "churn_s": float(rng.uniform(0, 400)) * DAY if rng.random() < 0.4 else NEVER,
            "is_order_churn": bool(rng.random() < 0.5),
            "followed_any_s": float(rng.uniform(-10, 400)) * DAY,
            "return_s": float(rng.uniform(0, 250)) * DAY,
            "has_return_revenue": bool(rng.random() < 0.5),
            "is_own_words_3b": bool(rng.random() < 0.5),
        }
        for _ in range(400)
    ]
    rows = measured(
        episodes,
        [{"party": i % 40, "has_repeat_7d": i % 5 == 0, "is_window_30d_elapsed": False} for i in range(120)],
        min_cell_n=10,
    )
    assert {row.refusal_reason for row in rows.values()} == {None, "small_cell", "immature", "zero_denominator"}
    for row in rows.values():
        if row.refusal_reason:
            assert (row.value, row.numerator, row.ci_low, row.ci_high) == (None, None, None, None)
        else:
            assert 0 <= row.ci_low <= row.value <= row.ci_high <= 1
            assert row.ci_high > row.ci_low


def test_small_cells_are_hidden_with_their_complements():
    episodes = [{"segment": "vip"}] * 3 + [{"segment": "corporate"}] * 12 + [{}] * 50
    rows = measured(episodes, min_cell_n=10)
    shown = {segment: rows["share_left_any", "L1", segment, 30].refusal_reason for segment in (*SEGMENTS, ALL)}
    assert shown == {
        "vip": "small_cell",
        "corporate": "small_cell",
        "mass": None,
        "unknown": "zero_denominator",
        ALL: None,
    }
    assert rows["share_left_any", ALL, "vip", 30].refusal_reason == "small_cell"


def test_one_party_alone_is_a_small_cell():
    episodes = [{"segment": "corporate", "party": -1}] * 20 + [{}] * 50
    row = measured(episodes, min_cell_n=10)["share_left_any", "L1", "corporate", 30]
    assert (row.refusal_reason, row.n) == ("small_cell", 20)


def test_interval_widens_when_a_party_repeats():
    apart = measured([order_churn(10)] * 20 + [{}] * 60)["share_left_any", ALL, ALL, 30]
    together = measured(
        [order_churn(10, party=i // 10) for i in range(20)] + [{"party": 9 + i // 10} for i in range(60)]
    )
    clustered = together["share_left_any", ALL, ALL, 30]
    assert clustered.value == apart.value
    assert clustered.ci_high - clustered.ci_low > 2 * (apart.ci_high - apart.ci_low)


def test_repeat_rate_and_first_contact_resolution():
    repeated = {"has_repeat_7d": True, "has_repeat_30d": True}
    late = {"has_repeat_30d": True}
    young = {"is_window_30d_elapsed": False, **repeated}
    rows = measured(contacts=[repeated, late, {}, {"is_first_contact": False}, young])
    week, month = (rows["repeat_contact_rate", ALL, ALL, days] for days in (7, 30))
    assert (week.numerator, week.denominator, week.maturity_status) == (2, 5, "mature")
    assert (month.numerator, month.denominator, month.maturity_status) == (2, 4, "partly_mature")
    resolved = rows["first_contact_resolution", ALL, ALL, 30]
    assert (resolved.numerator, resolved.denominator) == (1, 3)


def test_contacts_all_too_young_are_immature():
    rows = measured(contacts=[{"is_window_30d_elapsed": False}] * 3)
    row = rows["repeat_contact_rate", ALL, ALL, 30]
    assert (row.value, row.n, row.refusal_reason) == (None, 0, "immature")
    assert rows["repeat_contact_rate", "L2", ALL, 30].refusal_reason == "zero_denominator"


def test_saved_is_by_first_event_mature_and_apart():
    intent, words = {"level": "L3a"}, {"level": "L3b", "is_own_words_3b": True}
    rows = measured(
        [
            intent,
            {**intent, **order_churn(40)},
            {**intent, "competing_s": 20 * DAY},
            {**intent, "followed_any_s": 29 * DAY},
            words,
            {**words, "churn_s": 10 * DAY},
            {"level": "L3b"},
        ]
    )
    assert [rows["saved_3a", ALL, ALL, d].numerator for d in (30, 60)] == [2, 1]
    assert [rows["saved_3a", ALL, ALL, d].denominator for d in (30, 60)] == [3, 3]
    assert (rows["saved_3b", ALL, "mass", 30].numerator, rows["saved_3b", ALL, "mass", 30].denominator) == (1, 2)


def test_restored_by_kind_of_the_first_churn():
    back = {"return_s": 20 * DAY, "has_return_revenue": True}
    rows = measured(
        [
            order_churn(20, **back, followed_order_s=260 * DAY),
            order_churn(20, **{**back, "has_return_revenue": False}),
            order_churn(20, **{**back, "return_s": 180 * DAY}),
            order_churn(70, **back),
            {"churn_s": 20 * DAY, **back},
            {"churn_s": 29 * DAY, "return_s": 200 * DAY, "has_return_revenue": True},
            {"competing_s": 10 * DAY, **order_churn(20, **back)},
            # Left a day too late for its fate to be known; the same of usage, which alone tells who pays again.
            order_churn(20, **back, followed_order_s=259 * DAY),
            order_churn(20, **{**back, "has_return_revenue": False}, followed_usage_s=259 * DAY),
            {"churn_s": 20 * DAY, "followed_usage_s": 259 * DAY},
        ]
    )
    won = {days: rows["won_back", ALL, ALL, days] for days in (30, 90)}
    assert (won[30].numerator, won[30].denominator) == (1, 3)
    assert (won[90].numerator, won[90].denominator, won[90].maturity_status) == (2, 4, "partly_mature")
    assert (rows["reactivated", ALL, ALL, 30].numerator, rows["reactivated", ALL, ALL, 30].denominator) == (1, 2)


def test_one_churn_after_two_episodes_is_restored_once():
    back = {"return_s": 20 * DAY, "has_return_revenue": True, "subscription": 7}
    earlier = order_churn(60, **back, started_s=0.0)
    later = order_churn(25, **back, started_s=35 * DAY, level="L2")
    rows = measured([earlier, later])
    assert rows["won_back", ALL, ALL, 90].numerator is None, "one churn of one party is a small cell"
    rows = measured([earlier, later, order_churn(25, **{**back, "subscription": 8})])
    assert (rows["won_back", ALL, ALL, 90].numerator, rows["won_back", ALL, ALL, 90].denominator) == (2, 2)


def test_horizons_of_saved_and_won_back_are_disjoint():
    """No episode is both saved and won back (or reactivated) at one horizon."""
    back = {"return_s": 5 * DAY, "has_return_revenue": True, "level": "L3a"}
    episodes = [order_churn(d, **back) for d in (10, 29.9, 30, 45, 100)] + [{"level": "L3a"}, {"level": "L3a"}]
    rows = measured(episodes)
    for days in (30, 60, 90, 180):
        saved, won = rows["saved_3a", ALL, ALL, days], rows["won_back", "L3a", ALL, days]
        assert saved.numerator + won.numerator == len(episodes)


def test_a_level_outside_the_scale_stays_in_the_totals_and_is_shown():
    rows = measured([{"level": "unknown"}, {}, {}])
    assert rows["share_left_any", "unknown", "mass", 30].n == 1
    assert rows["share_left_any", ALL, ALL, 30].n == 3


def test_row_order_does_not_matter():
    episodes = [order_churn(d, party=d % 3, level="L2") for d in range(1, 30)] + [{"party": d % 5} for d in range(30)]
    forward, backward = measured(episodes), measured([{**e, "subscription": i} for i, e in enumerate(episodes)][::-1])
    # Subscriptions are renumbered, which no metric here depends on.
    assert {k: replace(v, ci_low=0, ci_high=0) for k, v in forward.items()} == {
        k: replace(v, ci_low=0, ci_high=0) for k, v in backward.items()
    }
    for key, row in forward.items():
        assert row.ci_low == pytest.approx(backward[key].ci_low)


def test_edge_74_a_zero_denominator_is_null_with_n_0():
    row = measured([{"segment": "vip"}] * 20, min_cell_n=10)["share_left_any", "L2", "corporate", 30]
    assert (row.value, row.numerator, row.n, row.denominator, row.refusal_reason) == (
        None,
        None,
        0,
        0,
        "zero_denominator",
    )


def test_breakdowns_add_up_to_the_total_and_say_who_was_first_assigned():
    episodes = [order_churn(day % 50, topic="network", team="t2", vendor="v1") for day in range(30)] + [{}] * 40
    contacts = [{"topic": "network", "team": "t2", "has_repeat_30d": i % 3 == 0} for i in range(30)] + [{}] * 40
    total = measured(episodes, contacts)
    for breakdown, members in (("topic", {"billing", "network"}), ("team", {"t1", "t2"}), ("month", {"2025-03"})):
        rows = measured(episodes, contacts, breakdown=breakdown)
        for metric, days in (
            ("share_left_any", 30), ("share_left_by_order", 90), ("repeat_contact_rate", 30),
            ("repeat_contact_rate", 7), ("first_contact_resolution", 30),
        ):  # fmt: skip
            line = {key[1]: row for key, row in rows.items() if (key[0], key[3]) == (metric, days)}
            assert set(line) == members, "the total is the cell without a breakdown"
            assert {(row.level, row.segment) for row in line.values()} == {(ALL, ALL)}
            whole = total[metric, ALL, ALL, days]
            assert sum(row.numerator for row in line.values()) == whole.numerator
            assert sum(row.n for row in line.values()) == whole.n
    assert measured(episodes, contacts, breakdown="vendor")["share_left_any", "v1", ALL, 60].value == pytest.approx(1)
    assert measured(episodes, contacts, breakdown="topic")["share_left_any", "billing", ALL, 60].value == 0.0


def test_edge_73_a_small_member_is_hidden_with_its_complement():
    """n = 3: of a line of topics the small one and the next smallest; the total, shown without a breakdown, stays."""
    sizes = {"tiny": 3, "small": 12, "large": 40}
    rows = [{"topic": topic} for topic, n in sizes.items() for _ in range(n)]
    found = measured(rows, rows, min_cell_n=10, breakdown="topic")
    hidden = {"tiny": "small_cell", "small": "small_cell", "large": None}
    for metric in ("share_left_any", "share_left_by_order", "repeat_contact_rate", "first_contact_resolution"):
        assert {topic: found[metric, topic, ALL, 30].refusal_reason for topic in sizes} == hidden
    assert found["share_left_any", "tiny", ALL, 30].n == 3
    assert measured(rows, rows, min_cell_n=10)["share_left_any", ALL, ALL, 30].value == 0.0


def test_edge_73_a_small_team_is_not_found_from_its_vendors_total():
    """a2 of vendor A is small. Hiding b2, the next smallest of all teams, would leave it A less a1."""
    teams = {("A", "a1"): 60, ("A", "a2"): 3, ("B", "b1"): 40, ("B", "b2"): 12}
    rows = [
        {"vendor": vendor, "team": team, "sourcing": "outsourced", "level": "L3a"}
        for (vendor, team), n in teams.items()
        for _ in range(n)
    ]
    for metric in ("share_left_any", "share_left_by_order", "repeat_contact_rate", "first_contact_resolution"):
        found = measured(rows, rows, min_cell_n=10, breakdown="team")
        assert {team: found[metric, team, ALL, 30].refusal_reason for _, team in teams} == {
            "a1": "small_cell", "a2": "small_cell", "b1": None, "b2": None,
        }  # fmt: skip
        above = measured(rows, rows, min_cell_n=10, breakdown="vendor")
        assert [above[metric, vendor, ALL, 30].refusal_reason for vendor in "AB"] == [None, None]


def test_edge_73_a_small_vendor_is_not_found_from_its_sourcings_total():
    sizes = {("outsourced", "v1"): 60, ("outsourced", "v2"): 3, ("in_house", "in_house"): 12}
    rows = [
        order_churn(5, return_s=DAY, sourcing=sourcing, vendor=vendor, team=vendor, level="L3a")
        for (sourcing, vendor), n in sizes.items()
        for _ in range(n)
    ]
    for metric in ("saved_3a", "won_back", "share_left_any"):
        found = measured(rows, min_cell_n=10, breakdown="vendor")
        assert {vendor: found[metric, vendor, ALL, 30].refusal_reason for _, vendor in sizes} == {
            "v1": "small_cell", "v2": "small_cell", "in_house": None,
        }  # fmt: skip


def test_what_cannot_be_known_without_an_experiment_is_refused():
    rows = list(not_estimated())
    assert {row.metric: row.refusal_reason for row in rows} == counterfactual.METRICS
    assert set(counterfactual.METRICS.values()) == {"not_estimated", "no_holdout"}
    assert {(row.value, row.numerator, row.n, row.denominator) for row in rows} == {(None, None, 0, 0)}
