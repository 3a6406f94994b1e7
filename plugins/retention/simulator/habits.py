"""What desks do with a case beside handling it: hand it over, lose it, call it milder, stop its clock.

Every habit has draws of its own, so none of them moves who complains, who is treated or who leaves.
"""

import numpy as np

from retention.simulator import desk, staff, texts
from retention.simulator.codes import (
    CONTROL_GROUP,
    EMAIL,
    LEVEL_VALUE,
    NA,
    OPEN,
    OUTBOUND,
    OVERRIDE_REASONS,
    REGION_TEAM,
    RESOLVED,
    RETENTION,
    STEP,
    TOPIC,
    Array,
    Ints,
)
from retention.simulator.parameters import DAY
from retention.simulator.state import PRESENT, Stream, World

# Teams with a habit of their own (codes.TEAMS).
CLOSES_EARLY, OVERRIDES_LATE = 7, 8
FIRST_CONTACT_SECONDS = 2 * 3600


def take_over(world: World, cases: Ints, tickets: Ints, at: Ints, assigned: Ints) -> None:
    """New cases: threats go to who is responsible for them, who then makes the contact; some get lost or belittled."""
    rng = world.rng(Stream.HABITS)
    columns, habits = world.cases, world.parameters.habits
    draws = rng.random((4, len(cases)))
    delay = rng.integers(120, 2700, len(cases))
    team = columns["team"][cases].astype(np.int64)
    is_threat = (columns["text"][cases] == texts.THREAT) & (columns["handled"][cases] > 0)
    in_house = columns["vendor"][cases] < 0
    given = np.flatnonzero(is_threat & (draws[0] < np.where(in_house, *habits.handed_over_shares)))
    to_team = np.where(draws[1][given] < 0.65, RETENTION, CONTROL_GROUP)
    manager = staff.someone(world, rng, to_team)
    when = assigned[given] + delay[given]
    desk.ticket_event(world, rng, tickets[given], "escalation", when, agent=manager, team=to_team)
    sub = columns["sub"][cases[given]].astype(np.int64)
    desk.action(world, rng, tickets[given], sub, STEP["handover"], when, manager, to_team)
    # A vendor's own people go on calling.
    keeps = columns["vendor"][cases[given]] < 0
    columns["agent"][cases[given[keeps]]] = manager[keeps]
    columns["team"][cases[given[keeps]]] = to_team[keeps]
    dropped = draws[2][given] < habits.dropped_share
    line = REGION_TEAM[world.subs["region"][sub]]
    desk.ticket_event(
        world, rng, tickets[given[dropped]], "reassignment", when[dropped] + delay[given[dropped]], team=line[dropped]
    )
    _override(world, rng, tickets, at, assigned, is_threat, draws[3], team == OVERRIDES_LATE)
    _stop_the_clock(world, rng, tickets, at, (team == CLOSES_EARLY) & (columns["handled"][cases] > 1))


def _override(world: World, rng: np.random.Generator, tickets: Ints, at: Ints, assigned: Ints, is_threat: Array,
              draws: Array, is_late: Array) -> None:  # fmt: skip
    habits = world.parameters.habits
    share = np.where(is_late, habits.late_override_share, habits.override_share)
    chosen = np.flatnonzero(is_threat & (draws < share))
    count = len(chosen)
    before_breach = at[chosen] + FIRST_CONTACT_SECONDS - rng.integers(30, 300, count)
    when = np.where(is_late[chosen], before_breach, assigned[chosen] + rng.integers(1200, 3 * 3600, count))
    reason = rng.integers(0, len(OVERRIDE_REASONS), count)
    reason = np.where(rng.random(count) < habits.override_without_reason_share, NA, reason)
    level = np.full(count, LEVEL_VALUE + 1)
    desk.ticket_event(world, rng, tickets[chosen], "level_override", when, to_value=level, reason=reason)


def _stop_the_clock(world: World, rng: np.random.Generator, tickets: Ints, at: Ints, may: Array) -> None:
    """Called resolved just before the time is over, and open again soon after."""
    share = world.parameters.habits.closed_to_stop_the_clock_share
    chosen = np.flatnonzero(may & (rng.random(len(tickets)) < share))
    when = at[chosen] + FIRST_CONTACT_SECONDS - rng.integers(60, 600, len(chosen))
    desk.ticket_event(world, rng, tickets[chosen], "status", when, from_value=OPEN, to_value=RESOLVED)
    again = when + rng.integers(300, 1800, len(chosen))
    desk.ticket_event(world, rng, tickets[chosen], "reopen", again, to_value=OPEN)


def unmerge(world: World, tickets: Ints, merged: Ints) -> None:
    """Some tickets were merged by mistake: the next day they are on their own again, and solved."""
    rng = world.rng(Stream.UNMERGES)
    chosen = np.flatnonzero(rng.random(len(tickets)) < world.parameters.habits.unmerged_share)
    when = merged[chosen] + rng.integers(3600, DAY, len(chosen))
    desk.ticket_event(world, rng, tickets[chosen], "unmerge", when)
    desk.ticket_event(world, rng, tickets[chosen], "status", when + 5, to_value=OPEN)
    desk.ticket_event(world, rng, tickets[chosen], "status", when + 2 * 3600, from_value=OPEN, to_value=RESOLVED)


def claim(world: World) -> None:
    """Written legal claims of people whose case drags on: registered, most by the next working day, then answered."""
    rng = world.rng(Stream.CLAIMS)
    columns, subs, habits = world.cases, world.subs, world.parameters.habits
    old = np.flatnonzero(
        (columns["started_at"] < world.start - 5 * DAY)
        & (columns["started_at"] > world.start - 45 * DAY)
        & (columns["is_resolved"] == 0)
    )
    old = old[subs["presence"][columns["sub"][old]] == PRESENT]
    cases = old[rng.random(len(old)) < habits.claims_per_day]
    count = len(cases)
    sub = columns["sub"][cases].astype(np.int64)
    topic = np.full(count, TOPIC["legal_claim"])
    channel, email = np.full(count, EMAIL), np.full(count, EMAIL)
    at = world.local_time(rng, subs["region"][sub], 10, 18)
    tickets = world.tickets.append(
        count, case=cases, sub=sub, party=subs["party"][sub], msisdn=subs["msisdn"][sub], topic=topic, channel=channel,
        opened_at=at,
    )  # fmt: skip
    team = REGION_TEAM[subs["region"][sub]]
    agent = staff.someone(world, rng, team)
    desk.contact(
        world, rng, at, sub, email, ticket=tickets, topic=topic, author=NA, seconds=np.zeros(count, np.int64),
        register=np.full(count, texts.NONE), is_initiated_by_customer=True,
    )  # fmt: skip
    desk.ticket_event(world, rng, tickets, "opened", at + 5)
    desk.ticket_event(world, rng, tickets, "assignment", at + 600, agent=agent, team=team)
    is_late = rng.random(count) < habits.claim_late_share
    registered = at + np.where(is_late, rng.integers(4 * DAY, 7 * DAY, count), rng.integers(1800, 20 * 3600, count))
    desk.ticket_event(world, rng, tickets, "registered", registered, agent=agent, team=team)
    answered = registered + rng.integers(2 * DAY, 34 * DAY, count)
    desk.contact(
        world, rng, answered, sub, email, ticket=tickets, direction=OUTBOUND, agent=agent, team=team, topic=topic,
        seconds=np.zeros(count, np.int64), register=np.full(count, texts.REPLY),
    )  # fmt: skip
    desk.ticket_event(world, rng, tickets, "status", answered + 60, from_value=OPEN, to_value=RESOLVED)
