"""Repeat rate, first-contact resolution, CSAT and NPS of teams and partners on the same mix of cases.

The crude rates are in retention_metrics under the metric's own name; here easier cases are no merit. Each comparison is
of two: all of them together share hardly any kind of case, and one niche partner would drop what the others have in
common. A partner is put on the mix of itself and in-house, and `in_house beside <partner>` is what in-house teams make
of it; a team on that of itself and all other teams, which are `not <team>`. In-house has no rate of its own here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retention.outcomes.cells import Positions, maturity, split_by, suppressed_units
from retention.outcomes.metrics import MetricRow
from retention.outcomes.standardise import NO_OVERLAP, SHARES, Floats, Standardised, standardise
from retention.outcomes.suppression import ALL
from retention.outcomes.surveys import ANSWER_DAYS
from retention.outcomes.unit_cells import IN_HOUSE, MAX_DROPPED_SHARE, UNKNOWN

METRICS = (
    "repeat_contact_rate_standardised",
    "first_contact_resolution_standardised",
    "csat_standardised",
    "transactional_nps_standardised",
)
REPEAT_DAYS = 30
NET = (-1.0, 1.0)
#: What decides who gets a case: the combinations of these columns are the strata.
OF_CONTACTS = ("level", "segment", "topic")
OF_SURVEYS = ("level", "segment", "product")
BREAKDOWNS = ("sourcing", "vendor", "team")


@dataclass(frozen=True)
class _Cases:
    """What is counted, as arrays (n,)."""

    value: Floats
    stratum: Positions
    party: Positions
    bounds: tuple[float, float]


def standardised_metrics(contacts: pd.DataFrame, surveys: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Every metric of METRICS by sourcing, vendor and team. Columns: frames.CONTACT_COLUMNS and
    survey_inputs.SURVEY_COLUMNS. In a row the denominator is the member's rows, and n those in overlapping strata; both
    rows of a comparison are refused when the member lost more than half of its rows or either has hardly any left.
    """
    has_repeat = contacts["has_repeat_30d"].to_numpy()
    is_elapsed = contacts["is_window_30d_elapsed"].to_numpy()
    is_first = contacts["is_first_contact"].to_numpy()
    for metric, values, is_chosen in (
        ("repeat_contact_rate", has_repeat, np.ones(len(contacts), dtype=bool)),
        ("first_contact_resolution", ~has_repeat, is_first),
    ):
        frame = contacts.assign(value=values, is_mature=is_elapsed, is_counted=is_elapsed).loc[is_chosen]
        yield from _compared(metric, REPEAT_DAYS, frame, OF_CONTACTS, SHARES, min_cell_n)
    for metric, bounds in (("csat", SHARES), ("transactional_nps", NET)):
        frame = surveys.loc[surveys["kind"] == metric]
        answered = frame["is_elapsed"] & frame["opinion"].notna()
        frame = frame.assign(value=frame["opinion"].fillna(0.0), is_mature=frame["is_elapsed"], is_counted=answered)
        yield from _compared(metric, ANSWER_DAYS, frame, OF_SURVEYS, bounds, min_cell_n)


def _compared(
    metric: str,
    days: int,
    frame: pd.DataFrame,
    strata: tuple[str, ...],
    bounds: tuple[float, float],
    min_cell_n: int,
) -> Iterator[MetricRow]:
    is_mature = frame["is_mature"].to_numpy()
    counted = frame.loc[frame["is_counted"].to_numpy()]
    stratum = np.asarray(counted.groupby(list(strata), observed=True, sort=False).ngroup(), dtype=np.int64)
    party = pd.factorize(counted["party"])[0]
    cases = _Cases(counted["value"].to_numpy(dtype=np.float64), stratum, party, bounds)
    # The same as of the crude rate, which this nearly is where the mixes are alike.
    hidden_units = suppressed_units(frame, frame["is_counted"].to_numpy(), min_cell_n)
    for breakdown in BREAKDOWNS:
        of_all = {name: rows for (name, _), rows in split_by(frame[breakdown]).items()}
        # Who is unknown is compared with nobody: there may be anything among them.
        cells = {cell: rows for cell, rows in split_by(counted[breakdown]).items() if cell[0] not in (UNKNOWN, ALL)}
        hidden = {name for name, _ in hidden_units[breakdown]}
        shown = {name: rows for (name, _), rows in cells.items() if name not in hidden}
        for name in sorted(of_all.keys() - {UNKNOWN, ALL}):
            status = maturity(is_mature[of_all[name]])
            n = len(cells.get((name, ALL), ()))
            refusal: str | None = "immature" if status == "immature" else "zero_denominator"
            pair: dict[str, Standardised | None] = {name: None}
            if n and name in hidden:
                refusal = "small_cell"
            elif n and breakdown != "team" and name == IN_HOUSE:
                # The reference: its rate depends on whose mix it is put on.
                refusal = "not_estimated"
            elif n:
                other, rows = _others(breakdown, name, shown)
                one, beside = _pair(cases, shown[name], rows)
                pair = {name: one} if not len(rows) else {name: one, other: beside}
                refusal = one.refusal(min_cell_n, MAX_DROPPED_SHARE) or beside.refusal(min_cell_n, 1.0)
            for member, group in pair.items():
                yield _row(f"{metric}_standardised", days, status, breakdown, member, group, n, refusal)


def _others(breakdown: str, name: str, shown: dict[str, Positions]) -> tuple[str, Positions]:
    """What a member is compared with: its name in the table, and its rows. Who is hidden is compared with nobody."""
    nobody = np.empty(0, dtype=np.int64)
    if breakdown != "team":
        return f"{IN_HOUSE} beside {name}", shown.get(IN_HOUSE, nobody)
    return f"not {name}", np.concatenate([nobody, *(rows for other, rows in shown.items() if other != name)])


def _pair(cases: _Cases, own: Positions, others: Positions) -> tuple[Standardised, Standardised]:
    """A member and what it is compared with, on their common mix."""
    # Of the others only those in the member's strata can matter: a team has few of them.
    has_own = np.zeros(int(cases.stratum.max()) + 1, dtype=bool)
    has_own[cases.stratum[own]] = True
    like = others[has_own[cases.stratum[others]]]
    if not len(like):
        nothing = Standardised(len(own), 0, float(cases.value[own].mean()), None, None, None, None, NO_OVERLAP)
        return nothing, replace(nothing, n=len(others))
    rows = np.concatenate((own, like))
    is_other = np.repeat([0, 1], [len(own), len(like)])
    one, other = standardise(cases.value[rows], is_other, cases.stratum[rows], cases.party[rows], cases.bounds).groups
    return one, replace(other, n=len(others))


def _row(
    metric: str,
    days: int,
    status: str,
    breakdown: str,
    member: str,
    group: Standardised | None,
    n: int,
    refusal: str | None,
) -> MetricRow:
    value, low, high, n_used = None, None, None, 0
    if group is not None:
        n, n_used = group.n, group.n_used
        if refusal is None:
            value, low, high = group.value, group.low, group.high
    estimate = (value, low, high, n_used, status, "direct_standardisation", refusal)
    return MetricRow(metric, ALL, ALL, days, None, n, *estimate, breakdown, member)
