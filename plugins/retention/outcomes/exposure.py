"""Actions as time: who was reached, offered or promised something left less often per day from then on, or not.

Whoever stays longer has more time to be called. Comparing those ever called with those never called therefore finds
that calls keep people even when they do nothing (immortal time: Suissa, AJE 2008), and is not offered. Here a case is
unexposed from the level reached until the action and exposed after it, and every day and departure is counted on the
side on which it was. Beside the ratio of rates per person-day stands the hazard ratio in strata of level, segment,
product and first priority (cox.py), which also compares like days: soon after a complaint more people leave, and
actions come later.

First contact in time is a landmark (Anderson, Cain and Gelber, JCO 1983): at the instant the target passed, those still
there are divided once by whether they had been reached, and followed from then.

Both ratios are associations. Whom to call is somebody's choice, and what the choice went by is not all in the strata.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes import cox, intervals
from retention.outcomes.cells import LEVELS, SECONDS_PER_DAY, maturity
from retention.outcomes.suppression import ALL, Cell, hidden_cells

FOLLOW_UP_DAYS = 90
ASSOCIATION = "association"
TIME_VARYING, LANDMARK = "time_varying", "landmark"
#: Steps and the column of the instant, seconds since the level was reached.
STEPS = {
    "first_contact": "first_contact_s",
    "first_contact_by_owner": "owner_contact_s",
    "apology": "apology_s",
    "promise": "promise_s",
    "offer": "offer_s",
    "follow_up": "follow_up_s",
}
IN_TIME = "first_contact_in_time"
STRATA = ("level", "segment", "product", "first_priority")
#: Departures on either side below which a ratio is not shown.
MIN_EVENTS = 5

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
#: A value, its lower and its upper end.
Bounds = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class PersonTime:
    """Time and events of either side, and the ratio of rates, exposed / unexposed: its logarithm and the influence of
    each row on that, (n,); both None when a side has no time or no event.
    """

    unexposed: float
    exposed: float
    unexposed_events: int
    exposed_events: int
    log_ratio: float | None
    influence: Floats | None

    def standard_error(self, clusters: Ints) -> float:
        """Of the logarithm: the greater of the Poisson one and the robust one by cluster (codes 0..G-1, one per row).

        NaN without a ratio.
        """
        if self.influence is None:
            return float("nan")
        sums = np.bincount(clusters, weights=self.influence)
        groups = len(sums)
        robust = np.square(sums).sum() * (groups / (groups - 1) if 1 < groups < len(clusters) else 1.0)
        return float(np.sqrt(max(1 / self.unexposed_events + 1 / self.exposed_events, robust)))


@dataclass(frozen=True)
class Followed:
    """Rows of one comparison, (n,) each: time in seconds, whether it ended by leaving, when the exposure began."""

    duration: Floats
    is_event: Flags
    exposed_at: Floats  # below 0: from the beginning; NaN: never
    stratum: Ints
    party: Ints


@dataclass(frozen=True)
class ExposureRow:
    """One row of outcomes.action_exposure. Ratios are NULL exactly when there is a refusal; of a small cell all is
    but n.
    """

    step: str
    level: str
    method: str
    n: int
    n_exposed: int | None
    unexposed_days: float | None
    exposed_days: float | None
    unexposed_events: int | None
    exposed_events: int | None
    rate_ratio: float | None
    rate_ratio_low: float | None
    rate_ratio_high: float | None
    hazard_ratio: float | None
    hazard_ratio_low: float | None
    hazard_ratio_high: float | None
    maturity_status: str
    label: str
    refusal_reason: str | None


def person_time(duration: Floats, is_event: Flags, exposed_at: Floats) -> PersonTime:
    """Rates per unit of time before and after the exposure.

    duration: (n,) > 0. exposed_at: (n,) in the same unit, NaN is never; an event at the very instant is unexposed.
    """
    exposed_at = np.where(np.isnan(exposed_at), np.inf, exposed_at)
    before = np.minimum(np.maximum(exposed_at, 0.0), duration)
    after = duration - before
    after_event = is_event & (exposed_at < duration)
    before_event = is_event & ~after_event
    time = float(before.sum()), float(after.sum())
    events = int(before_event.sum()), int(after_event.sum())
    if not all(time) or not all(events):
        return PersonTime(*time, *events, None, None)
    rates = events[0] / time[0], events[1] / time[1]
    influence = (after_event - rates[1] * after) / events[1] - (before_event - rates[0] * before) / events[0]
    return PersonTime(*time, *events, float(np.log(rates[1] / rates[0])), influence)


def measure_exposures(cases: pd.DataFrame, min_cell_n: int) -> Iterator[ExposureRow]:
    """Every step and level, and all levels. cases: one row an index episode (exposure_inputs.COLUMNS).

    min_cell_n: a level with fewer cases, or with fewer on either side, is hidden together with a complement.
    """
    limit = cases["followed_s"].to_numpy()
    decided, competing = cases["decided_s"].to_numpy(), cases["competing_s"].to_numpy()
    decided, competing = np.nan_to_num(decided, nan=np.inf), np.nan_to_num(competing, nan=np.inf)
    end = np.minimum(limit, FOLLOW_UP_DAYS * SECONDS_PER_DAY)
    # Half-open: who leaves exactly 90 days on is outside.
    is_event = (decided <= competing) & (decided <= limit) & (decided < FOLLOW_UP_DAYS * SECONDS_PER_DAY)
    duration = np.minimum(np.minimum(decided, competing), end)
    stratum = np.asarray(cases.groupby(list(STRATA), observed=True, sort=True).ngroup(), np.int64)
    level = cases["level"].to_numpy(dtype=object)
    is_mature = limit >= FOLLOW_UP_DAYS * SECONDS_PER_DAY
    party = cases["party"].to_numpy()
    # Whoever had taken an order back was kept already: what is done later is not what kept them.
    settled = np.nan_to_num(cases["settled_s"].to_numpy(), nan=np.inf)
    for step, column in STEPS.items():
        at = cases[column].to_numpy()
        followed = Followed(duration, is_event, np.where(at < settled, at, np.nan), stratum, party)
        yield from _levels(step, TIME_VARYING, followed, level, is_mature, duration > 0, min_cell_n)
    due = np.maximum(cases["contact_due_s"].to_numpy(), 0.0)
    exposed = np.where(cases["is_in_time"].to_numpy(), -1.0, np.nan)
    followed = Followed(duration - due, is_event, exposed, stratum, party)
    yield from _levels(IN_TIME, LANDMARK, followed, level, is_mature, duration > due, min_cell_n)


def _levels(
    step: str,
    method: str,
    everyone: Followed,
    level: npt.NDArray[np.object_],
    is_mature: Flags,
    is_followed: Flags,
    min_cell_n: int,
) -> Iterator[ExposureRow]:
    names = [*LEVELS, *sorted(set(level) - set(LEVELS))]
    of_level = {name: np.flatnonzero(level == name) for name in names} | {ALL: np.arange(len(level))}
    cells: dict[Cell, Ints] = {(name, ALL): rows[is_followed[rows]] for name, rows in of_level.items()}
    exposed = everyone.exposed_at < everyone.duration
    # With the exposure from the beginning there is no time before it.
    unexposed = ~(everyone.exposed_at <= 0)
    sizes = {cell: len(rows) for cell, rows in cells.items()}
    small = {
        cell
        for cell, rows in cells.items()
        if 0 < len(rows) < min_cell_n
        or any(0 < side[rows].sum() < min_cell_n for side in (exposed, unexposed))
        or (len(rows) and (everyone.party[rows] == everyone.party[rows[0]]).all())
    }
    hidden = hidden_cells(sizes, small, min_cell_n)
    for cell, rows in cells.items():
        status = maturity(is_mature[of_level[cell[0]]])
        if cell in hidden:
            nothing = (None, None, None, None, None, None, None, None, None, None, None)
            yield ExposureRow(step, cell[0], method, len(rows), *nothing, status, ASSOCIATION, "small_cell")
            continue
        yield _row(step, method, cell[0], everyone, rows, int(exposed[rows].sum()), status)


def _row(
    step: str, method: str, level: str, everyone: Followed, rows: Ints, n_exposed: int, status: str
) -> ExposureRow:
    duration, is_event, exposed_at = everyone.duration[rows], everyone.is_event[rows], everyone.exposed_at[rows]
    seen = person_time(duration, is_event, exposed_at)
    found = cox.hazard_ratio(duration, is_event, exposed_at, everyone.stratum[rows])
    refusal = None
    if not len(rows):
        refusal = "immature" if status == "immature" else "zero_denominator"
    elif not (seen.unexposed and seen.exposed):
        refusal = "zero_denominator"
    elif min(seen.unexposed_events, seen.exposed_events) < MIN_EVENTS or found is None:
        refusal = "too_few"
    rate: Bounds = (None, None, None)
    hazard: Bounds = (None, None, None)
    if refusal is None and found is not None and seen.log_ratio is not None:
        clusters = pd.factorize(everyone.party[rows])[0]
        critical = intervals.critical_value(clusters)
        rate = _bounds(seen.log_ratio, critical * seen.standard_error(clusters))
        hazard = _bounds(found.log_ratio, critical * found.standard_error(clusters))
    days = seen.unexposed / SECONDS_PER_DAY, seen.exposed / SECONDS_PER_DAY
    counts = (len(rows), n_exposed, *days, seen.unexposed_events, seen.exposed_events)
    return ExposureRow(step, level, method, *counts, *rate, *hazard, status, ASSOCIATION, refusal)


def _bounds(log_ratio: float, half: float) -> Bounds:
    return float(np.exp(log_ratio)), float(np.exp(log_ratio - half)), float(np.exp(log_ratio + half))
