"""Prepaid subscribers who fall silent: an early sign of leaving, how often it came true, and silence at a complaint.

Leaving by silence is known 90 days late (DEFINITIONS 4). `silent_30d` is known after 30: no revenue event in the 30
days after the level was reached. It is a proxy; `silent_30d_conversion` says how often it came true. Who was silent
when they complained had stopped before: they are counted as left, and reported apart.
"""

from collections.abc import Iterator

import pandas as pd

from retention.outcomes.cells import SECONDS_PER_DAY, split
from retention.outcomes.estimates import VOLUNTARY, estimate_cells, follow_up, in_order
from retention.outcomes.metrics import MetricRow, shares

PROXY_DAYS = 30
CONVERSION_DAYS = (90, 180)
#: Silence is known for what it is after so many days.
KNOWN_DAYS = 90
METRICS = ("silent_30d", "silent_30d_conversion", "silent_at_complaint", "share_left_any_not_silent")


def silence_metrics(episodes: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Every metric of METRICS by level x segment, of index episodes (frames.EPISODE_COLUMNS)."""
    cells = split(episodes["level"], episodes["segment"])
    party = episodes["party"].to_numpy()
    is_prepaid = (episodes["product"] == "prepaid").to_numpy()
    cells = {cell: rows[is_prepaid[rows]] for cell, rows in cells.items()}
    duration, cause = follow_up(episodes, "left_any")

    is_silent = episodes["is_silent_30d"].to_numpy()
    proxy = PROXY_DAYS * SECONDS_PER_DAY
    is_seen = episodes["followed_usage_s"].to_numpy() >= proxy
    # Whom the operator cut off earns nothing for another reason.
    is_open = ~(episodes["competing_s"].to_numpy() < proxy)
    yield from shares("silent_30d", PROXY_DAYS, cells, is_silent, is_seen & is_open, is_seen, party, min_cell_n)

    limit = episodes["followed_any_s"].to_numpy()
    silent = {cell: rows[(is_silent & is_seen & is_open)[rows]] for cell, rows in cells.items()}
    for days in CONVERSION_DAYS:
        horizon = days * SECONDS_PER_DAY
        has_left = (cause == VOLUNTARY) & (duration < horizon)
        is_mature = limit >= horizon
        yield from shares("silent_30d_conversion", days, silent, has_left, is_mature, is_mature, party, min_cell_n)

    was_silent = episodes["is_silent_at_complaint"].to_numpy()
    # Followed at all means 90 days ago: by then silence at the complaint has ended or is churn.
    is_known = limit > 0
    yield from shares("silent_at_complaint", KNOWN_DAYS, cells, was_silent, is_known, is_known, party, min_cell_n)
    yield from _left_of_the_others(episodes[~was_silent], min_cell_n)


def _left_of_the_others(others: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """share_left_any without those who were silent when they complained, both products."""
    ordered = in_order(others, "left_any")
    cells = split(ordered["level"], ordered["segment"])
    for row in estimate_cells(ordered, cells, "left_any", (("aalen_johansen", "voluntary"),), min_cell_n):
        yield MetricRow(
            metric="share_left_any_not_silent",
            level=row.level,
            segment=row.segment,
            horizon_days=row.horizon_days,
            numerator=row.events,
            denominator=row.n,
            value=row.value,
            ci_low=row.ci_low,
            ci_high=row.ci_high,
            n=row.n,
            maturity_status=row.maturity_status,
            method=row.estimator,
            refusal_reason=row.refusal_reason,
        )
