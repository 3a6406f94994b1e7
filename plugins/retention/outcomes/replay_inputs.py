"""Reads what the stress replay needs as aggregates: a row an hour of the window at most, however many contacts."""

from datetime import datetime
from typing import Any

import numpy as np
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.replay import SEGMENTS, Observed, Scenario
from retention.outcomes.stress import HOURS_PER_WEEK

_QUANTILES = [i / 100 for i in range(101)]

#: Hours since the first whole week that was observed began; weeks count back from the end of the window.
_BASE = """
with base as (
    select
        as_of, window_to, observed_from,
        window_to - floor(extract(epoch from window_to - observed_from) / 604800) * interval '168 hours' as began_at
    from {window}
)
"""
_WEEKS = "select (extract(epoch from window_to - began_at) / 604800)::integer, began_at from base"
_ARRIVALS = """
select
    floor(extract(epoch from arrivals.started_at - base.began_at) / 3600)::integer as hour,
    arrivals.segment,
    arrivals.is_sensitive::integer,
    count(*),
    count(*) filter (where arrivals.answered_at is not null or arrivals.due_at <= base.as_of),
    count(*) filter (where arrivals.answered_at <= arrivals.due_at)
from {arrivals} as arrivals
inner join base on arrivals.started_at >= base.began_at and arrivals.started_at < base.window_to
group by 1, 2, 3
"""
_SHIFTS = """
select (extract(epoch from greatest(shift_from, base.began_at) - base.began_at) / 3600)::integer, count(*)
from {shifts} cross join base where shift_to > base.began_at and shift_from < base.window_to group by 1
union all
select (extract(epoch from least(shift_to, base.window_to) - base.began_at) / 3600)::integer, -count(*)
from {shifts} cross join base where shift_to > base.began_at and shift_from < base.window_to group by 1
"""
#: A reply that was written in no time tells nothing of how long it took.
_HANDLING = """
select
    count(*),
    percentile_cont(%(quantiles)s::float8[]) within group (order by seconds) filter (where seconds > 0)
from (
    select greatest(
        extract(epoch from contacts.ended_at - contacts.started_at), contacts.connected_seconds, 0
    )::float8 as seconds
    from {contacts} as contacts
    inner join base on contacts.started_at >= base.began_at and contacts.started_at < base.window_to
    where
        contacts.kind = 'contact'
        and contacts.agent_id is not null
        and coalesce(contacts.author_kind, 'human') = 'human'
        and coalesce(contacts.is_answered, true)
) as handled
"""
_INCIDENTS = """
select distinct floor(extract(epoch from incidents.started_at - base.began_at) / 3600)::integer
from {incidents} as incidents
inner join base on incidents.started_at >= base.began_at and incidents.started_at < base.window_to
order by 1
"""
_VALID = (
    "valid_from <= (%(as_of)s at time zone 'Europe/Moscow')::date "
    "and (valid_to is null or (%(as_of)s at time zone 'Europe/Moscow')::date < valid_to)"
)


def read_scenarios(conn: Connection, as_of: datetime) -> list[Scenario]:
    """The scenarios of the seed that are valid on the (Moscow) day of `as_of`, by name."""
    with conn.cursor() as cur:
        cur.execute(
            "select scenario, arrivals_factor, peak_hours, peak_factor, random_seed "  # noqa: S608 - constants
            f"from seeds.stress_scenarios where {_VALID} order by scenario",
            {"as_of": as_of},
        )
        return [Scenario(*row) for row in cur.fetchall()]


def read_observed(conn: Connection, schema: str, as_of: datetime) -> Observed:
    """The whole weeks of the window of coverage, from `schema`.int_arrivals, int_agent_shifts, int_contacts_linked.

    Agents of an hour of the week are the mean over the weeks, rounded up; the seed staffing goes before it.
    """
    names = {
        "window": sql.Identifier(schema, "int_coverage_window"),
        "arrivals": sql.Identifier(schema, "int_arrivals"),
        "shifts": sql.Identifier(schema, "int_agent_shifts"),
        "contacts": sql.Identifier(schema, "int_contacts_linked"),
        "incidents": sql.Identifier(schema, "int_incidents"),
    }

    def rows(query: str, **parameters: object) -> list[tuple[Any, ...]]:
        with conn.cursor() as cur:
            cur.execute(sql.SQL(_BASE + query).format(**names), parameters or None)
            return cur.fetchall()

    ((weeks, began_at),) = rows(_WEEKS)
    hours = weeks * HOURS_PER_WEEK
    counts = np.zeros((hours, len(SEGMENTS), 2), np.int64)
    judged = np.zeros((HOURS_PER_WEEK, len(SEGMENTS)), np.int64)
    in_time = np.zeros_like(judged)
    for hour, segment, urgent, *numbers in rows(_ARRIVALS):
        code = SEGMENTS.index(str(segment))
        counts[hour, code, urgent] = numbers[0]
        judged[hour % HOURS_PER_WEEK, code] += numbers[1]
        in_time[hour % HOURS_PER_WEEK, code] += numbers[2]
    changes = np.zeros(hours + 1, np.int64)
    for hour, change in rows(_SHIFTS):
        changes[hour] += change
    present = np.cumsum(changes)[:hours].reshape(weeks, HOURS_PER_WEEK)
    agents = -(-present.sum(axis=0) // max(weeks, 1))
    for hour, planned in _planned(conn, as_of, began_at):
        agents[hour] = planned
    ((handled, quantiles),) = rows(_HANDLING, quantiles=_QUANTILES)
    arrived = int(counts.sum())
    with conn.cursor() as cur:
        cur.execute(
            f"select segment, target_seconds from seeds.coverage_targets where {_VALID}",  # noqa: S608 - constants
            {"as_of": as_of},
        )
        targets = dict(cur.fetchall())
    return Observed(
        counts=counts.reshape(weeks, HOURS_PER_WEEK, len(SEGMENTS), 2),
        judged=judged,
        in_time=in_time,
        agents=agents,
        target_s=np.array([targets[segment] for segment in SEGMENTS], np.float64),
        handling_s=np.array(quantiles or [], np.float64),
        work_factor=max(1.0, handled / arrived) if arrived else 1.0,
        incident_hours=np.array([hour for (hour,) in rows(_INCIDENTS)], np.int64),
    )


def _planned(conn: Connection, as_of: datetime, began_at: object) -> list[tuple[int, int]]:
    """(hour of the week since the window's first weekday, agents) of the seed staffing."""
    with conn.cursor() as cur:
        cur.execute(
            "select (weekday - extract(isodow from %(began_at)s at time zone 'Europe/Moscow')::integer + 7) "  # noqa: S608
            f"%% 7 * 24 + hour, agents from seeds.staffing where {_VALID}",
            {"as_of": as_of, "began_at": began_at},
        )
        return [(int(hour), int(agents)) for hour, agents in cur.fetchall()]
