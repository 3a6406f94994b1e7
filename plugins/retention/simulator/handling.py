"""How a case is handled from a customer's contact on: the plan is drawn at once and written as it happens."""

import numpy as np

from retention.simulator import desk, habits, staff, surveys, texts
from retention.simulator.codes import (
    APP,
    BOT,
    CALL,
    CHAT,
    CLOSED,
    CLOSURES,
    CONTROL_GROUP,
    EMAIL,
    HUMAN,
    IVR,
    NA,
    OFFERS,
    OPEN,
    OUTBOUND,
    PRIORITY_VALUE,
    RESOLVED,
    SOCIAL,
    STEP,
    Array,
    Ints,
)
from retention.simulator.parameters import DAY
from retention.simulator.state import World

# Hours from first contact to resolution, by difficulty (median).
RESOLUTION_HOURS = np.array([3.0, 14.0, 40.0])
CLOSE_AFTER = 3 * DAY
IN_TIME_LIMIT = 2 * 3600


def begin(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints, channel: Array,
          register: Array) -> None:  # fmt: skip
    """A new ticket from the customer's own contact to its resolution."""
    columns = world.cases
    sub = columns["sub"][cases].astype(np.int64)
    team, agent = columns["team"][cases].astype(np.int64), columns["agent"][cases].astype(np.int64)
    count = len(cases)
    difficulty, handled = columns["difficulty"][cases], columns["handled"][cases]
    trigger_seconds = rng.integers(60, 700, count)
    _receive(world, rng, tickets, at, sub, channel, register, team, agent, trigger_seconds)
    opened = at + 5
    desk.ticket_event(world, rng, tickets, "opened", opened)
    desk.ticket_event(world, rng, tickets, "priority", opened, to_value=PRIORITY_VALUE + difficulty)
    on_trigger = handled == 0
    assigned = opened + np.where(on_trigger, 5, rng.integers(20, 240, count))
    desk.ticket_event(world, rng, tickets, "assignment", assigned, agent=agent, team=team)
    desk.ticket_event(world, rng, tickets, "status", assigned + 20, from_value=0, to_value=OPEN)
    habits.take_over(world, cases, tickets, at, assigned)
    first = _first_contact_at(rng, at, assigned, handled)
    columns["first_contact_at"][cases] = first
    begun = np.where(first == NA, at, first)
    hours = RESOLUTION_HOURS[difficulty] * np.exp(0.8 * rng.standard_normal(count))
    resolved = begun + (hours.clip(0.4, 480) * 3600).astype(np.int64)
    resolved = np.where(on_trigger, at + trigger_seconds, resolved)
    _detour(world, rng, cases, tickets, assigned, begun, resolved)
    contacted = np.flatnonzero(first != NA)
    _call_back(world, rng, cases[contacted], tickets[contacted], first[contacted], assigned[contacted])
    _vain_dials(world, rng, cases, tickets, at, first, assigned)
    flagged = np.flatnonzero((register == texts.THREAT) & (rng.random(count) < 0.5))
    desk.ticket_event(world, rng, tickets[flagged], "leaving_flag", assigned[flagged] + 60, agent=agent[flagged])
    resolve(world, rng, cases, tickets, resolved)


def resolve(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints) -> None:
    """The desk calls the ticket resolved at `at`, whatever the truth is. Closing follows if nobody objects."""
    world.cases["resolve_at"][cases] = at
    world.cases["close_at"][cases] = at + CLOSE_AFTER
    world.tickets["next_closure"][tickets] = rng.integers(0, len(CLOSURES), len(cases))
    desk.ticket_event(world, rng, tickets, "status", at, from_value=OPEN, to_value=RESOLVED)
    surveys.after_resolution(world, rng, cases, tickets, at)


def close_due(world: World, rng: np.random.Generator) -> None:
    """Tickets resolved three days ago and not contested are closed."""
    columns = world.cases
    due = np.flatnonzero((columns["close_at"] >= world.start) & (columns["close_at"] < world.start + DAY))
    tickets = columns["ticket"][due].astype(np.int64)
    desk.ticket_event(world, rng, tickets, "status", columns["close_at"][due], from_value=RESOLVED, to_value=CLOSED)


def _receive(world: World, rng: np.random.Generator, tickets: Ints, at: Ints, sub: Ints, channel: Array,
             register: Array, team: Array, agent: Ints, seconds: Ints) -> None:  # fmt: skip
    """The contact that opens the ticket, the voice menu before it and the machine's reply after it."""
    count = len(at)
    topic = world.tickets["topic"][tickets]
    is_answered = (channel == CALL) | (channel == CHAT)
    desk.contact(
        world, rng, at, sub, channel, ticket=tickets, agent=np.where(is_answered, agent, NA),
        author=np.where(is_answered, HUMAN, NA), team=np.where(is_answered, team, NA), topic=topic,
        seconds=np.where(is_answered, seconds, 0), register=register, is_on_behalf=rng.random(count) < 0.03,
        is_initiated_by_customer=True,
    )  # fmt: skip
    menu = np.flatnonzero((channel == CALL) & (rng.random(count) < 0.3))
    menu_seconds = rng.integers(15, 60, len(menu))
    desk.contact(
        world, rng, np.maximum(at[menu] - menu_seconds - 5, world.start), sub[menu], channel[menu], author=IVR,
        agent=staff.IVR_BOT, topic=topic[menu], seconds=menu_seconds, is_initiated_by_customer=True,
    )  # fmt: skip
    written = np.flatnonzero(np.isin(channel, (EMAIL, APP, SOCIAL)) & (rng.random(count) < 0.8))
    desk.contact(
        world, rng, at[written] + 20, sub[written], channel[written], ticket=tickets[written], direction=OUTBOUND,
        author=BOT, agent=staff.AUTO_REPLY_BOT, topic=topic[written], seconds=np.zeros(len(written), np.int64),
        register=np.full(len(written), texts.AUTO_REPLY),
    )  # fmt: skip


def _first_contact_at(rng: np.random.Generator, at: Ints, assigned: Ints, handled: Array) -> Ints:
    """Within two hours, late (hours to days), or never; resolved on the trigger: no further contact."""
    count = len(at)
    in_time = np.maximum(at + rng.integers(600, IN_TIME_LIMIT - 300, count), assigned + 60)
    late = at + IN_TIME_LIMIT + 600 + (rng.lognormal(2.3, 0.9, count).clip(0.1, 120) * 3600).astype(np.int64)
    return np.select([handled == 1, handled == 2], [in_time, late], NA)


def _call_back(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints, received: Ints) -> None:
    """A human reaches the customer by phone or writes personally; what is said and promised there."""
    columns, parameters = world.cases, world.parameters.complaints
    count = len(cases)
    sub = columns["sub"][cases].astype(np.int64)
    agent, team = columns["agent"][cases].astype(np.int64), columns["team"][cases].astype(np.int64)
    by_phone = (rng.random(count) < 0.7) | (columns["vendor"][cases] >= 0)
    channel = np.where(by_phone, CALL, np.where(rng.random(count) < 0.5, CHAT, EMAIL))
    seconds = np.where(by_phone, rng.integers(45, 700, count), rng.integers(0, 60, count))
    topic = world.tickets["topic"][tickets]
    for chosen, register in ((by_phone, None), (~by_phone, texts.REPLY)):
        some = np.flatnonzero(chosen)
        desk.contact(
            world, rng, at[some], sub[some], channel[some], ticket=tickets[some], direction=OUTBOUND,
            agent=agent[some], team=team[some], topic=topic[some], seconds=seconds[some],
            register=None if register is None else np.full(len(some), register),
        )  # fmt: skip
    vendor = columns["vendor"][cases]
    theirs = np.flatnonzero(vendor >= 0)
    desk.dial(world, rng, at[theirs], vendor[theirs], tickets[theirs], sub[theirs], received[theirs], seconds[theirs])
    desk.action(world, rng, tickets, sub, STEP["first_contact"], at, agent, team)
    desk.action(world, rng, tickets, sub, STEP["diagnosis"], at + 120, agent, team)
    new_script = columns["script_arm"][cases] == 1
    sorry = np.flatnonzero(new_script | (rng.random(count) < 0.45))
    desk.action(world, rng, tickets[sorry], sub[sorry], STEP["apology"], at[sorry] + 30, agent[sorry], team[sorry])
    offered = np.flatnonzero(rng.random(count) < parameters.offer_share)
    columns["has_offer"][cases[offered]] = 1
    desk.action(
        world, rng, tickets[offered], sub[offered], STEP["offer"], at[offered] + 200, agent[offered], team[offered],
        offer=rng.integers(0, len(OFFERS), len(offered)), cost=rng.integers(50, 600, len(offered)) * 100,
    )  # fmt: skip
    promised = np.flatnonzero(rng.random(count) < parameters.promise_share)
    _promise(world, rng, cases[promised], tickets[promised], at[promised] + 240)


def _promise(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints) -> None:
    columns = world.cases
    is_broken = rng.random(len(cases)) < world.parameters.complaints.promise_broken_share
    due = at + (rng.uniform(1, 5, len(cases)) * DAY).astype(np.int64)
    kept = np.where(is_broken, NA, at + (rng.uniform(0.2, 0.95, len(cases)) * (due - at)).astype(np.int64))
    columns["promise"][cases] = ~is_broken
    columns["promise_due_at"][cases] = due
    desk.action(
        world, rng, tickets, columns["sub"][cases].astype(np.int64), STEP["promise"], at,
        columns["agent"][cases].astype(np.int64), columns["team"][cases].astype(np.int64), due_at=due, kept_at=kept,
    )  # fmt: skip


def _vain_dials(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints, first: Ints,
                assigned: Ints) -> None:  # fmt: skip
    """Unanswered dials and calls cut off within seconds: none of them is a contact."""
    columns = world.cases
    until = np.where(first == NA, at + DAY, first)
    tries = np.where(first == NA, 2, rng.integers(0, 2, len(cases))) * (columns["handled"][cases] > 0)
    for attempt in range(2):
        some = np.flatnonzero((tries > attempt) & (until - assigned > 120))
        when = assigned[some] + (rng.uniform(0.1, 0.9, len(some)) * (until - assigned)[some]).astype(np.int64)
        case = cases[some]
        sub, vendor = columns["sub"][case].astype(np.int64), columns["vendor"][case]
        cut_off = (rng.random(len(some)) < 0.15) * rng.integers(4, 25, len(some))
        theirs, ours = np.flatnonzero(vendor >= 0), np.flatnonzero(vendor < 0)
        desk.dial(world, rng, when[theirs], vendor[theirs], tickets[some][theirs], sub[theirs], assigned[some][theirs],
                  cut_off[theirs])  # fmt: skip
        desk.contact(
            world, rng, when[ours], sub[ours], np.full(len(ours), CALL), ticket=tickets[some][ours],
            direction=OUTBOUND, agent=columns["agent"][case[ours]].astype(np.int64), team=columns["team"][case[ours]],
            topic=world.tickets["topic"][tickets[some][ours]], seconds=cut_off[ours], is_answered=cut_off[ours] > 0,
        )  # fmt: skip


def _detour(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, assigned: Ints, begun: Ints,
            resolved: Ints) -> None:  # fmt: skip
    """Escalations to the control group, reassignments between houses, waiting for the customer."""
    columns = world.cases
    count = len(cases)
    draws = rng.random(count)
    room = resolved - begun
    sub = columns["sub"][cases].astype(np.int64)
    hot = (columns["difficulty"][cases] == 2) | (columns["text"][cases] == texts.THREAT)
    is_long = (columns["handled"][cases] > 0) & (room > 3600)
    escalated = np.flatnonzero(hot & is_long & (draws < 0.3))
    when = begun[escalated] + room[escalated] // 4
    control = np.full(len(escalated), CONTROL_GROUP)
    manager = staff.someone(world, rng, control)
    desk.ticket_event(world, rng, tickets[escalated], "escalation", when, agent=manager, team=control)
    raised = np.full(len(escalated), PRIORITY_VALUE + 3)
    desk.ticket_event(world, rng, tickets[escalated], "priority", when + 5, to_value=raised)
    desk.action(world, rng, tickets[escalated], sub[escalated], STEP["handover"], when, manager, control)
    moved = np.flatnonzero(is_long & (draws > 0.92))
    when = begun[moved] + room[moved] // 3
    other = np.where(columns["vendor"][cases[moved]] < 0, 6, 0)
    desk.ticket_event(
        world, rng, tickets[moved], "reassignment", when, agent=staff.someone(world, rng, other), team=other
    )
    waiting = np.flatnonzero(is_long & (rng.random(count) < 0.15))
    desk.ticket_event(world, rng, tickets[waiting], "pause", begun[waiting] + room[waiting] // 5)
    desk.ticket_event(world, rng, tickets[waiting], "resume", begun[waiting] + room[waiting] * 3 // 5)


def assign_again(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, at: Ints) -> Ints:
    """A human of the same team takes the ticket up again and reaches the customer; returns the instant."""
    columns = world.cases
    team = columns["team"][cases].astype(np.int64)
    agent = staff.someone(world, rng, team)
    columns["agent"][cases] = agent
    desk.ticket_event(world, rng, tickets, "assignment", at + 300, agent=agent, team=team)
    reached = at + rng.integers(1200, 20 * 3600, len(cases))
    sub = columns["sub"][cases].astype(np.int64)
    seconds = rng.integers(45, 500, len(cases))
    vendor = columns["vendor"][cases]
    theirs = np.flatnonzero(vendor >= 0)
    desk.contact(
        world, rng, reached, sub, np.full(len(cases), CALL), ticket=tickets, direction=OUTBOUND, agent=agent, team=team,
        topic=world.tickets["topic"][tickets], seconds=seconds,
    )  # fmt: skip
    desk.dial(
        world, rng, reached[theirs], vendor[theirs], tickets[theirs], sub[theirs], at[theirs] + 300, seconds[theirs]
    )
    return reached
