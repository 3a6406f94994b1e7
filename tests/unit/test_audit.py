"""Audit of actions: bands, who leaves by band at the same levels, promises, and units hidden in their tree."""

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest

from retention.outcomes.audit import AUDIT_BANDS, QA_BANDS, band_of, left_after_promise, left_by_band
from retention.outcomes.metrics import MetricRow
from retention.outcomes.principles import PrincipleRow, principles

QUARTER = date(2026, 1, 1)
COUNTED = ["quarter_on", "principle", "sourcing", "vendor", "team", "party", "events", "n"]


def test_the_bands_of_scores() -> None:
    found = band_of(pd.Series([0, 1 / 5, 1 / 3, 0.5, 2 / 3, 1]), AUDIT_BANDS)
    assert list(found) == ["none_in_time", "under_half", "under_half", "half_or_more", "half_or_more", "all_in_time"]
    assert list(band_of(pd.Series([0, 59.99, 60, 79.99, 80, 100]), QA_BANDS)) == [
        "under_60", "under_60", "60_to_79", "60_to_79", "80_and_over", "80_and_over",
    ]  # fmt: skip


def cases(*groups: tuple[str, str, int, int]) -> pd.DataFrame:
    """Groups of (band, level, cases, of them left), every case its own party."""
    rows = [(band, level, i < left) for band, level, n, left in groups for i in range(n)]
    frame = pd.DataFrame(rows, columns=["band", "level", "is_left"])
    frame["band"] = pd.Categorical(frame["band"], categories=[name for name, _ in AUDIT_BANDS])
    return frame.assign(level=frame["level"].astype("category"), party=np.arange(len(frame)), is_mature=True)


def by_member(rows: list[MetricRow], metric: str) -> dict[str, MetricRow]:
    return {row.member: row for row in rows if row.metric == metric}


def test_bands_are_compared_at_the_same_levels() -> None:
    """Section 8's easy and hard cases: who did everything in time had the easy ones."""
    rows = list(
        left_by_band(
            cases(
                ("none_in_time", "L1", 200, 10), ("none_in_time", "L3a", 800, 160),
                ("all_in_time", "L1", 800, 48), ("all_in_time", "L3a", 200, 44),
            ),
            "audit_band",
            10,
        )
    )  # fmt: skip
    crude, adjusted = by_member(rows, "share_left_by_audit_crude"), by_member(rows, "share_left_by_audit")
    assert [crude[band].value for band in ("none_in_time", "all_in_time", "all")] == [0.17, 0.092, 0.131]
    assert [round(adjusted[b].value or 0, 4) for b in ("none_in_time", "all_in_time")] == [0.125, 0.14]
    one = adjusted["all_in_time"]
    assert (one.numerator, one.denominator, one.n) == (None, 1000, 1000)
    assert (one.method, one.maturity_status) == ("direct_standardisation", "mature")
    assert one.ci_low is not None
    assert one.ci_high is not None
    assert one.ci_low < 0.125 < one.ci_high
    assert (adjusted["under_half"].value, adjusted["under_half"].refusal_reason) == (None, "zero_denominator")


def test_bands_without_a_level_in_common_are_not_compared() -> None:
    rows = list(left_by_band(cases(("none_in_time", "L1", 20, 2), ("all_in_time", "L2", 20, 2)), "audit_band", 10))
    adjusted = by_member(rows, "share_left_by_audit")
    assert {adjusted[b].refusal_reason for b in ("none_in_time", "all_in_time")} == {"no_overlap"}
    assert all(adjusted[band].numerator is None for band in ("none_in_time", "all_in_time"))
    assert by_member(rows, "share_left_by_audit_crude")["all_in_time"].value == 0.1


def test_a_handful_of_cases_is_not_a_bands_share() -> None:
    """Two of 302 cases were at a level that the other band has, too: what they did is not what the band did."""
    odd = [("none_in_time", "L1", 300, 30), ("none_in_time", "L3b", 2, 2),
           ("all_in_time", "L3b", 2, 0), ("all_in_time", "L3a", 98, 9)]  # fmt: skip
    found = by_member(list(left_by_band(cases(*odd), "audit_band", 10)), "share_left_by_audit")
    told = {band: (row.value, row.numerator, row.n, row.denominator, row.refusal_reason)
            for band, row in found.items() if row.denominator}  # fmt: skip
    assert told == {"none_in_time": (None, None, 2, 302, "too_few"), "all_in_time": (None, None, 2, 100, "too_few")}
    # Enough of them, but not half: the share of the rest is not the band's either.
    odd[1:3] = [("none_in_time", "L3b", 100, 50), ("all_in_time", "L3b", 100, 40)]
    found = by_member(list(left_by_band(cases(*odd), "audit_band", 10)), "share_left_by_audit")
    assert (found["none_in_time"].n, found["none_in_time"].denominator) == (100, 400)
    assert {row.refusal_reason for row in found.values() if row.denominator} == {"no_overlap"}


def test_an_odd_band_is_left_out_and_the_rest_compared() -> None:
    plain = [
        *(("none_in_time", "L1", 100, 10), ("none_in_time", "L3a", 100, 40), ("half_or_more", "L1", 100, 10)),
        *(("half_or_more", "L3a", 100, 20), ("all_in_time", "L1", 100, 5), ("all_in_time", "L3a", 50, 10)),
    ]
    alone = by_member(list(left_by_band(cases(*plain), "audit_band", 10)), "share_left_by_audit")
    with_odd = list(left_by_band(cases(*plain, ("under_half", "L2", 12, 6)), "audit_band", 10))
    found = by_member(with_odd, "share_left_by_audit")
    odd = found.pop("under_half")
    assert (odd.value, odd.n, odd.denominator, odd.refusal_reason) == (None, 0, 12, "no_overlap")
    assert all(row.value is not None for row in found.values())
    assert found == {band: row for band, row in alone.items() if band != "under_half"}
    # All bands have a level in common with some other; who loses more than half of itself is left out.
    niche = list(
        left_by_band(cases(*plain, ("under_half", "L1", 12, 6), ("under_half", "L2", 90, 6)), "audit_band", 10)
    )
    assert by_member(niche, "share_left_by_audit")["under_half"].refusal_reason == "no_overlap"
    assert by_member(niche, "share_left_by_audit")["all_in_time"] == found["all_in_time"]


def test_a_small_band_is_hidden_with_its_complement_and_a_young_one_has_no_value() -> None:
    frame = cases(("none_in_time", "L1", 3, 1), ("under_half", "L1", 30, 3), ("all_in_time", "L1", 40, 2),
                  ("half_or_more", "L1", 12, 2))  # fmt: skip
    frame.loc[frame["band"] == "half_or_more", "is_mature"] = False
    rows = list(left_by_band(frame, "audit_band", 10))
    # Of two that are hidden only one is left to compare: with itself it is not.
    for metric, alone in (("share_left_by_audit", "no_overlap"), ("share_left_by_audit_crude", None)):
        found = by_member(rows, metric)
        reasons = {band: found[band].refusal_reason for band, _ in AUDIT_BANDS}
        assert reasons == {
            "none_in_time": "small_cell", "under_half": "small_cell", "half_or_more": "immature", "all_in_time": alone,
        }  # fmt: skip
    assert found["all"].value == 6 / 73


def test_nobody_scored_is_no_value() -> None:
    rows = list(left_by_band(cases(), "qa_band", 10))
    assert {(row.value, row.n, row.refusal_reason) for row in rows} == {(None, 0, "zero_denominator")}


def test_who_leaves_after_a_promise() -> None:
    outcome = pd.Categorical(["kept"] * 20 + ["broken"] * 20 + ["kept"] * 5, categories=["kept", "broken"])
    frame = pd.DataFrame({"outcome": outcome, "party": np.arange(45), "is_left": [False] * 18 + [True] * 2 + [True] * 10
                          + [False] * 10 + [True] * 5, "is_mature": [True] * 40 + [False] * 5})  # fmt: skip
    found = {row.member: row for row in left_after_promise(frame, 10)}
    assert [(found[name].value, found[name].n) for name in ("kept", "broken", "all")] == [
        (0.1, 20), (0.5, 20), (0.3, 40),
    ]  # fmt: skip
    assert (found["kept"].maturity_status, found["broken"].maturity_status) == ("partly_mature", "mature")


def sums(*teams: tuple[str, str, str, int], principle: str = "speed", events: int = 1) -> pd.DataFrame:
    """(sourcing, vendor, team, units), each unit of a party of its own; every second one has `events`."""
    rows = [
        (QUARTER, principle, sourcing, vendor, team, f"{team} {i}", events * (i % 2), 1)
        for sourcing, vendor, team, n in teams
        for i in range(n)
    ]
    frame = pd.DataFrame(rows, columns=COUNTED)
    return frame.assign(party=pd.factorize(frame["party"])[0])


def shown(rows: list[PrincipleRow]) -> dict[tuple[str, str], int | None]:
    return {(row.unit_kind, row.unit): row.numerator for row in rows}


def test_units_add_up_and_have_intervals() -> None:
    teams = (("in_house", "in_house", "a", 20), ("in_house", "in_house", "b", 30), ("outsourced", "v1", "c", 40))
    rows = list(principles(sums(*teams), 10))
    assert shown(rows) == {
        ("all", "all"): 45, ("sourcing", "in_house"): 25, ("sourcing", "outsourced"): 20, ("vendor", "in_house"): 25,
        ("vendor", "v1"): 20, ("team", "a"): 10, ("team", "b"): 15, ("team", "c"): 20,
    }  # fmt: skip
    for row in rows:
        assert row.value == 0.5
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert row.ci_low < 0.5 < row.ci_high


def exposed(rows: list[PrincipleRow], tree: dict[tuple[str, str], tuple[str, str]]) -> set[tuple[str, str]]:
    """Hidden units whose numbers the shown ones and the tree's sums fix, by linear algebra over the whole tree."""
    hidden = sorted(unit for unit, numerator in shown(rows).items() if numerator is None)
    equations = []
    for total in set(tree.values()):
        row = [(-1.0 if unit == total else 1.0) if unit == total or tree.get(unit) == total else 0.0 for unit in hidden]
        if any(row):
            equations.append(row)
    if not hidden:
        return set()
    _, values, directions = np.linalg.svd(np.array(equations or [[0.0] * len(hidden)]))
    free = directions[int((values > 1e-9).sum()) :]
    return {unit for i, unit in enumerate(hidden) if not len(free) or np.abs(free[:, i]).max() < 1e-9}


@pytest.mark.parametrize("seed", range(20))
def test_edge_73_no_small_unit_can_be_computed_from_the_others(seed: int) -> None:
    """Random trees of units; a small team must not be found from its vendor's other teams, nor from wider totals."""
    rng = np.random.default_rng(seed)
    homes = [("in_house", "in_house"), ("outsourced", "v1"), ("outsourced", "v2"), ("unknown", "unknown")]
    teams = [
        (*home, f"{home[1]} {i}", int(rng.choice([2, 12, 25, 40])))
        for home in homes
        for i in range(int(rng.integers(1, 4)))
    ]
    rows = list(principles(sums(*teams), 10))
    tree = {("team", team): ("vendor", vendor) for _, vendor, team, _ in teams}
    tree |= {("vendor", vendor): ("sourcing", sourcing) for sourcing, vendor, *_ in teams}
    tree |= {("sourcing", sourcing): ("all", "all") for sourcing, *_ in teams}
    by_unit = {(row.unit_kind, row.unit): row for row in rows}
    small = {unit for unit, row in by_unit.items() if row.n < 10}
    assert all(by_unit[unit].refusal_reason == "small_cell" for unit in small)
    assert exposed(rows, tree) & small == set()


def test_one_small_team_takes_a_neighbour_along_and_not_the_whole() -> None:
    teams = (("in_house", "in_house", "a", 3), ("in_house", "in_house", "b", 30), ("in_house", "in_house", "c", 50),
             ("outsourced", "v1", "d", 40))  # fmt: skip
    found = shown(list(principles(sums(*teams), 10)))
    assert {unit for unit, numerator in found.items() if numerator is None} == {("team", "a"), ("team", "b")}


def test_one_customer_with_many_cases_is_hidden() -> None:
    frame = sums(("in_house", "in_house", "a", 40))
    (first, *_) = principles(frame.assign(party=7), 10)
    assert (first.refusal_reason, first.n, first.value) == ("small_cell", 40, None)


def test_hand_offs_are_a_mean_with_an_interval_by_party() -> None:
    frame = sums(("in_house", "in_house", "a", 40), principle="hand_offs", events=2)
    (row, *_) = principles(frame, 10)
    assert (row.value, row.numerator, row.n, row.method) == (1.0, 40, 40, "mean")
    # 40 parties of 0 or 2: standard error sqrt(40 / 39 * 40) / 40.
    assert row.ci_high is not None
    assert row.ci_high - 1 == pytest.approx(1.959964 * math.sqrt(40 / 39 * 40) / 40, rel=1e-5)
    (clustered, *_) = principles(frame.assign(party=frame["party"] // 4), 10)
    assert clustered.ci_high is not None
    assert clustered.ci_high != row.ci_high


def test_no_rows_no_principles() -> None:
    assert list(principles(pd.DataFrame(columns=COUNTED), 10)) == []
