"""Revenue of the day, kept as one row per subscription and calendar month."""

import numpy as np

from retention.simulator.codes import ACTIVE, NA, START_DATE, Ints
from retention.simulator.frame import Frame
from retention.simulator.state import PRESENT, Stream, World


def month_start(day: int) -> int:
    """Day number of the first day of the month that `day` is in."""
    first = (START_DATE + day).astype("datetime64[M]").astype("datetime64[D]")
    return int((first - START_DATE).astype(int))


def step(world: World) -> None:
    """Charged usage of those who are there; on the first of a month the counters begin anew."""
    subs = world.subs
    if month_start(world.day) == world.day:
        _reset(subs)
    rng = world.rng(Stream.USAGE)
    draws = rng.random(len(subs))
    spends = np.flatnonzero(
        (subs["presence"] == PRESENT)
        & (subs["status"] == ACTIVE)
        & (subs["activated_at"] < world.start)
        & ((draws < subs["rate"]) | (subs["must_spend"] == 1))
        # Whoever came back or was let in again today begins tomorrow.
        & (subs["updated_at"] < world.start + 1)
    )
    at = world.local_time(rng, subs["region"][spends], 7.5, 22.5)
    revenue = (subs["spend"][spends] * rng.gamma(2.0, 0.5, len(spends))).astype(np.int64) + 100
    margin = (revenue * rng.normal(0.45, 0.2, len(spends))).astype(np.int64)
    subs["first_at"][spends] = np.where(subs["first_at"][spends] == NA, at, subs["first_at"][spends])
    subs["last_at"][spends] = at
    subs["last_revenue_at"][spends] = at
    subs["revenue"][spends] += revenue
    subs["margin"][spends] += margin
    subs["usage_at"][spends] = at + rng.integers(60, 1200, len(spends))
    subs["must_spend"][spends] = 0


def _reset(subs: Frame) -> None:
    for name in ("first_at", "last_at", "usage_at"):
        subs[name][:] = NA
    subs["revenue"][:] = 0
    subs["margin"][:] = 0


def rows(world: World, day: int, since: int) -> Ints:
    """crm.usage_months of the month of `day`, of the subscriptions with revenue at or after `since` (seconds)."""
    subs = world.subs
    # NA is far below any instant.
    chosen = np.flatnonzero(subs["usage_at"] >= max(since, NA + 1))
    columns = [subs[name][chosen] for name in ("first_at", "last_at", "revenue", "margin", "usage_at")]
    return np.stack([chosen, np.full(len(chosen), month_start(day)), *columns]).astype(np.int64)
