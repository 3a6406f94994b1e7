"""What a retained month cost: roubles spent on cases over the months that their subscribers stayed."""

from typing import Any

import numpy as np
import pandas as pd

from retention.outcomes.cells import SECONDS_PER_DAY, Positions
from retention.outcomes.intervals import critical_value
from retention.outcomes.standardise import Floats, Standardised, standardise
from retention.outcomes.unit_cells import MAX_DROPPED_SHARE, Cases

#: Months are counted, and roubles, to this horizon (DEFINITIONS 5.7 and 5.9).
COST_HORIZON_DAYS = 180
SECONDS_PER_MONTH = 30.4375 * SECONDS_PER_DAY


def cost_per_retained_month(judged: Cases, own: Positions, others: Positions | None) -> dict[str, Any]:
    """Columns of PartnerRow: the cost of a month retained, as spent and, beside `others`, on the common mix of cases.

    own, others: positions of mature cases. A cost per month is a ratio of two means; its variance is that of cost -
    ratio x months over the mean of months (the delta method, on the logarithm), clustered by party. The months are all
    that the subscribers stayed, not those that the work gained.
    """
    cost, months = judged.cost_rub, judged.stayed_s / SECONDS_PER_MONTH
    if np.isnan(cost[own]).any():
        return {"cost_refusal": "no_price"}
    spent, retained = float(cost[own].sum()), float(months[own].sum())
    if spent == 0.0 or retained == 0.0:
        return {"cost_refusal": "zero_denominator"}
    ratio = spent / retained
    parties = pd.factorize(judged.party[own])[0]
    sums = np.bincount(parties, weights=(cost[own] - ratio * months[own]) / retained)
    error = float(np.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()))
    low, high = _bounds(ratio, critical_value(parties) * error)
    facts: dict[str, Any] = {
        "cost_rub": spent,
        "retained_months": retained,
        "cost_per_retained_month_rub": ratio,
        "cost_ci_low": low,
        "cost_ci_high": high,
    }
    if others is None or np.isnan(cost[others]).any():
        return facts
    return {**facts, **_on_the_common_mix(judged, own, others, cost, months)}


def _on_the_common_mix(
    judged: Cases, own: Positions, others: Positions, cost: Floats, months: Floats
) -> dict[str, Any]:
    rows = np.concatenate((own, others))
    groups = (np.repeat([0, 1], [len(own), len(others)]), judged.stratum[rows], judged.party[rows])
    spent = standardise(cost[rows], *groups, bounds=None).groups
    stayed = standardise(months[rows], *groups, bounds=None).groups
    if spent[0].value is None or spent[0].n_used < (1 - MAX_DROPPED_SHARE) * spent[0].n:
        return {}
    ratios = [_value(one) / _value(other) if _value(other) else 0.0 for one, other in zip(spent, stayed, strict=True)]
    if 0.0 in ratios:
        return {}
    (linear, _) = standardise(cost[rows] - ratios[0] * months[rows], *groups, bounds=None).groups
    assert linear.high is not None
    low, high = _bounds(ratios[0], (linear.high - _value(linear)) / _value(stayed[0]))
    return {
        "standardised_cost_rub": ratios[0],
        "standardised_cost_ci_low": low,
        "standardised_cost_ci_high": high,
        "reference_cost_rub": ratios[1],
    }


def _bounds(ratio: float, half: float) -> tuple[float, float]:
    spread = float(np.exp(half / ratio))
    return ratio / spread, ratio * spread


def _value(one: Standardised) -> float:
    assert one.value is not None, "groups of one comparison have values together"
    return one.value
