"""Prepaid silence: the early sign, how often it came true, and who was silent already."""

import pytest
from test_outcomes_metrics import DAY, EPISODE, EPISODE_COLUMNS, frame

from retention.outcomes.metrics import MetricRow
from retention.outcomes.silence import METRICS, silence_metrics

PREPAID = {"product": "prepaid"}
SILENT = {**PREPAID, "is_silent_30d": True}


def measured(*episodes: dict[str, object], min_cell_n: int = 1) -> dict[tuple[str, int], MetricRow]:
    """Rows of all levels and segments by (metric, days)."""
    rows = silence_metrics(frame(EPISODE_COLUMNS, EPISODE, episodes), min_cell_n)
    return {(row.metric, row.horizon_days): row for row in rows if (row.level, row.segment) == ("all", "all")}


def counts(row: MetricRow) -> tuple[int | None, int]:
    return row.numerator, row.denominator


def test_silent_30d_is_of_prepaid_and_known_after_thirty_days_of_usage() -> None:
    young = {**SILENT, "followed_usage_s": 30 * DAY - 1}
    exactly = {**PREPAID, "followed_usage_s": 30 * DAY}
    row = measured(SILENT, PREPAID, exactly, young, {"is_silent_30d": True})["silent_30d", 30]
    assert (*counts(row), row.maturity_status) == (1, 3, "partly_mature")


def test_whom_the_operator_cut_off_within_thirty_days_is_no_sign_of_leaving() -> None:
    cut, later = {**SILENT, "competing_s": 29 * DAY}, {**SILENT, "competing_s": 30 * DAY}
    assert counts(measured(cut, later, PREPAID)["silent_30d", 30]) == (1, 2)
    assert counts(measured(cut, later, later)["silent_30d_conversion", 90]) == (0, 2)


def test_conversion_is_the_share_of_the_silent_that_left_among_those_old_enough() -> None:
    left = {**SILENT, "churn_s": DAY}
    later = {**SILENT, "churn_s": 100 * DAY}
    young = {**left, "followed_any_s": 80 * DAY}
    rows = measured(left, later, SILENT, young, {**PREPAID, "churn_s": DAY})
    assert counts(rows["silent_30d_conversion", 90]) == (1, 3)
    assert counts(rows["silent_30d_conversion", 180]) == (2, 3)
    assert rows["silent_30d_conversion", 90].maturity_status == "partly_mature"


def test_silent_at_the_complaint_is_reported_apart_and_share_left_with_and_without() -> None:
    already = {**SILENT, "churn_s": 1.0, "is_silent_at_complaint": True}
    unknown = {**PREPAID, "followed_any_s": -DAY}
    rows = measured(already, PREPAID, PREPAID, unknown, {"churn_s": 10 * DAY, "is_order_churn": True}, {})
    assert counts(rows["silent_at_complaint", 90]) == (1, 3)
    others = rows["share_left_any_not_silent", 30]
    assert (others.n, others.value) == (4, 0.25)


def test_small_cells_and_no_rows_are_refused() -> None:
    assert {row.refusal_reason for row in measured().values()} == {"zero_denominator"}
    assert measured(*[SILENT] * 5, min_cell_n=10)["silent_30d", 30].refusal_reason == "small_cell"
    assert {key[0] for key in measured(SILENT)} == set(METRICS)


@pytest.mark.parametrize("metric", METRICS)
def test_every_value_has_n_and_an_interval(metric: str) -> None:
    episodes = [SILENT, PREPAID, {}] * 5 + [{**SILENT, "churn_s": 40 * DAY}] * 4
    for (name, _), row in measured(*episodes).items():
        if name == metric:
            assert row.value is not None and row.ci_low is not None and row.ci_high is not None
            assert 0 <= row.ci_low <= row.value <= row.ci_high <= 1
            assert row.n > 0
