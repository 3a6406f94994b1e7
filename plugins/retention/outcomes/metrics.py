"""Retention metrics in the long format of DEFINITIONS 5, from frames of episodes and contacts.

A value never stands without its n and interval. Where there is none, `refusal_reason` says why: `zero_denominator`,
`immature` (nobody is old enough to judge), `small_cell` (too few to publish, or the complement of such a cell).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.outcomes.cells import (
    NO_BREAKDOWN,
    SECONDS_PER_DAY,
    Flags,
    Positions,
    maturity,
    split,
    split_by,
    split_by_segment,
    suppressed,
    suppressed_units,
    tables,
)
from retention.outcomes.estimates import (
    HORIZONS_DAYS,
    VOLUNTARY,
    SurvivalRow,
    estimate_cells,
    follow_up,
    in_order,
)
from retention.outcomes.intervals import clustered_wilson
from retention.outcomes.suppression import ALL, Cell

REPEAT_WINDOWS_DAYS = (7, 30)
#: A subscriber who left and is back counts as restored when the return comes within 180 days of leaving and there is
#: revenue 30 to 60 days after it (DEFINITIONS 5.2); so the fate of a leaver is known 240 days on.
RETURN_WITHIN_DAYS, REVENUE_UNTIL_DAYS = 180, 60
#: By whom the case was handled, beside level x segment: restored subscribers are too few for finer breakdowns.
RESTORED_BREAKDOWNS = ("vendor", "sourcing")

#: Metrics read off the survival estimates: name by (variant, estimator, cause).
SURVIVAL_METRICS = {
    ("left_any", "aalen_johansen", "voluntary"): "share_left_any",
    ("left_by_order", "aalen_johansen", "voluntary"): "share_left_by_order",
    ("left_any", "kaplan_meier", "any"): "survival",
}
METRICS = (
    *SURVIVAL_METRICS.values(),
    "repeat_contact_rate",
    "first_contact_resolution",
    "saved_3a",
    "saved_3b",
    "won_back",
    "reactivated",
)


@dataclass(frozen=True)
class MetricRow:
    """One row of outcomes.retention_metrics. `value` is NULL exactly when there is a refusal, `numerator` also
    where nothing was counted as such (differences, standardised rates).

    The level x segment table has no breakdown; in a breakdown (topic, team, month...) `member` says which, and the
    total is the cell without a breakdown.
    """

    metric: str
    level: str
    segment: str
    horizon_days: int
    numerator: int | None
    denominator: int
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    maturity_status: str
    method: str
    refusal_reason: str | None
    breakdown: str = NO_BREAKDOWN
    member: str = ALL


def measure(
    episodes: pd.DataFrame, contacts: pd.DataFrame, estimates: Iterable[SurvivalRow], min_cell_n: int
) -> Iterator[MetricRow]:
    """Every metric of METRICS. Columns of the frames: frames.EPISODE_COLUMNS and frames.CONTACT_COLUMNS.

    min_cell_n: cells with fewer rows are suppressed together with their complements.
    """
    yield from survival_metrics(estimates)
    yield from left_by_breakdown(episodes, min_cell_n)
    yield from contact_metrics(contacts, min_cell_n)
    yield from saved_metrics(episodes, min_cell_n)
    yield from returned_metrics(episodes, min_cell_n)


def survival_metrics(estimates: Iterable[SurvivalRow], breakdown: str = NO_BREAKDOWN) -> Iterator[MetricRow]:
    """Share left and survival, as estimated. The numerator is what was seen, so it is less than value x n when some
    members are young; for survival it is the members seen to stay to the horizon.

    In a breakdown the estimates' level is the member.
    """
    for row in estimates:
        metric = SURVIVAL_METRICS.get((row.variant, row.estimator, row.cause))
        if metric is None:
            continue
        level, segment, member = place_of(breakdown, (row.level, row.segment))
        yield MetricRow(
            metric=metric,
            level=level,
            segment=segment,
            horizon_days=row.horizon_days,
            numerator=row.at_risk if metric == "survival" else row.events,
            denominator=row.n,
            value=row.value,
            ci_low=row.ci_low,
            ci_high=row.ci_high,
            n=row.n,
            maturity_status=row.maturity_status,
            method=row.estimator,
            refusal_reason=row.refusal_reason,
            breakdown=breakdown,
            member=member,
        )


def left_by_breakdown(episodes: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Share left, of either variant, by each breakdown."""
    estimator = (("aalen_johansen", "voluntary"),)
    for variant in ("left_any", "left_by_order"):
        ordered = in_order(episodes, variant)
        limit = ordered["followed_any_s" if variant == "left_any" else "followed_order_s"].to_numpy()
        hidden = suppressed_units(ordered, limit > 0, min_cell_n)
        for breakdown, cells in tables(ordered):
            if breakdown != NO_BREAKDOWN:
                found = estimate_cells(ordered, cells, variant, estimator, min_cell_n, hidden.get(breakdown))
                # The total is the cell without a breakdown; here it guards the small ones.
                yield from survival_metrics((row for row in found if row.level != ALL), breakdown)


def contact_metrics(contacts: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Repeat-contact rate at 7 and 30 days among contacts whose window has elapsed; first-contact resolution."""
    party = contacts["party"].to_numpy()
    is_first = contacts["is_first_contact"].to_numpy()
    elapsed = {days: contacts[f"is_window_{days}d_elapsed"].to_numpy() for days in REPEAT_WINDOWS_DAYS}
    hidden = {days: suppressed_units(contacts, elapsed[days], min_cell_n) for days in REPEAT_WINDOWS_DAYS}
    hidden_first = suppressed_units(contacts, elapsed[REPEAT_WINDOWS_DAYS[-1]] & is_first, min_cell_n)
    for breakdown, cells in tables(contacts):
        for days, is_elapsed in elapsed.items():
            has_repeat = contacts[f"has_repeat_{days}d"].to_numpy()
            flags = (is_elapsed, is_elapsed, party, min_cell_n, breakdown)
            yield from shares("repeat_contact_rate", days, cells, has_repeat, *flags, hidden[days].get(breakdown))
        first_cells = {cell: rows[is_first[rows]] for cell, rows in cells.items()}
        is_hidden = hidden_first.get(breakdown)
        yield from shares("first_contact_resolution", days, first_cells, ~has_repeat, *flags, is_hidden)


def saved_metrics(episodes: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Saved among those who meant to leave: still there at start + h, of the episodes old enough to judge.

    3a and the subscriber's own 3b apart (who gave an order is 3a, whatever else was said), by segment (the level is in
    the metric's name) and by RESTORED_BREAKDOWNS. Someone whom the operator cut off (debt, fraud, death) did not leave,
    but was not saved either. Observed, never incremental: most would have stayed in any case.
    """
    level = episodes["level"].to_numpy(dtype=object)
    party = episodes["party"].to_numpy()
    limit = episodes["followed_any_s"].to_numpy()
    duration, cause = follow_up(episodes, "left_any")
    own_words = episodes["is_own_words_3b"].to_numpy()
    for metric, chosen in (("saved_3a", level == "L3a"), ("saved_3b", (level == "L3b") & own_words)):
        split_cells = {breakdown: split_by(episodes[breakdown]) for breakdown in RESTORED_BREAKDOWNS}
        found = {b: {cell: rows[chosen[rows]] for cell, rows in cells.items()} for b, cells in split_cells.items()}
        tables_of_cells = {NO_BREAKDOWN: split_by_segment(episodes["segment"], chosen), **found}
        for days in HORIZONS_DAYS:
            horizon = days * SECONDS_PER_DAY
            has_ended = (cause > 0) & (duration < horizon)
            is_mature = limit >= horizon
            hidden = suppressed_units(episodes, chosen & is_mature, min_cell_n, RESTORED_BREAKDOWNS)
            flags = (~has_ended, is_mature, is_mature, party, min_cell_n)
            for breakdown, cells in tables_of_cells.items():
                yield from shares(metric, days, cells, *flags, breakdown, hidden.get(breakdown))


def returned_metrics(episodes: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Won back (left by order or port) and reactivated (left by inactivity), by when the first churn came: [0, h).

    Denominator: churns, each once, whose 180 days to return and 60 to earn have elapsed, both of orders and of usage as
    far as they are loaded. A churn that follows several index episodes belongs to the latest.
    """
    party = episodes["party"].to_numpy()
    duration, cause = follow_up(episodes, "left_any")
    by_order = episodes["is_order_churn"].to_numpy()
    limit = np.minimum(episodes["followed_order_s"].to_numpy(), episodes["followed_usage_s"].to_numpy())
    since_churn = episodes["return_s"].to_numpy()
    is_back = (since_churn < RETURN_WITHIN_DAYS * SECONDS_PER_DAY) & episodes["has_return_revenue"].to_numpy()
    fate_after = (RETURN_WITHIN_DAYS + REVENUE_UNTIL_DAYS) * SECONDS_PER_DAY
    is_own = _has_its_own_churn(episodes)
    found = {breakdown: split_by(episodes[breakdown]) for breakdown in RESTORED_BREAKDOWNS}
    tables_of_cells = {NO_BREAKDOWN: split(episodes["level"], episodes["segment"]), **found}
    for metric, is_kind in (("won_back", by_order), ("reactivated", ~by_order)):
        is_churn = (cause == VOLUNTARY) & is_kind & is_own
        is_judged = is_churn & (limit - duration >= fate_after)
        for days in HORIZONS_DAYS:
            horizon = days * SECONDS_PER_DAY
            is_counted = is_judged & (duration < horizon)
            # Nothing more can come of an episode when its horizon and the fate of a churn within it have passed.
            is_settled = limit >= horizon + fate_after
            is_settled |= is_counted | (is_churn & (duration >= horizon))
            hidden = suppressed_units(episodes, is_counted, min_cell_n, RESTORED_BREAKDOWNS)
            flags = (is_back, is_counted, is_settled, party, min_cell_n)
            for breakdown, cells in tables_of_cells.items():
                yield from shares(metric, days, cells, *flags, breakdown, hidden.get(breakdown))


def _has_its_own_churn(episodes: pd.DataFrame) -> Flags:
    """Flags, among a subscription's episodes that one churn follows, the one that started last.

    Whoever is gone cannot leave again: without a return before the churn after the next episode, both are the same.
    Their instants may differ, for who was silent at a complaint is counted as leaving a second after it.
    """
    columns = ["subscription", "started_s", "churn_s", "return_s"]
    churned = episodes.loc[episodes["churn_s"].notna(), columns].sort_values("started_s", kind="stable")
    # Milliseconds: the sum of float seconds is exact to less than a microsecond.
    churned_ms = ((churned["started_s"] + churned["churn_s"]) * 1000).round()
    returned_ms = ((churned["started_s"] + churned["churn_s"] + churned["return_s"]) * 1000).round()
    next_churned_ms = churned_ms.groupby(churned["subscription"]).shift(-1)
    is_own = next_churned_ms.isna() | (returned_ms <= next_churned_ms)
    flags = np.zeros(len(episodes), dtype=bool)
    flags[is_own.index[is_own]] = True
    return flags


def shares(
    metric: str,
    days: int,
    cells: dict[Cell, Positions],
    is_success: Flags,
    is_counted: Flags,
    is_mature: Flags,
    party: Positions,
    min_cell_n: int,
    breakdown: str = NO_BREAKDOWN,
    hidden: set[Cell] | None = None,
) -> Iterator[MetricRow]:
    """A share of rows for every cell: successes / counted, with the party-clustered Wilson interval.

    In a breakdown the total guards the small cells, and is published without a breakdown only. hidden: the cells not to
    be shown, where more than this table decides it (`suppressed_units`).
    """
    counted = {cell: rows[is_counted[rows]] for cell, rows in cells.items()}
    if hidden is None:
        hidden = suppressed(party, counted, min_cell_n)
    for cell, rows in counted.items():
        if breakdown != NO_BREAKDOWN and cell == (ALL, ALL):
            continue
        level, segment, member = place_of(breakdown, cell)
        n = len(rows)
        status = maturity(is_mature[cells[cell]])
        refusal = None
        if cell in hidden:
            refusal = "small_cell"
        elif not n:
            refusal = "immature" if status == "immature" else "zero_denominator"
        key, place = (metric, level, segment, days), (breakdown, member)
        if refusal is not None:
            yield MetricRow(*key, None, n, None, None, None, n, status, "share", refusal, *place)
            continue
        interval = clustered_wilson(is_success[rows], pd.factorize(party[rows])[0])
        assert interval is not None, "a cell with one party is suppressed"
        successes = int(is_success[rows].sum())
        low, high = interval.low, interval.high
        yield MetricRow(*key, successes, n, successes / n, low, high, n, status, "share", None, *place)


def place_of(breakdown: str, cell: Cell) -> tuple[str, str, str]:
    """Level, segment and member of a cell of a table."""
    return (*cell, ALL) if breakdown == NO_BREAKDOWN else (ALL, ALL, cell[0])
