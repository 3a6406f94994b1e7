"""Survival curves to draw: each day's share left, ended by the operator and still there, by group, with a band.

The same life table, intervals and suppression as in estimates.py, so that at the published horizons a curve is the
published number. Standard errors of every day at once: the influence of a row (survival.incidence) is A + F(h) B once
its time has passed and C(h), the same for all, before; so its squared sum over rows or clusters is a sum of six running
sums, O(n log n) for a whole curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes import intervals, survival
from retention.outcomes.cells import SECONDS_PER_DAY, Flags, Positions, split, split_by, suppressed, suppressed_units
from retention.outcomes.estimates import COMPETING, VOLUNTARY, follow_up
from retention.outcomes.intervals import Interval
from retention.outcomes.suppression import ALL, Cell

LAST_DAY = 180
CAUSES = {"voluntary": (VOLUNTARY,), "competing": (COMPETING,), "any": (VOLUNTARY, COMPETING)}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CurveRow:
    """One day of one curve: a row of outcomes.survival_curves. `estimate` is NULL exactly when there is a refusal.

    events: of the cause in [0, day), cumulative. at_risk: followed to `day` or beyond. n: rows of the group.
    """

    grouping_name: str
    member: str
    cause: str
    day: int
    at_risk: int | None
    events: int | None
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    refusal_reason: str | None


def survival_curves(episodes: pd.DataFrame, min_cell_n: int) -> Iterator[CurveRow]:
    """Curves of index episodes (frames.EPISODE_COLUMNS) over days 0..LAST_DAY, of every cause the product can leave by.

    Voluntary and competing: Aalen-Johansen incidence; any: Kaplan-Meier survival. A curve stops where nobody was
    followed any further; then, and when a group is too small to publish (as in the level x segment table, or in the
    line of in-house and outsourced), its last row is a refusal.
    """
    duration, cause = follow_up(episodes, "left_any")
    limit = episodes["followed_any_s"].to_numpy()
    party = episodes["party"].to_numpy()
    is_followed = limit > 0
    for grouping, member, rows, is_hidden in _groups(episodes, is_followed, party, min_cell_n):
        longest = float(limit[rows].max()) if len(rows) else 0.0
        yield from _curves_of(grouping, member, duration[rows], cause[rows], party[rows], longest, is_hidden)


def _groups(
    episodes: pd.DataFrame, is_followed: Flags, party: Positions, min_cell_n: int
) -> Iterator[tuple[str, str, Positions, bool]]:
    """(grouping, member, its rows of which something can be known, whether it must be hidden)."""

    def judged(everyone: dict[Cell, Positions]) -> tuple[dict[Cell, Positions], set[Cell]]:
        followed = {cell: rows[is_followed[rows]] for cell, rows in everyone.items()}
        return followed, suppressed(party, followed, min_cell_n)

    cells, hidden = judged(split(episodes["level"], episodes["segment"]))
    for cell, rows in cells.items():
        level, segment = cell
        if ALL not in cell:
            continue
        grouping, member = ("none", ALL) if level == segment else ("level", level)
        if level == ALL and segment != ALL:
            grouping, member = "segment", segment
        yield grouping, member, rows, cell in hidden
    # At 90 days the curve is the share left of retention_metrics: hidden with the same teams and vendors in view.
    cells, _ = judged(split_by(episodes["sourcing"]))
    hidden = suppressed_units(episodes, is_followed, min_cell_n)["sourcing"]
    for cell, rows in cells.items():
        if cell != (ALL, ALL):
            yield "sourcing", cell[0], rows, cell in hidden


def _curves_of(
    grouping: str,
    member: str,
    duration: Floats,
    cause: npt.NDArray[np.int64],
    party: Positions,
    longest: float,
    is_hidden: bool,
) -> Iterator[CurveRow]:
    table = survival.life_table(duration, cause, n_causes=2)
    reason = "small_cell" if is_hidden else "immature" if table.n else "zero_denominator"
    days = [day for day in range(LAST_DAY + 1) if _is_known(table, day, longest)] if reason == "immature" else []
    if days:
        yield from _known_days(grouping, member, table, np.array(days), party)
    if len(days) <= LAST_DAY:
        for name in CAUSES:
            yield CurveRow(grouping, member, name, len(days), *(None,) * 5, n=table.n, refusal_reason=reason)


def _is_known(table: survival.LifeTable, day: int, longest: float) -> bool:
    return day * SECONDS_PER_DAY <= longest and table.is_estimable(day * SECONDS_PER_DAY)


def _known_days(
    grouping: str, member: str, table: survival.LifeTable, days: npt.NDArray[np.int64], party: Positions
) -> Iterator[CurveRow]:
    clusters = pd.factorize(party)[0]
    critical = intervals.critical_value(clusters)
    inside = np.searchsorted(table.times, days * float(SECONDS_PER_DAY), side="left")
    at_risk = np.append(table.at_risk, 0)[inside]
    witnesses = _parties_followed(table, clusters, inside)
    for name, causes in CAUSES.items():
        incidence, error = incidence_curve(table, causes, inside, clusters)
        events = np.append(0, np.cumsum(table.events[[c - 1 for c in causes]].sum(axis=0)))[inside]
        is_survival = name == "any"
        # The product, not 1 - incidence: equal, but exact at 0 and 1.
        value = np.append(1.0, table.survival)[inside] if is_survival else incidence
        for i, day in enumerate(days):
            share = float(value[i])
            bounds = _interval(share, float(error[i]), critical, int(witnesses[i]), is_survival)
            key = (grouping, member, name, int(day), int(at_risk[i]), int(events[i]))
            yield CurveRow(*key, share, bounds.low, bounds.high, table.n, None)


def incidence_curve(
    table: survival.LifeTable, causes: tuple[int, ...], inside: npt.NDArray[np.int64], clusters: Positions
) -> tuple[Floats, Floats]:
    """Aalen-Johansen incidence (H,) and its standard error (H,), by rows or by clusters, whichever is the larger.

    inside: (H,) ascending, how many of the table's times lie inside each horizon. clusters: (n,) codes 0..G-1. Equal to
    survival.incidence and Estimate.standard_error of each horizon by itself.
    """
    k = len(table.times)
    chosen = table.events[[c - 1 for c in causes]].sum(axis=0)
    every = table.events.sum(axis=0)
    step = table.survival_before * chosen / table.at_risk
    reached = np.cumsum(step)
    left = table.at_risk - every
    scale = np.divide(1.0, left, out=np.zeros(k), where=left > 0)
    per_risk = scale * every / table.at_risk
    own = np.cumsum(step / table.at_risk + reached * per_risk)
    later = np.cumsum(per_risk)

    at = table.row_time
    is_event, is_chosen = table.row_cause > 0, np.isin(table.row_cause, causes)
    past = -own[at] + np.where(is_chosen, (table.survival_before / table.at_risk)[at], 0.0)
    past += np.where(is_event, (reached * scale)[at], 0.0)
    slope = later[at] - np.where(is_event, scale[at], 0.0)

    value = np.append(0.0, reached)[inside]
    ahead = -(np.append(0.0, own)[inside] - value * np.append(0.0, later)[inside])
    error = _root_of_squares(table, np.arange(table.n), past, slope, value, ahead, inside)
    sizes = np.bincount(clusters)
    if 1 < len(sizes) < table.n:
        by_cluster = _root_of_squares(table, clusters, past, slope, value, ahead, inside)
        error = np.maximum(error, np.sqrt(len(sizes) / (len(sizes) - 1)) * by_cluster)
    return value, error


def _root_of_squares(
    table: survival.LifeTable,
    clusters: Positions,
    past: Floats,
    slope: Floats,
    value: Floats,
    ahead: Floats,
    inside: npt.NDArray[np.int64],
) -> Floats:
    """Root of the sum over clusters of (a + value b + m ahead)^2 at each horizon (H,).

    a and b sum `past` and `slope` over the cluster's rows whose time has passed, m counts those still to come.
    """
    order = np.lexsort((table.row_time, clusters))
    group, time = clusters[order], table.row_time[order]
    a, b = past[order], slope[order]
    is_first = np.append(True, group[1:] != group[:-1])
    first = np.flatnonzero(is_first)
    sizes = np.diff(np.append(first, len(group)))
    m = np.repeat(sizes, sizes) - (np.arange(len(group)) - np.repeat(first, sizes))

    def before(x: Floats) -> Floats:
        """Sum over the earlier rows of the same cluster."""
        total = np.cumsum(x) - x
        return total - np.repeat(total[first], sizes)

    a0, b0 = before(a), before(b)
    a1, b1 = a0 + a, b0 + b
    start = float(np.square(m[first]).sum())
    changes = (
        np.square(a1) - np.square(a0),
        np.square(b1) - np.square(b0),
        np.square(m - 1.0) - np.square(m),
        a1 * b1 - a0 * b0,
        a1 * (m - 1) - a0 * m,
        b1 * (m - 1) - b0 * m,
    )
    aa, bb, mm, ab, am, bm = (
        np.append(0.0, np.cumsum(np.bincount(time, weights=change, minlength=len(table.times))))[inside]
        for change in changes
    )
    total = aa + value**2 * bb + ahead**2 * (start + mm) + 2 * (value * ab + ahead * am + value * ahead * bm)
    error: Floats = np.sqrt(np.maximum(total, 0.0))
    return error


def _parties_followed(
    table: survival.LifeTable, clusters: Positions, inside: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(H,) clusters with a row followed to the horizon or beyond; all of them where there is none."""
    latest = np.full(int(clusters.max()) + 1 if len(clusters) else 0, -1)
    np.maximum.at(latest, clusters, table.row_time)
    followed = len(latest) - np.searchsorted(np.sort(latest), inside, side="left")
    return np.where(followed > 0, followed, len(latest))


def _interval(value: float, error: float, critical: float, parties: int, is_survival: bool) -> Interval:
    """As estimates._interval: log-log inside (0, 1); at an end, Wilson on the parties that show it."""
    share = round(value, 12)
    if share in (0.0, 1.0):
        bounds = intervals.wilson(share * parties, parties, critical)
        assert bounds is not None, "an estimable day has a party that was followed"
        return bounds
    if is_survival:
        return intervals.log_log(share, error, critical)
    kept = intervals.log_log(1.0 - share, error, critical)
    return Interval(1.0 - kept.high, 1.0 - kept.low)
