"""What subscribers say when asked, and who is asked at all: CSAT, net promoter score, response and invitation rates.

A score describes those who answered. So the response rate, the share that left among those who did not answer, and how
much more often good cases are asked than bad ones stand beside it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes.cells import (
    NO_BREAKDOWN,
    SECONDS_PER_DAY,
    Flags,
    Positions,
    maturity,
    split,
    split_by,
    split_by_segment,
    suppressed,
    suppressed_units,
)
from retention.outcomes.intervals import Interval, clustered_wilson, critical_value, wilson
from retention.outcomes.metrics import MetricRow, place_of, shares
from retention.outcomes.suppression import ALL, Cell
from retention.outcomes.survey_inputs import GOOD_SIGNS

#: An answer counts for 3 days; whether a case was asked about is seen after 30; who left after a survey, after 90.
ANSWER_DAYS, INVITED_DAYS, LEFT_DAYS = 3, 30, 90
RELATIONAL = "relational_nps"
BREAKDOWNS = ("team", "vendor", "sourcing", "month")
METRICS = (
    "csat",
    "transactional_nps",
    "relational_nps",
    "survey_response_rate",
    "left_after_survey",
    "survey_invitation_rate",
    "invitation_gap",
)


@dataclass(frozen=True)
class GapRow:
    """One row of outcomes.survey_gaps: how often good cases are asked about, less bad ones; else the refusal."""

    good_sign: str
    vendor: str
    good_invited: int | None
    good_n: int
    bad_invited: int | None
    bad_n: int
    good_share: float | None
    bad_share: float | None
    gap: float | None
    ci_low: float | None
    ci_high: float | None
    max_gap: float
    refusal_reason: str | None


def net_promoter(opinions: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64]) -> tuple[float, Interval]:
    """Net promoter score as points / 100, promoters less detractors, with its 95 % interval.

    opinions: (n,) 1 promoter, 0 passive, -1 detractor, n > 0. clusters: (n,) codes of parties 0..G-1. Variance
    (p + d - NPS^2) / n (Rocks, Sensory Analysis 2016), never less than the clustered one; when all say the same, as far
    as Wilson's interval of "all" allows for others.
    """
    n, score = len(opinions), float(opinions.mean())
    critical = critical_value(clusters)
    spread = float(np.square(opinions).mean()) - score**2
    groups = int(clusters.max()) + 1
    if spread <= 0:
        certain = wilson(groups, groups, critical)
        assert certain is not None, "there is a row"
        room = 1 - certain.low
        # Others than the extremes can be on one side only.
        low = max(-1.0, score - room * (2 if score > 0 else 1))
        return score, Interval(low, min(1.0, score + room * (2 if score < 0 else 1)))
    variance = spread / n
    if 1 < groups < n:
        sums = np.bincount(clusters, weights=opinions - score)
        variance = max(variance, groups / (groups - 1) * float(np.square(sums).sum()) / n**2)
    half = critical * math.sqrt(variance)
    return score, Interval(max(-1.0, score - half), min(1.0, score + half))


def newcombe(share: float, interval: Interval, other: float, other_interval: Interval) -> Interval:
    """Interval of share - other from their own Wilson intervals (Newcombe, Statistics in Medicine 1998, method 10).

    Parties on both sides are taken for different ones, which widens it when they agree.
    """
    difference = share - other
    below = math.hypot(share - interval.low, other_interval.high - other)
    above = math.hypot(interval.high - share, other - other_interval.low)
    return Interval(max(-1.0, difference - below), min(1.0, difference + above))


def survey_metrics(surveys: pd.DataFrame, occasions: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Every metric of METRICS but the gap. Columns: survey_inputs.SURVEY_COLUMNS and OCCASION_COLUMNS."""
    is_relational = (surveys["kind"] == RELATIONAL).to_numpy()
    after_contact, relational = _where(surveys, ~is_relational), _where(surveys, is_relational)
    yield from _scores(after_contact, min_cell_n)
    cells = split_by_segment(relational["segment"], np.ones(len(relational), dtype=bool))
    yield from _net_scores(RELATIONAL, cells, relational, min_cell_n)
    yield from _response_rates(after_contact, surveys, min_cell_n)
    yield from _left_after(after_contact, relational, min_cell_n)
    everyone = np.ones(len(occasions), dtype=bool)
    party = occasions["party"].to_numpy()
    is_invited = occasions["is_invited"].to_numpy()
    hidden = suppressed_units(occasions, everyone, min_cell_n)
    for breakdown, cells in _tables(occasions, ("team", "vendor", "sourcing")):
        flags = (is_invited, everyone, everyone, party, min_cell_n, breakdown, hidden.get(breakdown))
        yield from shares("survey_invitation_rate", INVITED_DAYS, cells, *flags)


def invitation_gaps(occasions: pd.DataFrame, max_gap: float, min_cell_n: int) -> Iterator[GapRow]:
    """For each sign of a good case, by vendor and for all: how much more often good cases were asked than bad ones."""
    party = occasions["party"].to_numpy()
    is_invited = occasions["is_invited"].to_numpy()
    by_vendor = split_by(occasions["vendor"])
    for sign in GOOD_SIGNS:
        value = occasions[sign].to_numpy()
        good, bad = ({cell: rows[value[rows] == side] for cell, rows in by_vendor.items()} for side in (1, 0))
        hidden = suppressed(party, good, min_cell_n) | suppressed(party, bad, min_cell_n)
        for cell in by_vendor:
            yield _gap(sign, cell, is_invited, party, good[cell], bad[cell], max_gap, cell in hidden)


def gap_metrics(gaps: list[GapRow]) -> Iterator[MetricRow]:
    """The gaps of all vendors together as metric `invitation_gap` by good sign."""
    for row in gaps:
        if row.vendor == ALL:
            n = row.good_n + row.bad_n
            estimate = (row.gap, row.ci_low, row.ci_high, n, "mature", "difference_of_shares", row.refusal_reason)
            yield MetricRow("invitation_gap", ALL, ALL, INVITED_DAYS, None, n, *estimate, "good_sign", row.good_sign)


def _scores(surveys: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """CSAT and transactional NPS by level x segment and by each breakdown."""
    for metric in ("csat", "transactional_nps"):
        of_kind = _where(surveys, (surveys["kind"] == metric).to_numpy())
        opinion, is_elapsed = of_kind["opinion"].to_numpy(), of_kind["is_elapsed"].to_numpy()
        is_counted = is_elapsed & ~np.isnan(opinion)
        hidden = suppressed_units(of_kind, is_counted, min_cell_n)
        for breakdown, cells in _tables(of_kind, BREAKDOWNS):
            if metric != "csat":
                yield from _net_scores(metric, cells, of_kind, min_cell_n, breakdown, hidden.get(breakdown))
                continue
            flags = (opinion == 1, is_counted, is_elapsed, of_kind["party"].to_numpy(), min_cell_n, breakdown)
            yield from shares(metric, ANSWER_DAYS, cells, *flags, hidden.get(breakdown))


def _response_rates(after_contact: pd.DataFrame, surveys: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Answered / delivered invitations whose time has passed: of surveys after a contact, and by kind of all."""
    for frame, breakdowns in ((after_contact, (NO_BREAKDOWN, *BREAKDOWNS)), (surveys, ("kind",))):
        is_elapsed = frame["is_elapsed"].to_numpy()
        has_answer = ~np.isnan(frame["opinion"].to_numpy())
        flags = (has_answer, is_elapsed, is_elapsed, frame["party"].to_numpy(), min_cell_n)
        hidden = suppressed_units(frame, is_elapsed, min_cell_n, breakdowns)
        for breakdown in breakdowns:
            place = ("survey_kind" if breakdown == "kind" else breakdown, hidden.get(breakdown))
            yield from shares("survey_response_rate", ANSWER_DAYS, _cells(frame, breakdown), *flags, *place)


def _left_after(after_contact: pd.DataFrame, relational: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Share that left within 90 days of the end of the time to answer, by answer or none, and by what was said.

    Everybody is followed from that instant on: whoever had left by then could not answer, and is in neither group.
    """
    kinds = {"csat": {1: "csat_satisfied", 0: "csat_not_satisfied"}}
    for prefix, kind in (("nps", "transactional_nps"), (RELATIONAL, RELATIONAL)):
        kinds[kind] = {1: f"{prefix}_promoter", 0: f"{prefix}_passive", -1: f"{prefix}_detractor"}
    for frame in (after_contact, relational):
        horizon = LEFT_DAYS * SECONDS_PER_DAY
        churn = frame["churn_s"].fillna(np.inf).to_numpy()
        has_left = (churn < horizon) & (churn <= frame["competing_s"].fillna(np.inf).to_numpy())
        is_followed = frame["is_elapsed"].to_numpy() & ~frame["is_gone"].to_numpy()
        is_mature = frame["followed_s"].to_numpy() >= horizon
        opinion = frame["opinion"].to_numpy()
        said = [
            "no_answer" if math.isnan(value) else kinds[kind][int(value)]
            for kind, value in zip(frame["kind"], opinion, strict=True)
        ]
        party = frame["party"].to_numpy()
        for breakdown, member in (
            ("response", pd.Series(np.where(np.isnan(opinion), "not_answered", "answered"), dtype=str)),
            ("score_band", pd.Series(said, dtype=str)),
        ):
            if frame is relational and breakdown == "response":
                continue
            cells = {cell: rows[is_followed[rows]] for cell, rows in split_by(member).items() if cell[0] != "no_answer"}
            flags = (has_left, is_mature, is_mature, party, min_cell_n, breakdown)
            yield from shares("left_after_survey", LEFT_DAYS, cells, *flags)


def _net_scores(
    metric: str,
    cells: dict[Cell, Positions],
    frame: pd.DataFrame,
    min_cell_n: int,
    breakdown: str = NO_BREAKDOWN,
    hidden: set[Cell] | None = None,
) -> Iterator[MetricRow]:
    opinion, is_elapsed = frame["opinion"].to_numpy(), frame["is_elapsed"].to_numpy()
    party = frame["party"].to_numpy()
    is_counted = is_elapsed & ~np.isnan(opinion)
    counted = {cell: rows[is_counted[rows]] for cell, rows in cells.items()}
    if hidden is None:
        hidden = suppressed(party, counted, min_cell_n)
    for cell, rows in counted.items():
        if breakdown != NO_BREAKDOWN and cell == (ALL, ALL):
            continue
        level, segment, member = place_of(breakdown, cell)
        n, status = len(rows), maturity(is_elapsed[cells[cell]])
        key, place = (metric, level, segment, ANSWER_DAYS), (breakdown, member)
        refusal = "small_cell" if cell in hidden else None
        if not n:
            refusal = "immature" if status == "immature" else "zero_denominator"
        if refusal is not None:
            yield MetricRow(*key, None, n, None, None, None, n, status, "net_promoter", refusal, *place)
            continue
        value, interval = net_promoter(opinion[rows], pd.factorize(party[rows])[0])
        net = int(opinion[rows].sum())
        bounds = (interval.low, interval.high)
        yield MetricRow(*key, net, n, value, *bounds, n, status, "net_promoter", None, *place)


def _gap(
    sign: str,
    cell: Cell,
    is_invited: Flags,
    party: Positions,
    good: Positions,
    bad: Positions,
    max_gap: float,
    is_hidden: bool,
) -> GapRow:
    refusal = "small_cell" if is_hidden else None
    if not len(good) or not len(bad):
        refusal = "zero_denominator"
    if refusal is not None:
        nothing = (None, None, None, None, None)
        return GapRow(sign, cell[0], None, len(good), None, len(bad), *nothing, max_gap, refusal)
    intervals = [clustered_wilson(is_invited[rows], pd.factorize(party[rows])[0]) for rows in (good, bad)]
    assert intervals[0] is not None, "a side with one party is hidden"
    assert intervals[1] is not None, "a side with one party is hidden"
    counts = [int(is_invited[rows].sum()) for rows in (good, bad)]
    shares = counts[0] / len(good), counts[1] / len(bad)
    bounds = newcombe(shares[0], intervals[0], shares[1], intervals[1])
    gap = (*shares, shares[0] - shares[1], bounds.low, bounds.high)
    return GapRow(sign, cell[0], counts[0], len(good), counts[1], len(bad), *gap, max_gap, None)


def _tables(frame: pd.DataFrame, breakdowns: tuple[str, ...]) -> Iterator[tuple[str, dict[Cell, Positions]]]:
    for breakdown in (NO_BREAKDOWN, *breakdowns):
        yield breakdown, _cells(frame, breakdown)


def _cells(frame: pd.DataFrame, breakdown: str) -> dict[Cell, Positions]:
    if breakdown == NO_BREAKDOWN:
        return split(frame["level"], frame["segment"])
    return split_by(frame[breakdown])


def _where(frame: pd.DataFrame, flags: Flags) -> pd.DataFrame:
    return frame.loc[flags].reset_index(drop=True)
