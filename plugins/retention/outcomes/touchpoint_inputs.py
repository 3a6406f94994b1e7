"""Reads touchpoints' complaints, exposure and what became of them as aggregates: a row a cell, none a subscription."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.frames import NOT_CUT_OFF, NOT_LEFT
from retention.outcomes.touchpoint_outcomes import Departures, Revenue
from retention.outcomes.touchpoints import Complaints, Exposure

HORIZON_HOURS = 90 * 24

_DAY = "(%(as_of)s at time zone 'Europe/Moscow')::date"
_VALID = f"valid_from <= {_DAY} and (valid_to is null or {_DAY} < valid_to)"

#: Whole days (Moscow) before the night; stretches in which leaving is pending, united; bands of tenure. Tests and staff
#: are no customers: their complaints are excluded, too.
_BASE = f"""
with period as (
    select
        ({_DAY} - %(days)s)::timestamp at time zone 'Europe/Moscow' as began_at,
        {_DAY}::timestamp at time zone 'Europe/Moscow' as ended_at
),
bands as (
    select
        stage,
        tenure_from_days * interval '24 hours' as tenure_from,
        coalesce(tenure_to_days, 365000) * interval '24 hours' as tenure_to
    from seeds.path_stages where not is_leaving and {_VALID}
),
leaving_stage as (
    select stage from seeds.path_stages where is_leaving and {_VALID}
),
subscriptions as (
    select
        subscription_id,
        coalesce(region_id, 'unknown') as region_id,
        activated_at,
        coalesce(terminated_at, 'infinity') as terminated_at
    from {{subscriptions}} where not is_staff and not is_test
),
requests as (
    select
        subscription_id,
        intent_at as began_at,
        least(coalesce(churned_at, 'infinity'), coalesce(stopped_at, 'infinity')) as ended_at
    from {{terminations}} where intent_at is not null
),
leaving as (
    select subscription_id, unnest(range_agg(tstzrange(began_at, ended_at))) as at
    from requests where began_at < ended_at group by subscription_id
)
"""  # noqa: S608 - constants of this module
#: A subscription's time in the period by stage: that of its tenure less what it spent leaving.
_EXPOSURE = """,
present as (
    select
        subscriptions.*,
        tstzrange(greatest(activated_at, period.began_at), least(terminated_at, period.ended_at)) as at
    from subscriptions
    inner join period
        on activated_at < period.ended_at and terminated_at > period.began_at and activated_at < terminated_at
),
left_over as (
    select present.subscription_id, present.region_id, present.activated_at, present.at * leaving.at as at
    from present inner join leaving on present.subscription_id = leaving.subscription_id and present.at && leaving.at
),
left_banded as (
    select subscription_id, stage, sum(extract(epoch from upper(at) - lower(at))) as seconds
    from (
        select
            left_over.subscription_id, bands.stage,
            left_over.at * tstzrange(activated_at + tenure_from, activated_at + tenure_to) as at
        from left_over cross join bands
    ) as banded
    where not isempty(at)
    group by subscription_id, stage
),
spent as (
    select
        banded.region_id, banded.stage,
        extract(epoch from upper(banded.at) - lower(banded.at)) - coalesce(left_banded.seconds, 0) as seconds
    from (
        select
            present.subscription_id, present.region_id, bands.stage,
            present.at * tstzrange(activated_at + tenure_from, activated_at + tenure_to) as at
        from present cross join bands
    ) as banded
    left join left_banded
        on banded.subscription_id = left_banded.subscription_id and banded.stage = left_banded.stage
    where not isempty(banded.at)
    union all
    select region_id, stage, sum(extract(epoch from upper(at) - lower(at)))
    from left_over cross join leaving_stage group by subscription_id, region_id, stage
    union all
    select region_id, 'unknown', extract(epoch from upper(at) - lower(at)) from present
)
select stage, region_id, count(*), (sum(seconds) / 86400)::float8 from spent where seconds > 0
group by 1, 2 order by 1, 2
"""
_COMPLAINTS = """,
complaints as (
    select
        topic, first_channel as channel, region_id, is_linked, subscription_id, started_at, 1 as episodes, 0 as contacts
    from {episodes} inner join period on started_at >= period.began_at and started_at < period.ended_at
    union all
    select topic, channel, region_id, is_linked, subscription_id, started_at, 0, 1
    from {contacts} inner join period on started_at >= period.began_at and started_at < period.ended_at
    where is_customer_initiated and exclusion_reason is null
)"""
#: Index episodes of the period that are old enough to judge, and what became of them in 90 days from the level.
_MATURE = f""",
complaints as (
    select
        topic, first_channel as channel, region_id, true as is_linked, subscription_id, started_at,
        coalesce(party_id, subscription_id) as party,
        coalesce(
            churned_at < level_reached_at + interval '{HORIZON_HOURS} hours'
            and coalesce(churned_at <= competing_at, true), false
        ) as has_left
    from {{outcomes}} inner join period on started_at >= period.began_at and started_at < period.ended_at
    where
        is_index and {NOT_LEFT} and {NOT_CUT_OFF}
        and level_reached_at + interval '{HORIZON_HOURS} hours' <= knowable_until_any
)"""  # noqa: S608 - constants of this module
#: Complaints of the period whose subscription nothing has ended since, with its revenue of the last full month.
_KEPT = """,
complaints as (
    select
        outcomes.topic, outcomes.first_channel as channel, outcomes.region_id, true as is_linked,
        outcomes.subscription_id, outcomes.started_at, coalesce(exposures.last_month_revenue_rub, 0) as revenue_rub
    from {outcomes} as outcomes
    inner join period on outcomes.started_at >= period.began_at and outcomes.started_at < period.ended_at
    inner join {exposures} as exposures on outcomes.episode_id = exposures.episode_id
    where not outcomes.is_left_before and outcomes.churned_at is null and outcomes.competing_at is null
)"""
_STAGED = """,
staged as (
    select
        complaints.*,
        case
            when not complaints.is_linked then 'unknown'
            when leaving.subscription_id is not null then (select stage from leaving_stage)
            when
                complaints.started_at >= subscriptions.activated_at
                and complaints.started_at < subscriptions.terminated_at
                then bands.stage
        end as stage
    from complaints
    left join subscriptions on complaints.subscription_id = subscriptions.subscription_id
    left join bands
        on
            complaints.started_at >= subscriptions.activated_at + bands.tenure_from
            and complaints.started_at < subscriptions.activated_at + bands.tenure_to
    left join leaving
        on
            subscriptions.subscription_id = leaving.subscription_id
            and leaving.at @> complaints.started_at
            and complaints.started_at >= subscriptions.activated_at
            and complaints.started_at < subscriptions.terminated_at
),
placed as (
    select
        staged.*, coalesce(channel, 'unknown') as place_channel, coalesce(stage, 'not_active') as place_stage,
        coalesce(region_id, 'unknown') as place_region
    from staged
)
"""
_KEY = "topic, place_channel, place_stage, place_region"
_COUNTED = f"""
select {_KEY}, sum(episodes)::bigint, sum(contacts)::bigint from placed
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""  # noqa: S608 - constants of this module
_JUDGED = f"""
select {_KEY}, count(*), count(*) filter (where has_left), count(distinct party) from placed
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""  # noqa: S608 - constants of this module
#: A subscription that complained twice of the same has its revenue once.
_EARNED = f"""
select topic, place_channel, place_stage, place_region, count(*), sum(revenue_rub)::float8
from (
    select {_KEY}, subscription_id, max(revenue_rub) as revenue_rub from placed group by 1, 2, 3, 4, 5
) as subscriptions
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True)
class Periods:
    """How far touchpoints look back, in whole days (Moscow): for complaints, and for what became of them."""

    complaint_days: int
    outcome_days: int


def read_periods(conn: Connection, as_of: datetime) -> Periods:
    """How far touchpoints look back, from the seed touchpoint_policy.

    Raises ValueError unless exactly one row of the seed is valid on the (Moscow) day of `as_of`.
    """
    with conn.cursor() as cur:
        query = f"select period_days, outcome_days from seeds.touchpoint_policy where {_VALID}"  # noqa: S608
        cur.execute(query, {"as_of": as_of})
        found = cur.fetchall()
    if len(found) != 1:
        raise ValueError(
            f"seeds.touchpoint_policy: {len(found)} rows are valid as of {as_of.isoformat()}, expected 1. "
            "No outcome was written; correct dbt_project/seeds/touchpoint_policy.csv."
        )
    return Periods(*map(int, found[0]))


def read_exposures(conn: Connection, schema: str, as_of: datetime, days: int) -> dict[tuple[str, str], Exposure]:
    """Subscriptions and their days in the period by (stage, region), and by ('unknown', region) for every stage."""
    rows = _rows(conn, _BASE + _EXPOSURE, schema, as_of, days)
    return {(str(stage), str(region)): Exposure(int(n), float(spent)) for stage, region, n, spent in rows}


def read_complaints(conn: Connection, schema: str, as_of: datetime, days: int) -> list[Complaints]:
    """Complaint episodes that began in the period, and complaint contacts, by touchpoint.

    The stage is the subscription's at that instant; 'not_active' before its activation and after its end, 'unknown'
    when the complaint is matched to nobody.
    """
    return [Complaints(*row) for row in _rows(conn, _BASE + _COMPLAINTS + _STAGED + _COUNTED, schema, as_of, days)]


def read_departures(conn: Connection, schema: str, as_of: datetime, days: int) -> list[Departures]:
    """Index episodes that began in the period and are mature at 90 days, and those that left, by touchpoint."""
    return [Departures(*row) for row in _rows(conn, _BASE + _MATURE + _STAGED + _JUDGED, schema, as_of, days)]


def read_revenue(conn: Connection, schema: str, as_of: datetime, days: int) -> list[Revenue]:
    """Subscriptions that complained in the period and are still there, with their revenue, by touchpoint."""
    return [Revenue(*row) for row in _rows(conn, _BASE + _KEPT + _STAGED + _EARNED, schema, as_of, days)]


def _rows(conn: Connection, query: str, schema: str, as_of: datetime, days: int) -> list[tuple[Any, ...]]:
    tables = {
        "subscriptions": "int_subscriptions",
        "terminations": "int_terminations_resolved",
        "episodes": "int_episodes",
        "contacts": "int_contacts_linked",
        "outcomes": "int_episode_outcomes",
        "exposures": "int_episode_exposures",
    }
    names = {name: sql.Identifier(schema, table) for name, table in tables.items()}
    with conn.cursor() as cur:
        cur.execute(sql.SQL(query).format(**names), {"as_of": as_of, "days": days})
        return cur.fetchall()
