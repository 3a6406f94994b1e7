"""Repeat rate, first-contact resolution, CSAT and NPS of teams and partners on the same mix of cases.

The crude rates are in retention_metrics under the metric's own name; here easier cases are no merit. Partners are put
on the pooled mix of all of them. Teams are specialists, and all of them together share no kind of case: each is put on
the mix of itself and all other teams, and `not <team>` is what the others make of the same mix.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes.cells import Flags, maturity, split_by, suppressed
from retention.outcomes.metrics import MetricRow
from retention.outcomes.standardise import SHARES, Standardised, standardise
from retention.outcomes.suppression import ALL
from retention.outcomes.surveys import ANSWER_DAYS

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
#: Compared with nobody: there may be anything among them.
UNKNOWN = "unknown"


def standardised_metrics(contacts: pd.DataFrame, surveys: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Every metric of METRICS by sourcing, vendor and team. Columns: frames.CONTACT_COLUMNS and
    survey_inputs.SURVEY_COLUMNS. In a row the denominator is the member's rows, and n those in overlapping strata.
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
    for breakdown in BREAKDOWNS:
        member = frame[breakdown].astype(str).to_numpy(dtype=object)
        is_known: Flags = member != UNKNOWN
        counted = frame.loc[is_known & frame["is_counted"].to_numpy()]
        cells = split_by(counted[breakdown])
        hidden = {name for name, _ in suppressed(counted["party"].to_numpy(), cells, min_cell_n)}
        found = _standardised(counted, breakdown, strata, bounds, hidden)
        for name in sorted(set(member[is_known])):
            status = maturity(frame["is_mature"].to_numpy()[member == name])
            n = len(cells.get((name, ALL), ()))
            refusal = "immature" if status == "immature" else "zero_denominator"
            if n:
                # Whoever is hidden is compared with nobody, and so is who has nobody to be compared with.
                refusal = "small_cell" if name in hidden else "no_overlap"
            for place, group in found.get(name, {name: None}).items():
                yield _row(f"{metric}_standardised", days, status, breakdown, place, group, n, refusal, min_cell_n)


def _standardised(
    counted: pd.DataFrame,
    breakdown: str,
    strata: tuple[str, ...],
    bounds: tuple[float, float],
    hidden: set[str],
) -> dict[str, dict[str, Standardised]]:
    """By member that is not hidden: its own place in the table, and for a team that of all others."""
    shown = counted.loc[~counted[breakdown].isin(hidden).to_numpy()]
    member = shown[breakdown].astype(str).to_numpy(dtype=object)
    names = sorted(set(member))
    if len(names) < 2:
        return {}
    values = shown["value"].to_numpy(dtype=np.float64)
    stratum = shown.groupby(list(strata), observed=True, sort=False).ngroup().to_numpy()
    party = shown["party"].to_numpy()

    def compare(group: npt.NDArray[np.int64]) -> tuple[Standardised, ...]:
        return standardise(values, group, stratum, party, bounds).groups

    if breakdown != "team":
        groups = compare(pd.Index(names).get_indexer(pd.Index(member)).astype(np.int64))
        return {name: {name: group} for name, group in zip(names, groups, strict=True)}
    return {
        name: dict(zip((name, f"not {name}"), compare((member != name).astype(np.int64)), strict=True))
        for name in names
    }


def _row(
    metric: str,
    days: int,
    status: str,
    breakdown: str,
    member: str,
    group: Standardised | None,
    n: int,
    refusal: str | None,
    min_cell_n: int,
) -> MetricRow:
    value, low, high, n_used = None, None, None, 0
    if group is not None:
        n, n_used, refusal = group.n, group.n_used, group.refusal_reason
        if refusal is None and n_used < min_cell_n:
            refusal = "too_few"
        if refusal is None:
            value, low, high = group.value, group.low, group.high
    estimate = (value, low, high, n_used, status, "direct_standardisation", refusal)
    return MetricRow(metric, ALL, ALL, days, None, n, *estimate, breakdown, member)
