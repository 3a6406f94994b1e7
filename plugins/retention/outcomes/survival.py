"""Kaplan-Meier and Aalen-Johansen from one exact life table, with party-clustered standard errors.

A life table counts, at every distinct time, who is at risk and who has an event of each cause. Events come before
censoring at ties, and causes tied at one instant share the same risk set: nothing is jittered. Both estimators follow:
the cumulative incidence of a set of causes is Aalen-Johansen, and that of all causes together is 1 - Kaplan-Meier, so
incidences and survival add to 1 by construction.

Standard errors come from the influence of each row on the estimate (the infinitesimal jackknife). Summed row by row
its squares give Greenwood's variance exactly for Kaplan-Meier; summed by party first, they give the clustered one.

Horizons are half-open: an event exactly at h is outside [0, h). Times are float, in any one unit (here: seconds).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LifeTable:
    """K distinct times of n rows. `events[c - 1]` counts cause c; `survival` is just after a time."""

    times: Floats  # (K,) ascending
    at_risk: Ints  # (K,)
    events: Ints  # (causes, K)
    survival_before: Floats  # (K,)
    survival: Floats  # (K,)
    row_time: Ints  # (n,) index into `times` of each row, in the caller's order
    row_cause: Ints  # (n,) 0 = censored

    @property
    def n(self) -> int:
        """Rows in the table."""
        return len(self.row_time)

    def before(self, horizon: float) -> int:
        """How many of `times` are inside [0, horizon)."""
        return int(np.searchsorted(self.times, horizon, side="left"))

    def is_estimable(self, horizon: float) -> bool:
        """Whether the curve is known up to `horizon`: somebody was followed that long, or everybody had an event."""
        return self.n > 0 and bool(self.times[-1] >= horizon or self.survival[-1] == 0.0)


@dataclass(frozen=True)
class Estimate:
    """A value at one horizon, its influence per row (empty unless the table has rows) and what it rests on."""

    value: float
    influence: Floats  # (n,) summing to 0, in the caller's row order
    events: int  # inside [0, horizon)
    at_risk: int  # followed to the horizon or beyond

    def standard_error(self, clusters: Ints | None = None) -> float:
        """Root of the summed squared influence, by row or by cluster (codes 0..G-1, one per row).

        When a cluster holds several rows the sum is scaled by G / (G - 1), the usual correction for few clusters. One
        cluster has no standard error: NaN.
        """
        if clusters is None:
            return float(np.sqrt(np.square(self.influence).sum()))
        sums = np.bincount(clusters, weights=self.influence)
        if len(sums) < 2:
            return float("nan")
        correction = 1.0 if len(sums) == len(clusters) else len(sums) / (len(sums) - 1)
        return float(np.sqrt(correction * np.square(sums).sum()))


def life_table(duration: Floats, cause: Ints, n_causes: int) -> LifeTable:
    """Life table of rows (duration, cause), O(n log n).

    duration: (n,) finite, >= 0. cause: (n,) 0 = censored, 1..n_causes. Raises ValueError on anything else.
    """
    duration = np.asarray(duration, dtype=np.float64)
    cause = np.asarray(cause, dtype=np.int64)
    n = len(duration)
    if len(cause) != n:
        raise ValueError(f"life table: {n} durations but {len(cause)} causes")
    bad = int((~(np.isfinite(duration) & (duration >= 0.0))).sum())
    if bad:
        raise ValueError(f"life table: {bad} of {n} durations are negative or not finite")
    if n and not 0 <= cause.min() <= cause.max() <= n_causes:
        raise ValueError(f"life table: causes must be 0..{n_causes}, found {cause.min()}..{cause.max()}")

    order = np.argsort(duration, kind="stable")
    ordered = duration[order]
    is_new = np.ones(n, dtype=bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_new)
    row_time = np.empty(n, dtype=np.int64)
    row_time[order] = np.cumsum(is_new) - 1
    k = len(starts)
    events = np.stack([np.bincount(row_time[cause == c], minlength=k) for c in range(1, n_causes + 1)])
    at_risk = n - starts
    survival = np.cumprod((at_risk - events.sum(axis=0)) / at_risk)
    return LifeTable(
        times=ordered[starts],
        at_risk=at_risk,
        events=events,
        survival_before=np.concatenate(([1.0], survival[:-1])) if k else survival,
        survival=survival,
        row_time=row_time,
        row_cause=cause,
    )


def incidence(table: LifeTable, causes: tuple[int, ...], horizons: tuple[float, ...]) -> list[Estimate]:
    """Aalen-Johansen: probability of a first event of one of `causes` inside [0, h), for each horizon.

    With all causes it is 1 - Kaplan-Meier. Check `is_estimable` before publishing: past the last follow-up the value
    is only what was seen so far.

    The influence is the derivative of F(h) = sum S(t-) dN_causes / Y by each row's weight: a row's own event, less what
    the hazards expected of it while at risk. At a time where everybody has an event the next survival is 0 and that
    time has no bearing on what follows, so its part is 0.
    """
    chosen = table.events[[c - 1 for c in causes]].sum(axis=0)
    step = table.survival_before * chosen / table.at_risk
    reached = np.cumsum(step)
    left = table.at_risk - table.events.sum(axis=0)
    # The hazard of leaving the risk set, over what survives it: how a change at t scales everything later.
    scale = np.divide(1.0, left, out=np.zeros(len(left)), where=left > 0)
    per_risk = scale * table.events.sum(axis=0) / table.at_risk
    # Compensators up to each time, arranged so that the horizon enters only through F(h).
    own = np.cumsum(step / table.at_risk + reached * per_risk)
    later = np.cumsum(per_risk)

    row_event = table.row_cause > 0
    row_chosen = np.isin(table.row_cause, causes)
    estimates = []
    for horizon in horizons:
        inside = table.before(horizon)
        if not inside:
            estimates.append(Estimate(0.0, np.zeros(table.n), 0, table.n))
            continue
        value = float(reached[inside - 1])
        at_risk = int(table.at_risk[inside]) if inside < len(table.times) else 0
        expected = own[:inside] - value * later[:inside]
        last = np.minimum(table.row_time, inside - 1)
        happened = table.row_time < inside
        gain = (table.survival_before / table.at_risk)[:inside]
        loss = (value - reached[:inside]) * scale[:inside]
        influence = -expected[last]
        influence += np.where(row_chosen & happened, gain[last], 0.0)
        influence -= np.where(row_event & happened, loss[last], 0.0)
        estimates.append(Estimate(value, influence, int(chosen[:inside].sum()), at_risk))
    return estimates


def kaplan_meier(table: LifeTable, horizons: tuple[float, ...]) -> list[Estimate]:
    """Probability of no event of any cause inside [0, h), for each horizon (`events` counts those that had one)."""
    every = tuple(range(1, len(table.events) + 1))
    return [
        # The product, not 1 - incidence: equal, but exact at 0 and 1.
        Estimate(
            float(table.survival[inside - 1]) if (inside := table.before(horizon)) else 1.0,
            -left.influence,
            left.events,
            left.at_risk,
        )
        for horizon, left in zip(horizons, incidence(table, every, horizons), strict=True)
    ]


def median(table: LifeTable) -> float | None:
    """First time at which survival is one half or less; None when it never falls that far."""
    reached = np.flatnonzero(table.survival <= 0.5)
    return float(table.times[reached[0]]) if len(reached) else None


def restricted_mean(table: LifeTable, horizon: float) -> Estimate:
    """Mean time without an event, restricted to [0, horizon): the area under Kaplan-Meier, in the unit of the times."""
    inside = table.before(horizon)
    times = table.times[:inside]
    height = np.concatenate(([1.0], table.survival[:inside]))
    area = height * np.diff(np.concatenate(([0.0], times, [horizon])))
    value = float(area.sum())
    if not inside:
        return Estimate(value, np.zeros(table.n), 0, table.n)
    remaining = np.cumsum(area[::-1])[::-1][1:]
    events = table.events[:, :inside].sum(axis=0)
    left = table.at_risk[:inside] - events
    slope = np.divide(remaining, left, out=np.zeros(inside), where=left > 0)
    expected = np.cumsum(slope * events / table.at_risk[:inside])
    last = np.minimum(table.row_time, inside - 1)
    influence = expected[last] - np.where((table.row_cause > 0) & (table.row_time < inside), slope[last], 0.0)
    at_risk = int(table.at_risk[inside]) if inside < len(table.times) else 0
    return Estimate(value, influence, int(events.sum()), at_risk)
