"""Hazard ratio of a state that begins during follow-up: Cox's model with one time-varying covariate, in strata.

Who has been exposed is one bit that turns from 0 to 1, and what else matters is in strata, each with a baseline hazard
of its own. So the partial likelihood needs no matrix: at each instant with events it depends on how many are at risk
and how many of those are exposed (Therneau and Grambsch, Modeling Survival Data, 2000, ch. 3 and 7). Nobody is exposed
before the exposure: the time until then counts as unexposed, so none of it is immortal (Suissa, AJE 2008).

Ties by Efron (JASA 1977). The standard error is the greater of the model's and the robust one of Lin and Wei (JASA
1989), whose score residuals are summed by party.

What it is: the ratio of hazards of exposed and unexposed people of one stratum on the same day. What it is not: the
effect of the exposure, unless those exposed are like those not yet exposed in all that the strata do not hold.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retention.outcomes.survival import Estimate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MAX_STEPS = 50
TOLERANCE = 1e-10


@dataclass(frozen=True)
class HazardRatio:
    """Logarithm of a hazard ratio, its standard error by the model, and each row's influence on it, (n,)."""

    log_ratio: float
    model_error: float
    influence: Floats

    def standard_error(self, clusters: Ints) -> float:
        """The greater of the model's and the robust one by cluster (codes 0..G-1, one per row)."""
        robust = Estimate(self.log_ratio, self.influence, 0, 0)
        # Clustering is there to widen; with few parties it can come out narrower by chance.
        return max(self.model_error, robust.standard_error(), robust.standard_error(clusters))


@dataclass(frozen=True)
class RiskSets:
    """K events, those tied each with their share of the tie, (K,): what Efron's likelihood depends on."""

    unexposed: Floats  # at risk, less the share of the tied that is spent
    exposed: Floats
    exposed_events: int
    order: Ints  # (K,) which distinct (stratum, time) each is of
    spent: Floats  # (K,) that share, in [0, 1)


def hazard_ratio(duration: Floats, is_event: Flags, exposed_at: Floats, stratum: Ints) -> HazardRatio | None:
    """Hazard ratio of rows once exposed against rows not yet, O(n log n).

    duration: (n,) finite times of event or censoring, > 0. is_event: (n,). exposed_at: (n,) in the same unit: exposed
    for times after it; below 0 is from the beginning, NaN or infinite is never. stratum: (n,) codes 0...; risk sets are
    within them. An event at the instant of the exposure is one of the unexposed.

    None when the rows do not bound the ratio: no event at which somebody exposed and somebody unexposed were at risk,
    or all those events on one side. Raises ValueError on durations that are not finite.
    """
    if not np.isfinite(duration).all():
        raise ValueError("hazard ratio: durations must be finite")
    exposed_at = np.where(np.isnan(exposed_at), np.inf, exposed_at)
    is_exposed = exposed_at < duration
    # Whole ranks of times, so that strata can lie one after the other on one axis.
    times = np.unique(np.concatenate([duration, exposed_at[is_exposed]]))
    width = len(times) + 2
    ends = stratum * width + np.searchsorted(times, duration) + 1
    starts = stratum[is_exposed] * width + np.searchsorted(times, exposed_at[is_exposed]) + 1
    events, place = np.unique(ends[is_event], return_inverse=True)
    if not len(events):
        return None
    sets = _risk_sets(ends, starts, ends[is_exposed], events, place, is_exposed[is_event], width)
    log_ratio = _maximise(sets)
    if log_ratio is None:
        return None
    theta = np.exp(log_ratio)
    total = sets.unexposed + sets.exposed * theta
    mean = sets.exposed * theta / total
    information = float((mean * (1 - mean)).sum())

    # What being at risk at an event costs, for one unexposed and one exposed: cumulative over strata and times.
    def cumulative(values: Floats) -> Floats:
        return np.concatenate(([0.0], np.cumsum(np.bincount(sets.order, weights=values, minlength=len(events)))))

    unexposed_cost, exposed_cost = -mean / total, theta * (1 - mean) / total
    by_unexposed, by_exposed = cumulative(unexposed_cost), cumulative(exposed_cost)
    last = np.searchsorted(events, ends, side="right")
    turned = last.copy()
    turned[is_exposed] = np.searchsorted(events, starts, side="right")
    begun = np.searchsorted(events, stratum * width)
    score = -(by_unexposed[turned] - by_unexposed[begun]) - (by_exposed[last] - by_exposed[turned])
    # A row's own event; what is spent of the tied rows costs them nothing.
    tied = np.bincount(sets.order, minlength=len(events))
    mean_of_tie = np.bincount(sets.order, weights=mean, minlength=len(events)) / tied
    own_unexposed = np.bincount(sets.order, weights=unexposed_cost * sets.spent, minlength=len(events))
    own_exposed = np.bincount(sets.order, weights=exposed_cost * sets.spent, minlength=len(events))
    state = is_exposed[is_event]
    score[is_event] += state - mean_of_tie[place] + np.where(state, own_exposed[place], own_unexposed[place])
    return HazardRatio(float(log_ratio), float(information**-0.5), score / information)


def _risk_sets(
    ends: Ints, starts: Ints, exposed_ends: Ints, events: Ints, place: Ints, is_exposed_event: Flags, width: int
) -> RiskSets:
    """Who is at risk at each event, from positions on the axis of strata and times."""
    ends, starts, exposed_ends = np.sort(ends), np.sort(starts), np.sort(exposed_ends)
    first = events // width * width
    at_risk = np.searchsorted(ends, first + width) - np.searchsorted(ends, events)
    # Exposed before the instant and not gone before it.
    exposed = (np.searchsorted(starts, events) - np.searchsorted(starts, first)) - (
        np.searchsorted(exposed_ends, events) - np.searchsorted(exposed_ends, first)
    )
    tied = np.bincount(place)
    tied_exposed = np.bincount(place, weights=is_exposed_event)
    order = np.repeat(np.arange(len(events)), tied)
    number = np.arange(len(order)) - np.repeat(np.cumsum(tied) - tied, tied)
    spent: Floats = number / tied[order]
    return RiskSets(
        unexposed=np.asarray((at_risk - exposed)[order] - spent * (tied - tied_exposed)[order], np.float64),
        exposed=np.asarray(exposed[order] - spent * tied_exposed[order], np.float64),
        exposed_events=int(is_exposed_event.sum()),
        order=order,
        spent=spent,
    )


def _maximise(sets: RiskSets) -> float | None:
    """Newton's maximum of Efron's partial likelihood in the log ratio; None when it has none that is finite."""
    if not (sets.unexposed == 0).sum() < sets.exposed_events < (sets.exposed > 0).sum():
        return None
    informative = (sets.unexposed > 0) & (sets.exposed > 0)
    # Where one kind alone is at risk its event says nothing.
    events = sets.exposed_events - int((sets.unexposed == 0).sum())
    odds = np.log(sets.exposed[informative] / sets.unexposed[informative])
    beta = 0.0
    for _ in range(MAX_STEPS):
        share = 1 / (1 + np.exp(-np.clip(odds + beta, -500, 500)))
        information = float((share * (1 - share)).sum())
        # The likelihood is concave: far from the maximum a step of at most 2 still leads there.
        step = float(np.clip((events - share.sum()) / max(information, 1e-300), -2.0, 2.0))
        beta += step
        if abs(step) < TOLERANCE:
            return beta
    return None
