"""A queue with agents who come and go by the hour: who waits how long when more customers come than came.

First come, first served among the sensitive, then among the others; an agent finishes the contact in hand before
leaving. Pure functions over arrays; no clock, no database. What is assumed is listed in docs/coverage.md.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SECONDS_PER_HOUR = 3600
HOURS_PER_WEEK = 168

Seconds = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """Contacts in order of arrival. at_s: seconds since the week began; segment: codes; work_s: an agent's seconds."""

    at_s: Seconds
    segment: npt.NDArray[np.int8]
    is_sensitive: npt.NDArray[np.bool_]
    work_s: Seconds


def serve(at_s: Seconds, is_urgent: npt.NDArray[np.bool_], work_s: Seconds, agents: Counts) -> Seconds:
    """When each contact is taken up, in seconds; NaN for those still waiting at the end.

    at_s, is_urgent, work_s: (n,), at_s ascending and not negative. agents: (hours,), how many are there in each hour;
    the end is the end of the last hour. An event-driven simulation, O(n log agents). Raises ValueError on arrivals out
    of order, before 0 or after the end.
    """
    end = len(agents) * SECONDS_PER_HOUR
    if len(at_s) and (at_s[0] < 0 or at_s[-1] >= end or (np.diff(at_s) < 0).any()):
        raise ValueError(f"serve: arrivals must ascend within [0, {end}) seconds")
    arrives, urgent, work, present = at_s.tolist(), is_urgent.tolist(), work_s.tolist(), agents.tolist()
    arrives.append(math.inf)
    taken = [math.nan] * len(work)
    first: deque[int] = deque()
    then: deque[int] = deque()
    done: list[float] = []
    hour = i = 0
    capacity = present[0] if present else 0
    next_hour: float = SECONDS_PER_HOUR
    while True:
        arrival = arrives[i]
        at = done[0] if done else math.inf
        # At one instant who is done goes first, then the shift changes, then the next customer comes.
        if at <= arrival and at <= next_hour:
            if at >= end:
                break
            heapq.heappop(done)
        elif next_hour <= arrival:
            at = next_hour
            hour += 1
            if hour == len(present):
                break
            capacity = present[hour]
            next_hour += SECONDS_PER_HOUR
        else:
            at = arrival
            (first if urgent[i] else then).append(i)
            i += 1
        while (first or then) and len(done) < capacity:
            j = (first or then).popleft()
            taken[j] = at
            heapq.heappush(done, at + work[j])
    return np.array(taken, dtype=np.float64)


def multiplied(counts: Counts, factor: npt.NDArray[np.float64], rng: np.random.Generator) -> Counts:
    """Counts times a factor that broadcasts; the fraction of a contact comes or not by chance."""
    wanted = counts * factor
    whole = np.floor(wanted)
    return (whole + (rng.random(wanted.shape) < wanted - whole)).astype(np.int64)


def arrivals_of(counts: Counts, handling_s: Seconds, work_factor: float, rng: np.random.Generator) -> Arrivals:
    """Contacts from counts by hour, segment and sensitivity (hours, segments, 2), at random instants of their hours.

    handling_s: ascending quantiles, evenly spaced from 0 to 1, of the seconds that handling a contact takes; each
    contact draws from them by linear interpolation, times work_factor.
    """
    hours, segments, _ = counts.shape
    codes = np.repeat(np.arange(counts.size), counts.ravel())
    at_s = (codes // (segments * 2) + rng.random(len(codes))) * SECONDS_PER_HOUR
    # Rounding may reach the next hour, and the last hour has none.
    at_s = np.minimum(at_s, np.nextafter(hours * SECONDS_PER_HOUR, 0))
    order = np.argsort(at_s, kind="stable")
    codes = codes[order]
    grid = np.linspace(0.0, 1.0, len(handling_s))
    work_s = np.interp(rng.random(len(codes)), grid, handling_s) * work_factor
    return Arrivals(at_s[order], ((codes // 2) % segments).astype(np.int8), (codes % 2).astype(bool), work_s)


def peak_hours_of(weekly: Seconds, hours: int) -> slice:
    """The stretch of that many hours of the week with the most arrivals; weekly: (168,)."""
    sums = np.convolve(weekly, np.ones(hours), mode="valid")
    start = int(np.argmax(sums))
    return slice(start, start + hours)


def observed_peak(counts: Counts, incident_hours: Counts, hours: int, min_expected: float) -> float:
    """The greatest ratio of arrivals in the hours after an incident began to those in the same hours of other weeks.

    counts: (weeks, 168). incident_hours: positions in counts.ravel(). Where fewer than min_expected arrivals are usual
    nothing is measured. 0 when nothing was.
    """
    flat = counts.ravel()
    weeks = len(counts)
    greatest = 0.0
    for start in incident_hours.tolist():
        positions = np.arange(start, min(start + hours, len(flat)))
        seen = int(flat[positions].sum())
        others = sum(int(counts[:, p % HOURS_PER_WEEK].sum()) - int(flat[p]) for p in positions)
        usual = others / (weeks - 1) if weeks > 1 else 0.0
        if usual >= min_expected:
            greatest = max(greatest, seen / usual)
    return greatest


def greatest_backlog(at_s: Seconds, taken_s: Seconds, from_hour: Counts) -> Counts:
    """The most contacts that waited at once within each hour: (hours,); from_hour: (hours,) hour numbers 0, 1, ...

    at_s ascending; taken_s as `serve` gives it.
    """
    left = np.sort(taken_s[~np.isnan(taken_s)])
    bounds = from_hour * float(SECONDS_PER_HOUR)
    # Just after each arrival, those who were taken up at that instant have gone.
    level = np.arange(1, len(at_s) + 1) - np.searchsorted(left, at_s, side="right")
    carried = np.searchsorted(at_s, bounds, side="left") - np.searchsorted(left, bounds, side="left")
    most = np.asarray(carried, dtype=np.int64)
    hour = (at_s // SECONDS_PER_HOUR).astype(np.int64)
    np.maximum.at(most, hour, level)
    return most
