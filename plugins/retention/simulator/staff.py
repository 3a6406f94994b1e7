"""Agents, their teams and who moves between them."""

import numpy as np

from retention.simulator import texts
from retention.simulator.codes import NA, TEAM_VENDOR, TEAMS, Array, Ints
from retention.simulator.parameters import DAY
from retention.simulator.state import Stream, World

CHANGE_DAY_OF_MONTH = 12
# The first two agents are machines.
AUTO_REPLY_BOT, IVR_BOT = 0, 1
_SIZES = (0.22, 0.14, 0.10, 0.08, 0.06, 0.04, 0.15, 0.11, 0.10)


def hire_first(world: World) -> None:
    """The bots and the teams on day 0."""
    rng = world.rng(Stream.STAFF)
    world.agents.append(2, kind=1, name=rng.integers(0, texts.NAMES, 2), hired_at=-900 * DAY)
    total = max(30, world.subscribers // 300)
    team = np.repeat(np.arange(len(TEAMS)), [max(2, round(total * share)) for share in _SIZES])
    hired = -(rng.integers(30, 900, len(team)) * DAY)
    _hire(world, rng, team, hired)


def change(world: World) -> None:
    """Once a month a few agents leave (and are replaced) and a few move to another team, in-house or a vendor's."""
    if world.day % 30 != CHANGE_DAY_OF_MONTH:
        return
    rng = world.rng(Stream.STAFF)
    agents = world.agents
    working = np.flatnonzero((agents["left_at"] == NA) & (agents["kind"] == 0))
    draws = rng.random(len(working))
    at = world.start + 9 * 3600
    leavers = working[draws < 0.02]
    # A team is never left empty: its replacements start at the same instant.
    world.memberships["valid_to"][agents["membership"][leavers]] = at
    agents["left_at"][leavers] = at
    _hire(world, rng, agents["team"][leavers].astype(np.int64), np.full(len(leavers), at))
    movers = working[(draws >= 0.02) & (draws < 0.04)]
    # At most one of a team, and never from a team of two.
    movers = movers[np.unique(agents["team"][movers], return_index=True)[1]]
    movers = movers[_sizes(world)[agents["team"][movers]] > 2]
    world.memberships["valid_to"][agents["membership"][movers]] = at
    target = rng.choice([0, 1, 2, 6, 7, 8], len(movers))
    _join(world, movers, target, np.full(len(movers), at))


def _hire(world: World, rng: np.random.Generator, team: Array, at: Array) -> None:
    role = np.array([role for *_, role in TEAMS])[team]
    agents = world.agents.append(len(team), role=role, name=rng.integers(0, texts.NAMES, len(team)), hired_at=at)
    _join(world, agents, team, at)


def _join(world: World, agents: Ints, team: Array, at: Array) -> None:
    world.agents["team"][agents] = team
    world.agents["membership"][agents] = world.memberships.append(len(agents), agent=agents, team=team, valid_from=at)


def _sizes(world: World) -> Array:
    team = world.agents["team"][(world.agents["left_at"] == NA) & (world.agents["kind"] == 0)]
    return np.bincount(team, minlength=len(TEAMS))


def someone(world: World, rng: np.random.Generator, team: Array) -> Ints:
    """An agent who works in the team now, for each element."""
    agents = world.agents
    working = np.flatnonzero((agents["left_at"] == NA) & (agents["kind"] == 0))
    ordered = working[np.argsort(agents["team"][working], kind="stable")]
    sizes = _sizes(world)
    first = np.cumsum(sizes) - sizes
    chosen: Ints = ordered[first[team] + (rng.random(len(team)) * sizes[team]).astype(np.int64)]
    return chosen


def vendor(team: Array) -> Array:
    """The vendor of a team, -1 in-house."""
    return np.asarray(TEAM_VENDOR[team])
