"""Survival of complaint episodes by cell and horizon: Aalen-Johansen, Kaplan-Meier and restricted mean, with intervals.

A variant says which voluntary kinds count and how long after an instant they are known (DEFINITIONS 4):
`left_by_order` (orders and ports, a day) is early, `left_any` adds inactivity (prepaid: 90 days). Each follows its
members to its own administrative limit, never to a subscriber's own last activity.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes import intervals, survival
from retention.outcomes.cells import SECONDS_PER_DAY, Positions, maturity, split, suppressed
from retention.outcomes.intervals import Interval
from retention.outcomes.suppression import Cell

HORIZONS_DAYS = (30, 60, 90, 180)
VOLUNTARY, COMPETING = 1, 2
#: Estimators of each variant: (estimator, cause). Survival is read once, from the variant that knows every kind.
ESTIMATORS = {
    "left_any": (
        ("aalen_johansen", "voluntary"),
        ("aalen_johansen", "competing"),
        ("kaplan_meier", "any"),
        ("restricted_mean_days", "any"),
    ),
    "left_by_order": (("aalen_johansen", "voluntary"),),
}


@dataclass(frozen=True)
class SurvivalRow:
    """One estimate: a row of outcomes.survival_estimates. `value` is NULL exactly when `refusal_reason` is given."""

    variant: str
    estimator: str
    cause: str
    level: str
    segment: str
    horizon_days: int
    value: float | None
    standard_error: float | None
    ci_low: float | None
    ci_high: float | None
    events: int | None
    at_risk: int | None
    n: int
    maturity_status: str
    refusal_reason: str | None


def follow_up(episodes: pd.DataFrame, variant: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Seconds to the first event or to the limit of knowledge, and its cause (0 none, 1 voluntary, 2 competing).

    A churn and a competing event of the same instant count as voluntary; an event at the very limit is known. What lies
    beyond the limit is not used even when already known, or leavers would be known earlier than stayers. The
    duration is 0 or negative for an episode of which nothing can be known yet.
    """
    limit = episodes["followed_any_s" if variant == "left_any" else "followed_order_s"].to_numpy()
    churn = episodes["churn_s"].to_numpy()
    if variant == "left_by_order":
        churn = np.where(episodes["is_order_churn"].to_numpy(), churn, np.nan)
    churn = np.nan_to_num(churn, nan=np.inf)
    competing = np.nan_to_num(episodes["competing_s"].to_numpy(), nan=np.inf)
    first = np.minimum(churn, competing)
    cause = np.where(first > limit, 0, np.where(churn <= competing, VOLUNTARY, COMPETING))
    return np.minimum(first, limit), cause


def estimate_survival(episodes: pd.DataFrame, min_cell_n: int) -> Iterator[SurvivalRow]:
    """Every variant, estimator, cell and horizon of index episodes (columns: see frames.EPISODE_COLUMNS)."""
    for variant, estimators in ESTIMATORS.items():
        ordered = in_order(episodes, variant)
        yield from estimate_cells(ordered, split(ordered["level"], ordered["segment"]), variant, estimators, min_cell_n)


def in_order(episodes: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Episodes in order of time: so every cell's rows are, and its arrays are walked instead of jumped about in."""
    duration, _ = follow_up(episodes, variant)
    return episodes.iloc[np.argsort(duration, kind="stable")]


def estimate_cells(
    ordered: pd.DataFrame,
    cells: Mapping[Cell, Positions],
    variant: str,
    estimators: tuple[tuple[str, str], ...],
    min_cell_n: int,
    hidden: set[Cell] | None = None,
) -> Iterator[SurvivalRow]:
    """These estimators of every cell and horizon; `level` and `segment` of the rows are the two axes of the cells.

    ordered: episodes as `in_order` of the variant gives them. cells: positions of its rows. hidden: the cells not to be
    shown, where more than this table decides it.
    """
    duration, cause = follow_up(ordered, variant)
    limit = ordered["followed_any_s" if variant == "left_any" else "followed_order_s"].to_numpy()
    party = ordered["party"].to_numpy()
    followed = {cell: rows[limit[rows] > 0] for cell, rows in cells.items()}
    if hidden is None:
        hidden = suppressed(party, followed, min_cell_n)
    for cell, rows in followed.items():
        statuses = {days: maturity(limit[cells[cell]] >= days * SECONDS_PER_DAY) for days in HORIZONS_DAYS}
        yield from _estimate_cell(
            variant, estimators, cell, duration[rows], cause[rows], party[rows], statuses, cell in hidden
        )


def _estimate_cell(
    variant: str,
    estimators: tuple[tuple[str, str], ...],
    cell: Cell,
    duration: npt.NDArray[np.float64],
    cause: npt.NDArray[np.int64],
    party: Positions,
    statuses: dict[int, str],
    is_hidden: bool,
) -> Iterator[SurvivalRow]:
    table = survival.life_table(duration, cause, n_causes=2)
    clusters = pd.factorize(party)[0]
    critical = intervals.critical_value(clusters) if len(clusters) else intervals.Z
    for estimator, of_cause in estimators:
        refusals = {days: _refusal(table, days, statuses[days], is_hidden) for days in HORIZONS_DAYS}
        given = tuple(days for days in HORIZONS_DAYS if refusals[days] is None)
        found = dict(zip(given, _estimate(table, estimator, of_cause, given), strict=True))
        for days in HORIZONS_DAYS:
            key = (variant, estimator, of_cause, cell[0], cell[1], days)
            estimate = found.get(days)
            if estimate is None:
                nothing = (None, None, None, None, None, None)
                yield SurvivalRow(*key, *nothing, table.n, statuses[days], refusals[days])
                continue
            unit = SECONDS_PER_DAY if estimator == "restricted_mean_days" else 1
            # Clustering is there to widen; with few parties it can come out narrower by chance.
            error = max(estimate.standard_error(), estimate.standard_error(clusters))
            interval = _interval(table, clusters, estimator, estimate, error, critical, days)
            yield SurvivalRow(
                *key,
                estimate.value / unit,
                error / unit,
                interval.low / unit,
                interval.high / unit,
                estimate.events,
                estimate.at_risk,
                table.n,
                statuses[days],
                None,
            )


def _refusal(table: survival.LifeTable, days: int, status: str, is_hidden: bool) -> str | None:
    """Why a cell has no value at a horizon, the first that holds."""
    if is_hidden:
        return "small_cell"
    if status == "immature" or (table.n and not table.is_estimable(days * SECONDS_PER_DAY)):
        return "immature"
    return None if table.n else "zero_denominator"


def _estimate(table: survival.LifeTable, estimator: str, cause: str, days: tuple[int, ...]) -> list[survival.Estimate]:
    horizons = tuple(float(d * SECONDS_PER_DAY) for d in days)
    if not horizons:
        return []
    if estimator == "kaplan_meier":
        return survival.kaplan_meier(table, horizons)
    if estimator == "restricted_mean_days":
        return [survival.restricted_mean(table, horizon) for horizon in horizons]
    return survival.incidence(table, (VOLUNTARY if cause == "voluntary" else COMPETING,), horizons)


def _interval(
    table: survival.LifeTable,
    clusters: Positions,
    estimator: str,
    estimate: survival.Estimate,
    error: float,
    critical: float,
    days: int,
) -> Interval:
    """Log-log for a probability inside (0, 1), normal for a mean; at an end, Wilson on the parties that show it."""
    horizon = float(days * SECONDS_PER_DAY)
    is_mean = estimator == "restricted_mean_days"
    # A sum of steps that reaches 1 may miss it by a rounding.
    share = round(estimate.value / horizon if is_mean else estimate.value, 12)
    if share in (0.0, 1.0):
        # Nothing varies: what is known rests on those followed to the horizon, or, when all have left, on all.
        witnesses = clusters[table.row_time >= table.before(horizon)]
        parties = len(np.unique(witnesses if len(witnesses) else clusters))
        bounds = intervals.wilson(share * parties, parties, critical)
        assert bounds is not None, "an estimable horizon has a party that was followed"
        return Interval(bounds.low * horizon, bounds.high * horizon) if is_mean else bounds
    if is_mean:
        return Interval(max(0.0, share * horizon - critical * error), min(horizon, share * horizon + critical * error))
    if estimator == "kaplan_meier":
        return intervals.log_log(share, error, critical)
    kept = intervals.log_log(1.0 - share, error, critical)
    return Interval(1.0 - kept.high, 1.0 - kept.low)
