"""In-house against partners: share left as counted, and on the same mix of cases; what a retained month cost.

Shares are of cases old enough to judge at the horizon, not Aalen-Johansen's: every stratum has few cases, where an
incidence under censoring would rest on a handful, and a share of mature cases leads to its cases. Who is mature is
decided by the calendar and the product alone (DEFINITIONS 4), and the product is in the strata.

A vendor, and all of them together, are compared with the cases that in-house teams had in the same quarter; a team with
all other teams'. Level, segment, product and priority are those at the begin, before anybody handled the case: partners
are not excused for what their handling made of it. Whoever had the case first answers for it (DEFINITIONS 7, 57).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retention.outcomes.cells import Positions, maturity
from retention.outcomes.estimates import HORIZONS_DAYS
from retention.outcomes.intervals import clustered_wilson
from retention.outcomes.partner_costs import COST_HORIZON_DAYS, cost_per_retained_month
from retention.outcomes.standardise import NO_OVERLAP, standardise
from retention.outcomes.suppression import ALL, Cell
from retention.outcomes.unit_cells import (
    IN_HOUSE,
    MAX_DROPPED_SHARE,
    OUTSOURCED,
    TOTAL_OF,
    Cases,
    Cells,
    hidden_units,
    is_small,
    judge,
    latest_quarters,
    units,
)

OTHERS = "others"
#: What proactive calls and pilots change can only be told from those drawn not to get them.
NOT_MEASURED = {"proactive": "no_holdout", "pilots": "not_estimated"}


@dataclass(frozen=True)
class PartnerRow:
    """One row of outcomes.partners: the unit's mature cases (n of `cases`), and the comparison where there is one.

    Each block is empty exactly when its refusal is given: the crude share (refusal_reason), the comparison
    (comparison_refusal), the cost (cost_refusal).
    """

    period: str
    unit_kind: str
    unit: str
    use_case: str
    horizon_days: int
    cases: int
    n: int
    maturity_status: str
    refusal_reason: str | None = None
    left_count: int | None = None
    crude_share: float | None = None
    crude_ci_low: float | None = None
    crude_ci_high: float | None = None
    reference: str | None = None
    reference_n: int | None = None
    dropped_share: float | None = None
    reference_dropped_share: float | None = None
    standardised_share: float | None = None
    standardised_ci_low: float | None = None
    standardised_ci_high: float | None = None
    reference_share: float | None = None
    difference: float | None = None
    difference_ci_low: float | None = None
    difference_ci_high: float | None = None
    verdict: str = "refused"
    comparison_refusal: str | None = None
    cost_rub: float | None = None
    retained_months: float | None = None
    cost_per_retained_month_rub: float | None = None
    cost_ci_low: float | None = None
    cost_ci_high: float | None = None
    standardised_cost_rub: float | None = None
    standardised_cost_ci_low: float | None = None
    standardised_cost_ci_high: float | None = None
    reference_cost_rub: float | None = None
    cost_refusal: str | None = None


def compare_partners(cases: pd.DataFrame, min_cell_n: int) -> Iterator[PartnerRow]:
    """Every unit of every kind, quarter and use case at every horizon; columns of the frame: CASE_COLUMNS.

    min_cell_n: units with fewer mature cases, or of one party only, are refused together with what would give them
    away: another unit of the same total, another quarter, or the same unit's other cases.
    """
    cases = latest_quarters(cases)
    everything = np.ones(len(cases), dtype=bool)
    few = ("vendor", "sourcing")
    # All cases first: the other use cases are parts of them.
    chosen = {
        ALL: {kind: units(cases, kind, everything) for kind in TOTAL_OF},
        "repeat_and_risk": {kind: units(cases, kind, cases["is_risk"].to_numpy()) for kind in few},
        "night": {kind: units(cases, kind, cases["is_night"].to_numpy()) for kind in few},
    }
    for days in HORIZONS_DAYS:
        judged = judge(cases, days)
        sizes: dict[tuple[str, Cell], int] = {}
        for use_case, counted in chosen.items():
            mature = {
                kind: {cell: rows[judged.is_mature[rows]] for cell, rows in cells.items()}
                for kind, cells in counted.items()
            }
            small = {
                (kind, cell)
                for kind, cells in mature.items()
                for cell, rows in cells.items()
                if is_small(judged.party, rows, min_cell_n) or 0 < sizes.get((kind, cell), 0) - len(rows) < min_cell_n
            }
            hidden = hidden_units(cases, mature, small, min_cell_n)
            if use_case == ALL:
                sizes = {(kind, cell): len(rows) for kind, cells in mature.items() for cell, rows in cells.items()}
            for kind, cells in counted.items():
                for cell, rows in cells.items():
                    status = maturity(judged.is_mature[rows])
                    row = PartnerRow(cell[1], kind, cell[0], use_case, days, len(rows), len(mature[kind][cell]), status)
                    yield _measured(row, mature, judged, hidden)
        for use_case, reason in NOT_MEASURED.items():
            yield _refused(PartnerRow(ALL, "sourcing", OUTSOURCED, use_case, days, 0, 0, "mature"), reason)


def _refused(row: PartnerRow, reason: str) -> PartnerRow:
    return replace(row, refusal_reason=reason, comparison_refusal=reason, cost_refusal=reason)


def _measured(row: PartnerRow, mature: dict[str, Cells], judged: Cases, hidden: set[tuple[str, Cell]]) -> PartnerRow:
    cell = (row.unit, row.period)
    if (row.unit_kind, cell) in hidden:
        return _refused(row, "small_cell")
    if not row.n:
        return _refused(row, "immature")
    own = mature[row.unit_kind][cell]
    interval = clustered_wilson(judged.left[own], pd.factorize(judged.party[own])[0])
    assert interval is not None, "a cell with one party is hidden"
    reference, others = _reference(row.unit_kind, cell, mature, hidden)
    left = int(judged.left[own].sum())
    row = replace(
        row, left_count=left, crude_share=left / row.n, crude_ci_low=interval.low, crude_ci_high=interval.high
    )
    row = replace(row, reference=reference, **_compared(judged, own, others))
    if row.horizon_days != COST_HORIZON_DAYS:
        return replace(row, cost_refusal="other_horizon")
    # A team's costs are its partner's prices.
    like = None if isinstance(others, str) or row.unit_kind == "team" else others
    return replace(row, **cost_per_retained_month(judged, own, like))


def _reference(
    kind: str, cell: Cell, mature: dict[str, Cells], hidden: set[tuple[str, Cell]]
) -> tuple[str, Positions | str]:
    """What a unit is compared with, and its rows or why it is not."""
    unit, period = cell
    if kind == "team":
        rest = [rows for (other, when), rows in mature["team"].items() if when == period and other != unit]
        return OTHERS, np.concatenate(rest) if rest else "zero_denominator"
    if unit == IN_HOUSE:
        return IN_HOUSE, "is_reference"
    if ("sourcing", (IN_HOUSE, period)) in hidden:
        return IN_HOUSE, "small_cell"
    rows = mature["sourcing"].get((IN_HOUSE, period))
    return IN_HOUSE, rows if rows is not None and len(rows) else "zero_denominator"


def _compared(judged: Cases, own: Positions, others: Positions | str) -> dict[str, Any]:
    if isinstance(others, str):
        return {"verdict": "reference" if others == "is_reference" else "refused", "comparison_refusal": others}
    rows = np.concatenate((own, others))
    is_other = np.repeat([0, 1], [len(own), len(others)])
    found = standardise(judged.left[rows], is_other, judged.stratum[rows], judged.party[rows])
    one, other = found.groups
    facts: dict[str, Any] = {
        "reference_n": other.n,
        "dropped_share": 1 - one.n_used / one.n,
        "reference_dropped_share": 1 - other.n_used / other.n,
    }
    difference = found.difference(0, 1)
    if difference is None or one.n_used < (1 - MAX_DROPPED_SHARE) * one.n:
        return {**facts, "comparison_refusal": NO_OVERLAP}
    verdict = "better" if difference.high < 0 else "worse" if difference.low > 0 else "no_difference_shown"
    return {
        **facts,
        "standardised_share": one.value,
        "standardised_ci_low": one.low,
        "standardised_ci_high": one.high,
        "reference_share": other.value,
        "difference": difference.value,
        "difference_ci_low": difference.low,
        "difference_ci_high": difference.high,
        "verdict": verdict,
    }
