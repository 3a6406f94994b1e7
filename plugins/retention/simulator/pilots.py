"""Two experiments: a loyalty package that works and an apology script that does not."""

import numpy as np

from retention.simulator import churn
from retention.simulator.codes import Ints
from retention.simulator.parameters import DAY
from retention.simulator.render import PARTY_UNIT
from retention.simulator.state import Stream, World

LOYALTY, SCRIPT = range(2)


def step(world: World) -> None:
    """Registers the pilots on their days, draws the arms when units become eligible."""
    parameters = world.parameters.pilots
    rng = world.rng(Stream.PILOTS)
    if world.day == parameters.loyalty_registered_day:
        last = parameters.loyalty_day + parameters.loyalty_days
        planned = int(world.subscribers * parameters.loyalty_share * 0.9)
        _register(world, LOYALTY, 0, 180, planned, parameters.loyalty_day, last)
    if world.day == parameters.script_registered_day:
        planned = max(1, world.subscribers // 10)
        _register(world, SCRIPT, 1, 90, planned, parameters.script_from_day, parameters.script_to_day)
    if world.day == parameters.loyalty_day:
        base = churn.stable(world)
        units = base[rng.random(len(base)) < parameters.loyalty_share]
        arm = rng.integers(0, 2, len(units))
        world.subs["loyalty_arm"][units] = arm
        _assign(world, LOYALTY, units, arm, np.full(len(units), world.start + 3600))


def assign_complainers(world: World, subs: Ints, at: Ints) -> None:
    """Parties that complain (at the instants `at`) for the first time in the pilot's period get their arm at once."""
    parameters = world.parameters.pilots
    if not parameters.script_from_day <= world.day < parameters.script_to_day:
        return
    rng = world.rng(Stream.COMPLAINERS)
    parties = world.parties
    party, first = np.unique(world.subs["party"][subs], return_index=True)
    is_new = parties["script_arm"][party] < 0
    party, first = party[is_new].astype(np.int64), first[is_new]
    arm = rng.integers(0, 2, len(party))
    parties["script_arm"][party] = arm
    _assign(world, SCRIPT, party + PARTY_UNIT, arm, at[first] + 2)


def _register(world: World, pilot: int, unit: int, horizon: int, planned: int, first: int, last: int) -> None:
    at = np.array([world.start + 12 * 3600])
    world.outbox.add(
        "pilots", at, world.day,
        pilot_id=pilot, name=pilot, unit_kind=unit, metric=pilot, horizon_days=horizon, planned_n=planned,
        treatment_share=50, registered_at=at, starts_at=first * DAY, ends_at=last * DAY,
    )  # fmt: skip


def _assign(world: World, pilot: int, units: Ints, arm: Ints, at: Ints) -> None:
    world.outbox.add(
        "pilot_assignments", at + 3, world.day,
        assignment_id=world.ids("assignment", len(units)), pilot_id=pilot, unit_id=units, arm=arm, assigned_at=at,
        recorded_at=at + 3,
    )  # fmt: skip
