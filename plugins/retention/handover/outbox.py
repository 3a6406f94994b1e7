"""The outbox: who has to take over which episode, and until when. Written here only, by one at a time."""

import logging
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.warehouse.batches import Batch

log = logging.getLogger(__name__)

#: Who has to take over what no rule of seed routing_rules matches.
UNROUTED_TO = "control_group"
_POLICY = """
    from seeds.escalation_policy as policy
    where
        policy.valid_from <= (%(as_of)s at time zone 'Europe/Moscow')::date
        and (policy.valid_to is null or (%(as_of)s at time zone 'Europe/Moscow')::date < policy.valid_to)
"""
#: Rises that nobody spoke about with the subscriber, not closed, known, young enough by the policy of that day, and not
#: in the outbox: neither they nor the same evidence, which late data may have given to an episode with another id.
#: Age counts from when it was known: what a source writes down late is handed over all the same.
_INSERT = """
    insert into ops.handovers (
        escalation_id, episode_id, subject_id, level, rule_id, rule_version, evidence_key, evidence, to_role,
        to_team_id, owner_agent_id, triggered_at, known_at, due_at, as_of, batch_id, kind
    )
    select
        rises.escalation_id, rises.episode_id, rises.subject_id, rises.level, rises.rule_id, rises.rule_version,
        rises.rule_id || ' ' || coalesce(
            -- An order is evidence of each topic that the subscriber complains of.
            'event ' || rises.subscription_event_id || ' ' || coalesce(rises.topic, ''),
            'ticket event ' || rises.ticket_event_id, 'contact ' || rises.contact_id, 'episode ' || rises.episode_id
        ),
        jsonb_strip_nulls(jsonb_build_object(
            'contact_id', rises.contact_id, 'earlier_contact_id', rises.earlier_contact_id,
            'phrase_id', rises.phrase_id, 'starts_at_char', rises.starts_at_char, 'ends_at_char', rises.ends_at_char,
            'ticket_event_id', rises.ticket_event_id, 'subscription_event_id', rises.subscription_event_id,
            'order_id', rises.order_id, 'rule_id', rises.rule_id, 'rule_version', rises.rule_version,
            'routing_rule_id', rises.routing_rule_id, 'routing_version', rises.routing_version
        )),
        coalesce(rises.to_role, %(unrouted)s), rises.to_team_id, rises.owner_agent_id, rises.triggered_at,
        rises.known_at, rises.due_at,
        %(as_of)s, %(batch_id)s, %(kind)s
    from {rises} as rises
    where
        (rises.closed_at is null or rises.closed_at >= %(as_of)s)
        and (rises.first_contact_at is null or rises.first_contact_at >= %(as_of)s)
        and rises.known_at < %(as_of)s
        and greatest(rises.triggered_at, rises.known_at) >= %(as_of)s - make_interval(hours => %(max_age_hours)s)
    order by rises.triggered_at, rises.escalation_id
    on conflict do nothing
"""


class PolicyError(RuntimeError):
    """Seed escalation_policy does not say how old a rise may be that is handed over."""


@dataclass(frozen=True)
class OpenHandover:
    """One that nobody delivered yet. `owner_agent_id`: who had the case already when it was decided."""

    handover_id: int
    episode_id: str
    level: str
    to_role: str
    to_team_id: str | None
    owner_agent_id: str | None
    triggered_at: datetime
    due_at: datetime | None


def hand_over(conn: Connection, batch: Batch, kind: str, schema: str) -> int:
    """Put what is new in `schema`.int_escalations into ops.handovers, in one transaction; returns how many.

    Safe to repeat, and to run beside a run of another kind: one waits for the other, and nothing goes in twice.
    `batch.as_of` is the moment from which age is counted. What no routing rule matches goes to UNROUTED_TO. Raises
    PolicyError unless exactly one row of seed escalation_policy is valid on that day.
    """
    with conn, conn.cursor() as cur:
        cur.execute("select pg_advisory_xact_lock(hashtext('retention hand over'))")
        given = {"as_of": batch.as_of, "batch_id": batch.batch_id, "kind": kind, "unrouted": UNROUTED_TO}
        cur.execute(f"select policy.handover_max_age_hours::int {_POLICY}", given)
        policies = cur.fetchall()
        if len(policies) != 1:
            raise PolicyError(
                f"seed escalation_policy has {len(policies)} rows that are valid at {batch.as_of.isoformat()}, and one "
                "is needed. Nothing was handed over. Mend valid_from and valid_to in "
                "dbt_project/seeds/escalation_policy.csv, then run it again from `transform`."
            )
        given["max_age_hours"] = policies[0][0]
        cur.execute(sql.SQL(_INSERT).format(rises=sql.Identifier(schema, "int_escalations")), given)
        handed = int(cur.rowcount)
        cur.execute(
            "select count(*) from ops.handovers where batch_id = %(batch_id)s and not evidence ? 'routing_rule_id'",
            given,
        )
        (unrouted,) = cur.fetchone() or (0,)
    if unrouted:
        log.warning("hand-over: %d rises that no rule of seed routing_rules matches went to %s", unrouted, UNROUTED_TO)
    log.info("hand-over: %d new in the outbox", handed)
    return handed


def open_handovers(conn: Connection, limit: int) -> tuple[list[OpenHandover], int]:
    """Those not delivered, the first due first, at most `limit`; and how many there are."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select handover_id, episode_id, level, to_role, to_team_id, owner_agent_id, triggered_at, due_at"
            " from ops.handovers where delivered_at is null order by due_at, handover_id limit %s",
            (limit,),
        )
        shown = [OpenHandover(*row) for row in cur.fetchall()]
        cur.execute("select count(*) from ops.handovers where delivered_at is null")
        (count,) = cur.fetchone() or (0,)
    return shown, int(count)
