"""What happens to a case after its first day: the customer comes back, somebody follows up, a port is talked about."""

import numpy as np

from retention.simulator import cases as new_cases
from retention.simulator import desk, habits, handling, staff
from retention.simulator.churn import PORT
from retention.simulator.codes import CALL, CHAT, HUMAN, NA, OPEN, OUTBOUND, RETENTION, STEP, TOPIC, Ints
from retention.simulator.parameters import DAY
from retention.simulator.render import MERGE_BASE
from retention.simulator.state import PRESENT, Stream, World

MAXIMUM = 4
# A customer's next contact this soon is the same conversation, not a repeat.
PAUSE_SECONDS = 4 * 3600 + 900


def come_back(world: World) -> None:
    """Repeats: more of them while nothing is really solved. Each opens the grievance window anew."""
    rng = world.rng(Stream.REPEATS)
    columns, subs, parameters = world.cases, world.subs, world.parameters.complaints
    recent = np.flatnonzero(
        (columns["last_customer_at"] > world.start - parameters.repeat_window_days * DAY)
        & (columns["started_at"] < world.start)
        & (columns["repeats"] < MAXIMUM)
    )
    sub = columns["sub"][recent]
    recent = recent[(subs["case"][sub] == recent) & (subs["presence"][sub] == PRESENT)]
    solved = (columns["is_resolved"][recent] == 1) & (columns["resolve_at"][recent] < world.start)
    rate = np.where(solved, *parameters.repeat_per_day)
    chosen = recent[rng.random(len(recent)) < rate]
    at = np.maximum(
        world.local_time(rng, subs["region"][columns["sub"][chosen]]),
        columns["last_customer_at"][chosen] + PAUSE_SECONDS,
    )
    is_today = at < world.start + 23 * 3600
    chosen, at = chosen[is_today], at[is_today]
    if len(chosen) == 0:
        return
    is_open = at < columns["resolve_at"][chosen]
    is_closed = at >= columns["close_at"][chosen]
    draws = rng.random(len(chosen))
    columns["repeats"][chosen] += 1
    columns["last_customer_at"][chosen] = at
    columns["grievance_until"][chosen] = at + world.parameters.grievance.window_days * DAY
    for path, mask in (
        (_add, is_open & (draws < 0.8)),
        (_duplicate, is_open & (draws >= 0.8)),
        (_reopen, ~is_open & ~is_closed),
        (_anew, is_closed),
    ):
        if mask.any():
            path(world, rng, chosen[mask], at[mask])


def _say(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints) -> None:
    """The customer's own contact; hotter than the first one."""
    columns = world.cases
    sub = columns["sub"][cases].astype(np.int64)
    register = new_cases.customer_words(rng, world.subs["z"][sub] + 0.5 * columns["difficulty"][cases] + 1)
    channel = np.where(rng.random(len(cases)) < 0.7, CALL, CHAT)
    agent, team = columns["agent"][cases].astype(np.int64), columns["team"][cases].astype(np.int64)
    desk.contact(
        world, rng, at, sub, channel, ticket=tickets, author=HUMAN, agent=agent, team=team,
        topic=world.tickets["topic"][tickets], seconds=rng.integers(60, 600, len(cases)), register=register,
        is_initiated_by_customer=True,
    )  # fmt: skip


def _add(world: World, rng: np.random.Generator, cases: Ints, at: Ints) -> None:
    _say(world, rng, cases, world.cases["ticket"][cases].astype(np.int64), at)


def _duplicate(world: World, rng: np.random.Generator, cases: Ints, at: Ints) -> None:
    """A second ticket for an open case, merged into the first within the hour."""
    root = world.cases["ticket"][cases].astype(np.int64)
    tickets = new_cases.new_tickets(world, rng, cases, at, np.full(len(cases), CALL))
    desk.ticket_event(world, rng, tickets, "opened", at + 5)
    _say(world, rng, cases, tickets, at)
    merged = at + rng.integers(600, 3600, len(cases))
    desk.ticket_event(world, rng, tickets, "merge", merged, to_value=root + MERGE_BASE)
    habits.unmerge(world, tickets, merged)


def _reopen(world: World, rng: np.random.Generator, cases: Ints, at: Ints) -> None:
    tickets = world.cases["ticket"][cases].astype(np.int64)
    _say(world, rng, cases, tickets, at)
    desk.ticket_event(world, rng, tickets, "reopen", at + 30, to_value=OPEN)
    _solve_again(world, rng, cases, tickets, at)


def _anew(world: World, rng: np.random.Generator, cases: Ints, at: Ints) -> None:
    """The old ticket is closed: the same grievance gets a new one."""
    tickets = new_cases.new_tickets(world, rng, cases, at, np.full(len(cases), CALL))
    world.cases["ticket"][cases] = tickets
    desk.ticket_event(world, rng, tickets, "opened", at + 5)
    desk.ticket_event(world, rng, tickets, "priority", at + 5, to_value=world.cases["difficulty"][cases] + 5)
    _say(world, rng, cases, tickets, at)
    _solve_again(world, rng, cases, tickets, at)


def _solve_again(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints) -> None:
    reached = handling.assign_again(world, rng, cases, tickets, at)
    world.cases["is_resolved"][cases] = rng.random(len(cases)) < 0.6
    hours = handling.RESOLUTION_HOURS[world.cases["difficulty"][cases]] * rng.uniform(0.3, 2, len(cases))
    handling.resolve(world, rng, cases, tickets, reached + (hours * 3600).astype(np.int64))


def follow_up(world: World) -> None:
    """Planned calls weeks later, made only to those who are still there. They change nothing."""
    rng = world.rng(Stream.FOLLOW_UPS)
    columns, subs = world.cases, world.subs
    due = np.flatnonzero(columns["follow_up_day"] == world.day)
    sub = columns["sub"][due].astype(np.int64)
    still_here = (subs["presence"][sub] == PRESENT) & (subs["order"][sub] == 0)
    due, sub = due[still_here], sub[still_here]
    team = columns["team"][due].astype(np.int64)
    agent = staff.someone(world, rng, team)
    at = world.local_time(rng, subs["region"][sub], 10, 19)
    tickets = columns["ticket"][due].astype(np.int64)
    columns["follow_up_at"][due] = at
    desk.contact(
        world, rng, at, sub, np.full(len(due), CALL), ticket=tickets, direction=OUTBOUND, agent=agent, team=team,
        topic=world.tickets["topic"][tickets], seconds=rng.integers(40, 300, len(due)),
    )  # fmt: skip
    desk.action(world, rng, tickets, sub, STEP["follow_up"], at, agent, team)


def talk_about_ports(world: World) -> None:
    """Retention managers call some of those whose port was asked for yesterday. No effect of its own is built in."""
    rng = world.rng(Stream.PORT_TALKS)
    subs, decisions = world.subs, world.decisions
    pending = np.flatnonzero(subs["order"] == PORT)
    asked = decisions["decided_at"][subs["decision"][pending]]
    pending = pending[(asked >= world.start - DAY) & (asked < world.start)]
    sub = pending[rng.random(len(pending)) < 0.5]
    team = np.full(len(sub), RETENTION)
    agent = staff.someone(world, rng, team)
    at = world.local_time(rng, subs["region"][sub], 10, 20)
    desk.contact(
        world, rng, at, sub, np.full(len(sub), CALL), direction=OUTBOUND, agent=agent, team=team,
        topic=TOPIC["number_port"], seconds=rng.integers(40, 500, len(sub)),
    )  # fmt: skip
    desk.action(world, rng, NA, sub, STEP["first_contact"], at, agent, team)
