"""What became of those who complained at a touchpoint: the share that left, is it more than elsewhere, and money.

The share of mature index episodes that left within 90 days is shrunk as rates are (touchpoints.shrink: gamma-Poisson,
within topic and channel; for shares that are not small its intervals are a little too wide, never too narrow). Whether
it is higher than in the rest is Fisher's exact test, one-sided, for each cell that is shown, with the false discovery
rate over all of them (multiplicity.benjamini_hochberg). Episodes count as independent there: a party with many lines
in one cell makes its p-value too small.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from retention.outcomes.multiplicity import benjamini_hochberg
from retention.outcomes.suppression import ALL, Cell, hidden_cells
from retention.outcomes.touchpoints import shrink

FALSE_DISCOVERY_RATE = 0.05

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Departures:
    """What became of a cell's index episodes that are mature at 90 days, and of how many parties they are."""

    topic: str
    channel: str
    stage: str
    region_id: str
    mature: int
    left: int
    parties: int


@dataclass(frozen=True)
class Revenue:
    """Subscriptions of a cell that complained and are still there, and their revenue of the last full month."""

    topic: str
    channel: str
    stage: str
    region_id: str
    subscriptions: int
    rub: float


@dataclass(frozen=True)
class TouchpointOutcomeRow:
    """One row of outcomes.touchpoint_outcomes; counts are always there.

    Shares and marks are NULL exactly when there is a refusal_reason, the revenue at risk when there is a
    revenue_refusal.
    """

    topic: str
    channel: str
    stage: str
    region_id: str
    n_mature: int
    left_after: int
    share_left: float | None
    shrunken_share_left: float | None
    ci_low: float | None
    ci_high: float | None
    q_value: float | None
    is_above_others: bool | None
    refusal_reason: str | None
    n_earning: int
    revenue_rub: float
    revenue_at_risk_rub: float | None
    revenue_refusal: str | None


def touchpoint_outcomes(
    keys: Collection[Key], departures: Sequence[Departures], revenue: Sequence[Revenue], min_cell_n: int
) -> Iterator[TouchpointOutcomeRow]:
    """Outcomes of the touchpoints `keys` (topic, channel, stage, region or 'all') and of all others that have any.

    departures, revenue: by single region. Cells of fewer than min_cell_n episodes, or of one party, are hidden, with
    another region when the total would give them away; so is revenue of fewer subscriptions.
    """
    left = _with_totals({_key(one): np.array([one.mature, one.left, one.parties], float) for one in departures})
    money = _with_totals({_key(one): np.array([one.subscriptions, one.rub]) for one in revenue})
    few = _hidden(left, lambda cell: cell[0] < min_cell_n or cell[2] < 2, min_cell_n)
    few_payers = _hidden(money, lambda cell: cell[0] < min_cell_n, min_cell_n)
    shares = _shares(left, few, is_total=False) | _shares(left, few, is_total=True)
    for key in sorted({*keys, *left, *money}):
        n_mature, left_after, _ = left.get(key, np.zeros(3))
        n_earning, rub = money.get(key, np.zeros(2))
        refusal = "small_cell" if key in few else None if n_mature else "zero_denominator"
        revenue_refusal = refusal or ("small_cell" if key in few_payers else None if n_earning else "zero_denominator")
        share, shrunken, low, high, q_value = shares[key] if refusal is None else (None,) * 5
        yield TouchpointOutcomeRow(
            *key,
            n_mature=int(n_mature),
            left_after=int(left_after),
            share_left=share,
            shrunken_share_left=shrunken,
            ci_low=low,
            ci_high=high,
            q_value=q_value,
            is_above_others=None if q_value is None else q_value < FALSE_DISCOVERY_RATE,
            refusal_reason=refusal,
            n_earning=int(n_earning),
            revenue_rub=float(rub),
            revenue_at_risk_rub=None if revenue_refusal or shrunken is None else float(rub) * shrunken,
            revenue_refusal=revenue_refusal,
        )


def _key(one: Departures | Revenue) -> Key:
    return (one.topic, one.channel, one.stage, one.region_id)


def _with_totals(cells: dict[Key, npt.NDArray[np.float64]]) -> dict[Key, npt.NDArray[np.float64]]:
    """The same with all regions together. A party counts once a region: with two it has lines in both."""
    totals: dict[Key, npt.NDArray[np.float64]] = {}
    for key in sorted(cells):
        total = (*key[:3], ALL)
        totals[total] = totals.get(total, 0.0) + cells[key]
    return cells | totals


def _hidden(
    cells: dict[Key, npt.NDArray[np.float64]], is_small: Callable[[npt.NDArray[np.float64]], bool], min_cell_n: int
) -> set[Key]:
    """Small cells, each with another of its regions when the total would give it away."""
    lines: dict[tuple[str, str, str], dict[Cell, Key]] = {}
    for key in cells:
        lines.setdefault(key[:3], {})[key[3], ALL] = key
    hidden: set[Key] = set()
    for line in lines.values():
        sizes = {cell: int(cells[key][0]) for cell, key in line.items()}
        small = {cell for cell, key in line.items() if sizes[cell] and is_small(cells[key])}
        hidden |= {line[cell] for cell in hidden_cells(sizes, small, min_cell_n)} if small else set()
    return hidden


def _shares(
    cells: dict[Key, npt.NDArray[np.float64]], hidden: set[Key], *, is_total: bool
) -> dict[Key, tuple[float, float, float, float, float]]:
    """Share, shrunken share with its bounds, and q-value of every cell that is shown; regions and totals apart."""
    keys = sorted(key for key, counts in cells.items() if counts[0] and (key[3] == ALL) == is_total)
    if not keys:
        return {}
    mature, left, _ = np.array([cells[key] for key in keys]).T
    names = {name: code for code, name in enumerate(sorted({key[:2] for key in keys}))}
    shrunken = shrink(left, mature, np.array([names[key[:2]] for key in keys], np.int64))
    shown = [i for i, key in enumerate(keys) if key not in hidden]
    # As many or more of the cell's among all that left, if it were like the rest.
    p_values = hypergeom.sf(left[shown] - 1, mature.sum(), left.sum(), mature[shown])
    q_values = benjamini_hochberg(np.clip(p_values, 0.0, 1.0))
    # A Poisson rate may be more than everybody; a share is not.
    bounded = np.minimum(np.column_stack([left / mature, shrunken.rate, shrunken.low, shrunken.high]), 1.0)
    return {
        keys[i]: (*map(float, bounded[i]), float(q))  # type: ignore[misc]
        for i, q in zip(shown, q_values, strict=True)
    }
