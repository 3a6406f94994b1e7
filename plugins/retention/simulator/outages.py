"""Network incidents: they hit part of a region, and those hit complain far more on that day and the next."""

import numpy as np

from retention.simulator import desk, staff
from retention.simulator.codes import BOT, INCIDENT_KINDS, NA, OUTBOUND, REGIONS, SMS, TOPIC, Ints
from retention.simulator.parameters import DAY
from retention.simulator.state import PRESENT, Stream, World

REOPENED_SHARE = 0.10


def happen(world: World) -> None:
    """The day's incidents. An incident row is written when it starts and again when the network is restored."""
    rng = world.rng(Stream.OUTAGES)
    hit = np.flatnonzero(rng.random(len(REGIONS)) < world.parameters.incidents_per_region_and_year / 365)
    if len(hit) == 0:
        return
    starts = world.start + rng.integers(1 * 3600, 20 * 3600, len(hit))
    ends = starts + (rng.lognormal(1.0, 0.8, len(hit)).clip(0.3, 60) * 3600).astype(np.int64)
    ids = world.ids("incident", len(hit))
    kind = rng.integers(0, len(INCIDENT_KINDS), len(hit))
    _write(world, rng, ids, kind, hit, starts, ends, np.full(len(hit), NA))
    for region, incident, start, end in zip(hit.tolist(), ids.tolist(), starts.tolist(), ends.tolist(), strict=True):
        _impact(world, rng, region, incident, start, end)
    # It fails again hours after it was called restored: a new incident that names the old one.
    again = np.flatnonzero(rng.random(len(hit)) < REOPENED_SHARE)
    if len(again):
        restarts = ends[again] + rng.integers(1800, 12 * 3600, len(again))
        reends = restarts + rng.integers(1800, 6 * 3600, len(again))
        new = world.ids("incident", len(again))
        _write(world, rng, new, kind[again], hit[again], restarts, reends, ids[again])
        for region, incident, start, end in zip(
            hit[again].tolist(), new.tolist(), restarts.tolist(), reends.tolist(), strict=True
        ):
            _impact(world, rng, region, incident, start, end)


def _write(world: World, rng: np.random.Generator, ids: Ints, kind: Ints, region: Ints, starts: Ints, ends: Ints,
           earlier: Ints) -> None:  # fmt: skip
    for written, restored in (
        (world.written(rng, starts, may_be_late=False), np.full(len(ids), NA)),
        (world.written(rng, ends, may_be_late=False) + 3 * 3600, ends),
    ):
        world.outbox.add(
            "incidents", written, world.day,
            incident_id=ids, kind=kind, region_id=region, reopened_from_incident_id=earlier, started_at=starts,
            restored_at=restored, updated_at=written,
        )  # fmt: skip


def _impact(world: World, rng: np.random.Generator, region: int, incident: int, start: int, end: int) -> None:
    """Whose line was down: computed by the network after the restoration."""
    subs = world.subs
    there = np.flatnonzero(
        (subs["region"] == region) & (subs["presence"] == PRESENT) & (subs["activated_at"] < world.start)
    )
    hit = there[rng.random(len(there)) < rng.uniform(0.05, 0.25)]
    count = len(hit)
    subs["incident_until"][hit] = (start // DAY + 2) * DAY
    subs["incident_topic"][hit] = np.where(rng.random(count) < 0.5, TOPIC["network_coverage"], TOPIC["mobile_internet"])
    subs["restored_at"][hit] = end
    starts = start + rng.integers(0, max(1, (end - start) // 3), count)
    ends = end - rng.integers(0, max(1, (end - start) // 3), count)
    written = np.full(count, end + 4 * 3600) + rng.integers(0, 600, count)
    world.outbox.add(
        "incident_impacts", written, world.day,
        impact_id=world.ids("impact", count), incident_id=incident, subscription_id=hit, started_at=starts,
        ended_at=ends, updated_at=written,
    )  # fmt: skip


def inform(world: World, cases: Ints) -> None:
    """Tell those who complained of an incident that the network is restored: most within the hour, some never."""
    rng = world.rng(Stream.NOTICES)
    columns, subs = world.cases, world.subs
    told = cases[rng.random(len(cases)) < world.parameters.complaints.informed_share]
    sub = columns["sub"][told].astype(np.int64)
    at = np.maximum(subs["restored_at"][sub], columns["started_at"][told]) + rng.exponential(3000, len(told)).astype(
        np.int64
    )
    desk.contact(
        world, rng, at, sub, np.full(len(told), SMS), ticket=columns["ticket"][told].astype(np.int64),
        direction=OUTBOUND, author=BOT, agent=np.full(len(told), staff.AUTO_REPLY_BOT), topic=columns["topic"][told],
        seconds=np.zeros(len(told), np.int64),
    )  # fmt: skip
