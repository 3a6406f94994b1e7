"""What retention work caused: not estimated yet, and refused by name.

An observed share is not an effect. Until there is a matched baseline, a randomised hold-out or a pilot, these metrics
are rows without a value, so that nobody takes an observed number for one of them.
"""

from collections.abc import Iterator

from retention.outcomes.estimates import HORIZONS_DAYS
from retention.outcomes.metrics import MetricRow
from retention.outcomes.suppression import ALL

#: Why each has no value.
METRICS = {
    "attributable_churn": "not_estimated",
    "incremental_saves": "no_holdout",
    "pilot_effect": "not_estimated",
    "revenue_kept": "no_holdout",
}


def not_estimated() -> Iterator[MetricRow]:
    """A row of each metric and horizon, n = 0, with its reason."""
    for metric, reason in METRICS.items():
        for days in HORIZONS_DAYS:
            yield MetricRow(metric, ALL, ALL, days, None, 0, None, None, None, 0, "immature", "none", reason)
