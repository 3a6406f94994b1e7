"""The stress replay: the weeks that were, with more customers, against the agents there are (outcomes.stress_replay).

What comes into Python are counts by hour, hours of presence and 101 quantiles, whatever the number of subscribers; the
contacts of a week are drawn from them (see stress).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retention.outcomes.intervals import Interval, wilson_of_clusters
from retention.outcomes.stress import (
    HOURS_PER_WEEK,
    SECONDS_PER_HOUR,
    Counts,
    Seconds,
    arrivals_of,
    greatest_backlog,
    multiplied,
    observed_peak,
    peak_hours_of,
    serve,
)

SEGMENTS = ("vip", "corporate", "mass", "unknown")
ALL = "all"
#: Hours of the local day in which the contact came, half-open.
BANDS = {"night": (0, 8), "morning": (8, 12), "afternoon": (12, 18), "evening": (18, 24)}
#: With fewer usual arrivals the ratio to them says nothing about an incident.
MIN_EXPECTED = 10.0


@dataclass(frozen=True)
class Scenario:
    """A row of the seed stress_scenarios."""

    scenario: str
    arrivals_factor: float
    peak_hours: int
    peak_factor: float
    random_seed: int


@dataclass(frozen=True)
class Observed:
    """What was seen. Hours of the week count from local midnight of the window's first day.

    counts: (weeks, 168, segments, 2) contacts by hour of arrival, segment and whether sensitive. judged, in_time:
    (168, segments) contacts that can be judged and those answered in time. agents: (168,). target_s: (segments,).
    handling_s: quantiles of the seconds of handling, empty when none is known. work_factor: contacts handled in either
    direction for each arrival, at least 1. incident_hours: hours since the first week began in which incidents began.
    """

    counts: Counts
    judged: Counts
    in_time: Counts
    agents: Counts
    target_s: Seconds
    handling_s: Seconds
    work_factor: float
    incident_hours: Counts

    @property
    def refusal(self) -> str | None:
        """Why nothing can be replayed, the first reason that holds; None when it can."""
        if len(self.counts) < 2:
            return "too_few_weeks"
        if not self.counts.any():
            return "zero_denominator"
        if not len(self.handling_s):
            return "no_handling_times"
        return None if self.agents.any() else "no_agents"


@dataclass(frozen=True)
class StressRow:
    """One row of outcomes.stress_replay. `in_time_share` is NULL exactly when there is a refusal."""

    scenario: str
    segment: str
    hour_band: str
    arrivals: int
    answered: int
    still_waiting: int
    n: int
    answered_in_time: int
    in_time_share: float | None
    ci_low: float | None
    ci_high: float | None
    wait_p50_seconds: float | None
    wait_p90_seconds: float | None
    max_backlog: int
    weeks: int
    peak_factor: float
    utilisation: float | None
    observed_n: int
    observed_in_time_share: float | None
    refusal_reason: str | None


@dataclass(frozen=True)
class _Week:
    """One simulated week, by contact; backlog: (segments and all, 168)."""

    segment: npt.NDArray[np.int8]
    hour: Counts
    wait_s: Seconds
    is_answered: npt.NDArray[np.bool_]
    backlog: Counts
    work_s: float


def replay(observed: Observed, scenarios: list[Scenario]) -> Iterator[StressRow]:
    """Every scenario x segment x band of hours, with the totals 'all'; the same arguments give the same rows."""
    refusal = observed.refusal
    for scenario in scenarios:
        peak = _peak_factor(observed, scenario)
        weeks = [] if refusal else [_live(observed, scenario, peak, number) for number in range(len(observed.counts))]
        offered = sum(week.work_s for week in weeks)
        present = float(observed.agents.sum()) * SECONDS_PER_HOUR * len(weeks)
        for segment in (ALL, *SEGMENTS):
            for band in (ALL, *BANDS):
                yield _summarise(
                    observed, scenario, weeks, segment, band, peak, offered / present if present else None, refusal
                )


def _peak_factor(observed: Observed, scenario: Scenario) -> float:
    if not scenario.peak_hours:
        return 1.0
    hourly = observed.counts.sum(axis=(2, 3))
    seen = observed_peak(hourly, observed.incident_hours, scenario.peak_hours, MIN_EXPECTED)
    return max(scenario.peak_factor, seen)


def _live(observed: Observed, scenario: Scenario, peak: float, number: int) -> _Week:
    """One observed week under a scenario. Scenarios share their random numbers as far as they go."""
    rng = np.random.default_rng([scenario.random_seed, number])
    factor = np.full((HOURS_PER_WEEK, 1, 1), scenario.arrivals_factor)
    if scenario.peak_hours:
        weekly = observed.counts.sum(axis=(0, 2, 3)).astype(np.float64)
        factor[peak_hours_of(weekly, scenario.peak_hours)] *= peak
    counts = multiplied(observed.counts[number], factor, rng)
    contacts = arrivals_of(counts, observed.handling_s, observed.work_factor, rng)
    taken = serve(contacts.at_s, contacts.is_sensitive, contacts.work_s, observed.agents)
    is_answered = ~np.isnan(taken)
    # Who still waits has waited this long at least.
    wait = np.where(is_answered, taken, HOURS_PER_WEEK * SECONDS_PER_HOUR) - contacts.at_s
    hours = np.arange(HOURS_PER_WEEK)
    backlog = [greatest_backlog(contacts.at_s, taken, hours)]
    for code in range(len(SEGMENTS)):
        chosen = contacts.segment == code
        backlog.append(greatest_backlog(contacts.at_s[chosen], taken[chosen], hours))
    hour = (contacts.at_s // SECONDS_PER_HOUR).astype(np.int64)
    return _Week(contacts.segment, hour, wait, is_answered, np.array(backlog), float(contacts.work_s.sum()))


def _summarise(
    observed: Observed,
    scenario: Scenario,
    weeks: list[_Week],
    segment: str,
    band: str,
    peak: float,
    utilisation: float | None,
    refusal: str | None,
) -> StressRow:
    low, high = (0, 24) if band == ALL else BANDS[band]
    of_day = np.arange(HOURS_PER_WEEK) % 24
    in_band = (low <= of_day) & (of_day < high)
    codes = np.arange(len(SEGMENTS)) if segment == ALL else np.array([SEGMENTS.index(segment)])
    waits, answered, judged_by_week, met_by_week, most = [], 0, [], [], 0
    for week in weeks:
        chosen = in_band[week.hour] & np.isin(week.segment, codes)
        wait, is_answered = week.wait_s[chosen], week.is_answered[chosen]
        is_met = wait <= observed.target_s[week.segment[chosen]]
        # Not taken up yet and not late yet: nothing can be said.
        is_judged = is_answered | ~is_met
        waits.append(wait)
        answered += int(is_answered.sum())
        judged_by_week.append(int(is_judged.sum()))
        met_by_week.append(int((is_answered & is_met).sum()))
        backlog = week.backlog[0 if segment == ALL else 1 + SEGMENTS.index(segment)]
        most = max(most, int(backlog[in_band].max()))
    pooled = np.concatenate(waits) if waits else np.empty(0)
    n, met = sum(judged_by_week), sum(met_by_week)
    interval: Interval | None = None
    if refusal is None:
        interval = wilson_of_clusters(np.array(met_by_week), np.array(judged_by_week))
        refusal = None if interval else "zero_denominator" if n == 0 else "too_few_weeks"
    seen_n = int(observed.judged[in_band][:, codes].sum())
    return StressRow(
        scenario=scenario.scenario,
        segment=segment,
        hour_band=band,
        arrivals=len(pooled),
        answered=answered,
        still_waiting=len(pooled) - answered,
        n=n,
        answered_in_time=met,
        in_time_share=met / n if interval else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        wait_p50_seconds=float(np.quantile(pooled, 0.5)) if len(pooled) else None,
        wait_p90_seconds=float(np.quantile(pooled, 0.9)) if len(pooled) else None,
        max_backlog=most,
        weeks=len(weeks),
        peak_factor=peak,
        utilisation=utilisation,
        observed_n=seen_n,
        observed_in_time_share=int(observed.in_time[in_band][:, codes].sum()) / seen_n if seen_n else None,
        refusal_reason=refusal,
    )
