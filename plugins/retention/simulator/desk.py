"""What the helpdesk writes: contacts, ticket events, retention actions, vendors' dials; ticket rows follow."""

from typing import Any

import numpy as np

from retention.simulator import texts
from retention.simulator.codes import (
    CALL,
    CLOSED,
    COUNTED_CHANNELS,
    HUMAN,
    INBOUND,
    NA,
    NEW,
    OPEN,
    PENDING,
    PRIORITY_VALUE,
    RESOLVED,
    TICKET_KIND,
    Array,
    Ints,
)
from retention.simulator.parameters import DAY
from retention.simulator.render import MERGE_BASE
from retention.simulator.state import World


def contact(world: World, rng: np.random.Generator, at: Ints, sub: Ints, channel: Array, *, ticket: Ints | int = NA,
            direction: int = INBOUND, author: Array | int = HUMAN, agent: Ints | int = NA, team: Array | int = NA,
            topic: Array | int = NA, seconds: Ints, is_answered: Array | int = 1, register: Array | None = None,
            is_on_behalf: Array | int = 0, is_initiated_by_customer: bool = False) -> Ints:  # fmt: skip
    """Contacts in any channel; the exchange counts each, the helpdesk loses a few. Returns their ids.

    `register` (see texts) makes a body. What leaves a body out leaves `language` out too.
    """
    count = len(at)
    ids = world.ids("contact", count)
    party = world.subs["party"][sub].astype(np.int64)
    language = world.parties["language"][party].astype(np.int64)
    is_lost = rng.random(count) < world.parameters.complaints.lost_contact_share
    counted = channel < COUNTED_CHANNELS
    world.outbox.add("counted", at[counted], world.day, channel=channel[counted], is_lost=is_lost[counted])
    recorded = world.written(rng, at + seconds)
    body: Ints | int = NA
    if register is not None:
        body = texts.compose(rng, register, language, np.broadcast_to(topic, count))
        spoken = np.where(register > texts.QUOTED, texts.NONE, register)
        _kept(world, "texts", recorded, is_lost, contact_id=ids, kind=spoken, language=language, subscription_id=sub)
    # Whom some contacts belong to has to be found by number and time.
    is_anonymous = rng.random(count) < world.parameters.complaints.number_only_share
    _kept(
        world, "interactions", recorded, is_lost,
        interaction_id=ids, ticket_id=ticket, subscription_id=np.where(is_anonymous, NA, sub),
        party_id=np.where(is_anonymous, NA, party), msisdn=world.subs["msisdn"][sub],
        channel=channel, direction=direction, initiator=0 if is_initiated_by_customer else direction,
        author_kind=author, is_on_behalf=is_on_behalf, agent_id=agent, team_id=team, topic_code=topic,
        is_answered=is_answered, connected_seconds=np.where(channel == CALL, seconds * is_answered, NA),
        started_at=at, ended_at=at + seconds, language=language if register is not None else NA, body=body,
        recorded_at=recorded, updated_at=recorded,
    )  # fmt: skip
    return ids


def _kept(world: World, table: str, recorded: Ints, is_lost: Array, **columns: Any) -> None:
    kept = ~is_lost
    values = {name: value[kept] if isinstance(value, np.ndarray) else value for name, value in columns.items()}
    world.outbox.add(table, recorded[kept], world.day, **values)


def ticket_event(world: World, rng: np.random.Generator, ticket: Ints, kind: str, at: Ints, *,
                 from_value: Array | int = NA, to_value: Array | int = NA, reason: Array | int = NA,
                 agent: Ints | int = NA, team: Array | int = NA) -> None:  # fmt: skip
    """Rows of helpdesk.ticket_events. Never written before the ticket itself is."""
    code = TICKET_KIND[kind]
    may_be_late = kind in ("pause", "resume", "other")
    recorded = at + 3 if kind == "opened" else np.maximum(world.written(rng, at, may_be_late), at + 4)
    world.outbox.add(
        "ticket_events", recorded, world.day,
        ticket_event_id=world.ids("ticket_event", len(ticket)), ticket_id=ticket, sequence=code, kind=code,
        source_kind=code, from_value=from_value, to_value=to_value, reason=reason, agent_id=agent, team_id=team,
        event_at=at, recorded_at=recorded,
    )  # fmt: skip


def action(world: World, rng: np.random.Generator, ticket: Ints | int, sub: Ints, step: int, at: Ints, agent: Ints,
           team: Array, *, offer: Ints | int = NA, cost: Ints | int = NA, due_at: Ints | int = NA,
           kept_at: Ints | None = None) -> None:  # fmt: skip
    """Rows of helpdesk.retention_actions; a kept promise is a second version of its row, written when it is kept."""
    recorded = world.written(rng, at)
    row: dict[str, Any] = dict(
        action_id=world.ids("action", len(sub)), ticket_id=ticket, subscription_id=sub, step=step, agent_id=agent,
        team_id=team, offer_code=offer, cost_rub=cost, promise_due_at=due_at, action_at=at, recorded_at=recorded,
    )  # fmt: skip
    world.outbox.add("retention_actions", recorded, world.day, updated_at=recorded, **row)
    if kept_at is None:
        return
    kept = kept_at != NA
    later = np.maximum(world.written(rng, kept_at[kept], may_be_late=False), recorded[kept] + 1)
    row = {name: value[kept] if isinstance(value, np.ndarray) else value for name, value in row.items()}
    world.outbox.add("retention_actions", later, world.day, updated_at=later, promise_kept_at=kept_at[kept], **row)


def dial(world: World, rng: np.random.Generator, at: Ints, vendor: Array, ticket: Ints, sub: Ints, received_at: Ints,
         seconds: Ints) -> None:  # fmt: skip
    """Rows of the vendors' daily files, written into the file of the day; 0 seconds: nobody answered."""
    is_answered = seconds > 0
    recorded = world.written(rng, at + seconds)
    world.outbox.add(
        "call_attempts", recorded, world.day,
        attempt_id=world.ids("attempt", len(at)), vendor_id=vendor, ticket_id=ticket, subscription_id=sub,
        msisdn=world.subs["msisdn"][sub], received_at=received_at, attempted_at=at, is_answered=is_answered,
        connected_seconds=seconds, outcome_code=np.where(is_answered, 0, rng.integers(1, 4, len(at))),
        recorded_at=recorded,
    )  # fmt: skip


def project(world: World, events: Ints, columns: tuple[str, ...]) -> None:
    """Applies the day's ticket events to the ticket rows, in the order in which they happened.

    An event written late does not undo a later one: each group of fields remembers how new its value is.
    """
    tickets = world.tickets
    at, sequence = events[columns.index("event_at")], events[columns.index("sequence")]
    events = events[:, np.lexsort((sequence, at))]
    by_name = dict(zip(columns, events, strict=True))
    kind, ticket, at = by_name["kind"], by_name["ticket_id"], by_name["event_at"]
    np.maximum.at(tickets["updated_at"], ticket, by_name["recorded_at"])

    opened = kind == TICKET_KIND["opened"]
    tickets["recorded_at"][ticket[opened]] = by_name["recorded_at"][opened]
    priority = kind == TICKET_KIND["priority"]
    tickets["priority"][ticket[priority]] = by_name["to_value"][priority] - PRIORITY_VALUE
    tickets["has_leaving_flag"][ticket[kind == TICKET_KIND["leaving_flag"]]] = 1
    merge = kind == TICKET_KIND["merge"]
    tickets["merged_into"][ticket[merge]] = by_name["to_value"][merge] - MERGE_BASE

    unmerge = kind == TICKET_KIND["unmerge"]
    tickets["merged_into"][ticket[unmerge]] = NA

    owner = np.isin(kind, [TICKET_KIND[name] for name in ("assignment", "reassignment", "escalation")])
    owner &= at >= tickets["owner_at"][ticket]
    tickets["agent"][ticket[owner]] = by_name["agent_id"][owner]
    tickets["team"][ticket[owner]] = by_name["team_id"][owner]
    tickets["owner_at"][ticket[owner]] = at[owner]

    status = _status_after(kind, by_name["to_value"])
    changes = (status != NA) & (at >= tickets["status_at"][ticket])
    ticket, status, at = ticket[changes], status[changes], at[changes]
    tickets["status"][ticket] = status
    tickets["status_at"][ticket] = at
    tickets["resolved_at"][ticket[status == OPEN]] = NA
    done = status == RESOLVED
    tickets["resolved_at"][ticket[done]] = at[done]
    tickets["closure"][ticket[done]] = tickets["next_closure"][ticket[done]]
    closed = status == CLOSED
    tickets["closed_at"][ticket[closed]] = at[closed]


def _status_after(kind: Ints, to_value: Ints) -> Ints:
    status = np.where(kind == TICKET_KIND["status"], to_value, NA)
    for name, value in (("opened", NEW), ("pause", PENDING), ("resume", OPEN), ("reopen", OPEN), ("merge", CLOSED)):
        status[kind == TICKET_KIND[name]] = value
    return status


def totals(world: World, counted: Ints | None) -> tuple[Ints, Ints]:
    """channel_totals of the day (as the exchange counted) and how many of them the helpdesk lost, by channel."""
    channels = np.arange(COUNTED_CHANNELS, dtype=np.int64)
    counts = np.zeros(COUNTED_CHANNELS, np.int64)
    lost = np.zeros(COUNTED_CHANNELS, np.int64)
    if counted is not None:
        counts = np.bincount(counted[0], minlength=COUNTED_CHANNELS).astype(np.int64)
        lost = np.bincount(counted[0], weights=counted[1], minlength=COUNTED_CHANNELS).astype(np.int64)
    ones = np.ones_like(channels)
    return np.stack([ones * world.day, channels, counts, ones * (world.start + DAY - 60)]), lost
