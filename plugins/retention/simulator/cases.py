"""Who complains today, and what kind of case it becomes. The handling itself is in handling.py."""

import numpy as np

from retention.simulator import desk, handling, outages, pilots, staff, texts
from retention.simulator.codes import (
    CALL,
    CHAT,
    COMPLAINT_TOPICS,
    NA,
    QUESTION_TOPICS,
    REGION_TEAM,
    TOPIC,
    Array,
    Ints,
)
from retention.simulator.parameters import DAY
from retention.simulator.state import NEVER, PRESENT, SILENT, Stream, World, pick

# cases.handled: the first two count as contact in time.
ON_TRIGGER, IN_TIME, LATE, NOT_AT_ALL = range(4)
HANDLED = ("on_trigger", "in_time", "late", "never")
CHANNEL_SHARES = (0.50, 0.24, 0.10, 0.03, 0.10, 0.0, 0.03)
TOPIC_SHARES = (0.20, 0.20, 0.20, 0.06, 0.10, 0.14, 0.04, 0.06)


def open_new(world: World) -> None:
    """The day's new complaints."""
    rng = world.rng(Stream.COMPLAINTS)
    subs, parameters = world.subs, world.parameters.complaints
    draws = rng.random(len(subs))
    chosen = _complainers(world, draws)
    count = len(chosen)
    if count == 0:
        return
    at = world.local_time(rng, subs["region"][chosen])
    by_incident = subs["incident_until"][chosen] > world.start
    pilots.assign_complainers(world, chosen, at)
    topic = rng.choice(COMPLAINT_TOPICS, count, p=TOPIC_SHARES)
    topic = np.where(by_incident, subs["incident_topic"][chosen], topic)
    topic = _other_than_before(world, chosen, topic)
    difficulty = rng.choice(3, count, p=parameters.difficulty_shares)
    vendor_shares = np.cumsum(np.asarray(parameters.vendor_shares), axis=1)[difficulty]
    handler = (rng.random(count)[:, None] > vendor_shares).sum(axis=1).clip(0, 2)
    team = np.where(handler == 0, REGION_TEAM[subs["region"][chosen]], np.array([0, 6, 8])[handler])
    team = np.where((handler == 1) & (rng.random(count) < 0.45), 7, team)
    channel = rng.choice(len(CHANNEL_SHARES), count, p=CHANNEL_SHARES)
    handled = _handled(world, rng, difficulty, channel)
    register = customer_words(rng, subs["z"][chosen] + 0.5 * difficulty)
    cases = world.cases.append(
        count,
        sub=chosen,
        topic=topic,
        started_at=at,
        difficulty=difficulty,
        vendor=handler - 1,
        team=team,
        agent=staff.someone(world, rng, team),
        handled=handled,
        is_resolved=rng.random(count) < np.asarray(parameters.truly_resolved_shares)[difficulty],
        last_customer_at=at,
        grievance_until=at + world.parameters.grievance.window_days * DAY,
        text=register,
        script_arm=world.parties["script_arm"][subs["party"][chosen]],
        follow_up_day=np.where(
            rng.random(count) < parameters.follow_up_share, world.day + rng.integers(2, 40, count), NEVER
        ),
        by_incident=by_incident,
        was_silent=subs["presence"][chosen] == SILENT,
    )
    subs["case"][chosen] = cases
    tickets = new_tickets(world, rng, cases, at, channel)
    world.cases["ticket"][cases] = tickets
    handling.begin(world, rng, cases, tickets, at, channel, register)
    outages.inform(world, cases[by_incident])


def _complainers(world: World, draws: Array) -> Ints:
    subs, parameters = world.subs, world.parameters.complaints
    # exp(b z) is divided by its mean, so that the rate is the mean.
    rate = (
        parameters.rate_per_year
        / 365
        * np.exp(parameters.frailty_log_rr * subs["z"] - parameters.frailty_log_rr**2 / 2)
    )
    rate[subs["incident_until"] > world.start] *= parameters.rr_incident
    # A silent prepaid user may still complain in the first month; after that nobody is there.
    is_silent = subs["presence"] == SILENT
    rate[is_silent] *= parameters.rr_silent * (subs["silent_day"][is_silent] > world.day - 30)
    is_there = ((subs["presence"] == PRESENT) | is_silent) & (subs["activated_at"] < world.start)
    chosen = np.flatnonzero(is_there & (draws < rate))
    # One grievance at a time: while a case is open or young, a new contact is a repeat (repeats.py).
    case = subs["case"][chosen]
    is_busy = case >= 0
    busy_case = case[is_busy]
    young = world.cases["last_customer_at"][busy_case] > world.start - 20 * DAY
    is_busy[is_busy] = young | (world.cases["close_at"][busy_case] > world.start)
    return np.asarray(chosen[~is_busy], dtype=np.int64)


def _other_than_before(world: World, subs: Ints, topic: Array) -> Array:
    """The same topic within two months would be the same grievance: take the next one."""
    case = world.subs["case"][subs]
    same = case >= 0
    earlier = case[same]
    recent = world.cases["last_customer_at"][earlier] > world.start - 60 * DAY
    same[same] = recent & (world.cases["topic"][earlier] == topic[same])
    return np.where(same, (topic + 1) % COMPLAINT_TOPICS, topic)


def _handled(world: World, rng: np.random.Generator, difficulty: Array, channel: Array) -> Array:
    parameters = world.parameters.complaints
    count = len(difficulty)
    in_time = rng.random(count) < np.asarray(parameters.in_time_shares)[difficulty]
    never = rng.random(count) < parameters.never_share_of_late
    handled = np.where(in_time, IN_TIME, np.where(never, NOT_AT_ALL, LATE))
    at_once = (
        in_time & (difficulty == 0) & (channel <= CHAT) & (rng.random(count) < parameters.on_trigger_share_of_easy)
    )
    return np.where(at_once, ON_TRIGGER, handled)


def customer_words(rng: np.random.Generator, heat: Array) -> Array:
    """Which register a customer's message has: threats grow with the heat, the decoys do not."""
    count = len(heat)
    threat = 1 / (1 + np.exp(2.4 - 0.7 * heat))
    decoys = texts.NEGATED + (rng.random(count)[:, None] > np.array([0.4, 0.75])).sum(axis=1)
    register = np.where(rng.random(count) < 0.10, decoys, texts.NONE)
    return np.where(rng.random(count) < threat, texts.THREAT, register)


def new_tickets(world: World, rng: np.random.Generator, cases: Ints, at: Ints, channel: Array) -> Ints:
    """Ticket rows, not visible before their `opened` event is written. A few topics are put in wrongly."""
    sub = world.cases["sub"][cases].astype(np.int64)
    party = world.subs["party"][sub].astype(np.int64)
    topic = world.cases["topic"][cases].astype(np.int64)
    is_wrong = rng.random(len(cases)) < world.parameters.complaints.misclassified_topic_share
    is_anonymous = rng.random(len(cases)) < world.parameters.complaints.number_only_share
    return world.tickets.append(
        len(cases),
        case=cases,
        sub=np.where(is_anonymous, NA, sub),
        party=np.where(is_anonymous, NA, party),
        msisdn=world.subs["msisdn"][sub],
        topic=np.where(is_wrong, rng.integers(0, COMPLAINT_TOPICS, len(cases)), topic),
        channel=channel,
        opened_at=at,
        is_test=world.parties["is_test"][party],
    )


def ask(world: World) -> None:
    """Contacts that are no complaint: questions and requests, mostly answered by machines or in one go. And spam."""
    rng = world.rng(Stream.QUESTIONS)
    subs = world.subs
    present = np.flatnonzero((subs["presence"] == PRESENT) & (subs["activated_at"] < world.start))
    sub = pick(rng, present, world.parameters.complaints.question_rate_per_year / 365)
    count = len(sub)
    at = world.local_time(rng, subs["region"][sub])
    channel = rng.choice([CALL, CHAT, 2, 4], count, p=[0.5, 0.3, 0.1, 0.1])
    author = rng.choice(3, count, p=[0.6, 0.25, 0.15])
    team = REGION_TEAM[subs["region"][sub]]
    agent = np.where(author == 0, staff.someone(world, rng, team), staff.IVR_BOT)
    topic = rng.integers(COMPLAINT_TOPICS, QUESTION_TOPICS, count)
    desk.contact(
        world, rng, at, sub, channel, author=author, agent=agent, team=np.where(author == 0, team, NA), topic=topic,
        seconds=rng.integers(20, 400, count), register=np.full(count, texts.QUESTION), is_initiated_by_customer=True,
    )  # fmt: skip
    spam = int(rng.poisson(0.02 + world.subscribers / 2e5))
    at = world.start + rng.integers(0, 23 * 3600, spam)
    tickets = world.tickets.append(spam, topic=TOPIC["service_quality"], channel=2, opened_at=at, is_spam=1)
    desk.ticket_event(world, rng, tickets, "opened", at)
    desk.ticket_event(world, rng, tickets, "status", at + 3600, to_value=4)
