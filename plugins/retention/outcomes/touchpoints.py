"""Touchpoints: complaint rates by topic x channel x stage of the path x region, shrunk towards their like and ranked.

The model is gamma-Poisson (Clayton and Kaldor, Biometrics 1987): complaints O of a cell are Poisson(E x theta), its
rate theta is Gamma(a, a / m) about the mean rate m of its family, the cells of the same topic and channel. The shape a
is common to all cells and found by maximum likelihood of the negative binomial that follows. The posterior is
Gamma(a + O, a / m + E), and its mean is the shrunken rate: a cell with much exposure keeps its own, one with little
takes its family's. The interval is that of a gamma with this mean and the posterior's variance plus what the
uncertainty of m adds (Morris, JASA 1983). The penalty of Chung et al. (Psychometrika 2013) keeps few complaints from
proving that all cells are the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import gamma

from retention.outcomes.intervals import CONFIDENCE
from retention.outcomes.suppression import ALL, hidden_cells

UNKNOWN = "unknown"
#: Shapes that are searched: below, a family would hold nothing together; above, its cells are the same.
SHAPES = (0.1, 10_000.0)
#: A family without complaints has not proved a rate of 0: half a complaint at the rate of all is added to each.
PRIOR_COMPLAINTS = 0.5

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Exposure:
    """Who could have complained: subscriptions (n) and their days in the period."""

    subscriptions: int
    days: float


@dataclass(frozen=True)
class Complaints:
    """What was counted in a cell: complaint episodes that began, and customers' complaint contacts."""

    topic: str
    channel: str
    stage: str
    region_id: str
    episodes: int
    contacts: int


@dataclass(frozen=True)
class TouchpointRow:
    """One row of outcomes.touchpoints. Rates are NULL exactly when there is a refusal; counts are always there."""

    topic: str
    channel: str
    stage: str
    region_id: str
    complaints: int
    contacts: int
    n: int
    exposure_days: float
    rate_per_1000: float | None
    shrunken_rate_per_1000: float | None
    ci_low: float | None
    ci_high: float | None
    touchpoint_rank: int | None
    refusal_reason: str | None


@dataclass(frozen=True)
class Shrunken:
    """Posterior of each cell's rate: mean and bounds of the 95 % interval, each (n,); shape: the common one."""

    rate: Values
    low: Values
    high: Values
    shape: float


def shrink(complaints: Values, exposure: Values, family: npt.NDArray[np.int64]) -> Shrunken:
    """Gamma-Poisson posterior of complaints / exposure. complaints, exposure > 0, family (codes 0..): (n,), n > 0."""
    counted = np.bincount(family, weights=complaints)
    exposed = np.bincount(family, weights=exposure)
    overall = max(complaints.sum(), PRIOR_COMPLAINTS) / exposure.sum()
    mean = ((counted + PRIOR_COMPLAINTS) / (exposed + PRIOR_COMPLAINTS / overall))[family]
    expected = mean * exposure

    def surprise(log_shape: float) -> float:
        shape = np.exp(log_shape)
        # The penalty is the logarithm of the coefficient of variation of rates, shape ** -0.5.
        return 0.5 * log_shape - float(
            (
                gammaln(complaints + shape) - gammaln(shape) + shape * log_shape + complaints * np.log(expected)
                - (complaints + shape) * np.log(shape + expected)
            ).sum()
        )  # fmt: skip

    found = minimize_scalar(surprise, bounds=(np.log(SHAPES[0]), np.log(SHAPES[1])), method="bounded")
    # Whole thousandths: the last digits of a search are no knowledge, and rebuilds are compared.
    shape = round(float(np.exp(found.x)), 3)
    precision = shape / mean + exposure
    rate = (shape + complaints) / precision
    squares = np.bincount(family, weights=np.square(exposure))
    variance_of_mean = mean / exposed[family] + np.square(mean / exposed[family]) * squares[family] / shape
    variance = rate / precision + np.square(shape / mean / precision) * variance_of_mean
    matched = gamma(np.square(rate) / variance, scale=variance / rate)
    tail = (1 - CONFIDENCE) / 2
    return Shrunken(rate, matched.ppf(tail), matched.ppf(1 - tail), shape)


def touchpoints(
    complaints: Sequence[Complaints], exposures: dict[tuple[str, str], Exposure], period_days: int, min_cell_n: int
) -> Iterator[TouchpointRow]:
    """Every touchpoint with a complaint's topic and channel, in each stage and region with exposure, and 'all' regions.

    exposures: by (stage, region), each subscription in one region, and by ('unknown', region) for all stages together:
    a complaint that is matched to nobody has stage 'unknown', and anybody of its region can have made it, or anybody at
    all when the region is unknown, too. Cells of fewer than min_cell_n subscriptions are hidden, with another of their
    line when the line's total would give them away.
    """
    exposed = with_totals(exposures)
    sizes = {cell: exposure.subscriptions for cell, exposure in exposed.items()}
    hidden: set[tuple[str, str]] = set()
    for stage in {stage for stage, _ in sizes}:
        line = {cell: n for cell, n in sizes.items() if cell[0] == stage}
        hidden |= hidden_cells(line, {cell for cell, n in line.items() if 0 < n < min_cell_n}, min_cell_n)
    counted: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for one in complaints:
        for region in (one.region_id, ALL):
            key = (one.topic, one.channel, one.stage, region)
            episodes, contacts = counted.get(key, (0, 0))
            counted[key] = (episodes + one.episodes, contacts + one.contacts)
    families = sorted({(topic, channel) for topic, channel, *_ in counted})
    keys = sorted({(*family, *cell) for family in families for cell in exposed} | set(counted))
    for is_total in (False, True):
        chosen = [key for key in keys if (key[3] == ALL) == is_total]
        yield from _rows(chosen, counted, exposed, hidden, period_days)


def with_totals(exposures: dict[tuple[str, str], Exposure]) -> dict[tuple[str, str], Exposure]:
    """Exposure by (stage, region) with 'all' regions; everybody for complaints of which the region is unknown, too."""
    totals: dict[tuple[str, str], Exposure] = {}
    for (stage, _), exposure in sorted(exposures.items()):
        before = totals.get((stage, ALL), Exposure(0, 0.0))
        totals[stage, ALL] = Exposure(before.subscriptions + exposure.subscriptions, before.days + exposure.days)
    everybody = {(UNKNOWN, UNKNOWN): totals[UNKNOWN, ALL]} if (UNKNOWN, ALL) in totals else {}
    return {**exposures, **totals, **everybody}


def _rows(
    keys: list[tuple[str, str, str, str]],
    counted: dict[tuple[str, str, str, str], tuple[int, int]],
    exposed: dict[tuple[str, str], Exposure],
    hidden: set[tuple[str, str]],
    period_days: int,
) -> Iterator[TouchpointRow]:
    nothing = Exposure(0, 0.0)
    exposure = [exposed.get((stage, region), nothing) for _, _, stage, region in keys]
    episodes = np.array([counted.get(key, (0, 0))[0] for key in keys], np.float64)
    # Average subscriptions in the period, thousands.
    average = np.array([one.days for one in exposure]) / period_days / 1000
    measured = np.flatnonzero(average > 0)
    # Complaints matched to nobody are another population: they have families of their own.
    names = [(topic, channel, stage == UNKNOWN) for topic, channel, stage, _ in keys]
    known = {name: code for code, name in enumerate(sorted(set(names)))}
    family = np.array([known[name] for name in names], np.int64)
    if len(measured):
        # Codes of the families that have a measured cell, so that none is empty.
        codes = np.unique(family[measured], return_inverse=True)[1]
        shrunken = shrink(episodes[measured], average[measured], codes)
    place = {int(position): order for order, position in enumerate(measured)}
    shown = [i for i in place if keys[i][2:] not in hidden]
    ranks = {i: rank for rank, i in enumerate(sorted(shown, key=lambda i: (-shrunken.rate[place[i]], keys[i])), 1)}
    for i, key in enumerate(keys):
        numbers = (*counted.get(key, (0, 0)), exposure[i].subscriptions, exposure[i].days)
        if i not in ranks:
            reason = "zero_denominator" if i not in place else "small_cell"
            yield TouchpointRow(*key, *numbers, None, None, None, None, None, reason)
            continue
        at = place[i]
        yield TouchpointRow(
            *key, *numbers,
            rate_per_1000=float(episodes[i] / average[i]),
            shrunken_rate_per_1000=float(shrunken.rate[at]),
            ci_low=float(shrunken.low[at]),
            ci_high=float(shrunken.high[at]),
            touchpoint_rank=ranks[i],
            refusal_reason=None,
        )  # fmt: skip
