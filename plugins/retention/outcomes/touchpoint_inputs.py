"""Reads touchpoints' complaints and exposure as aggregates: a row for each cell, never for a subscription."""

from datetime import datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.touchpoints import Complaints, Exposure

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
),
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
)
select
    topic, coalesce(channel, 'unknown'), coalesce(stage, 'not_active'), coalesce(region_id, 'unknown'),
    sum(episodes)::bigint, sum(contacts)::bigint
from staged group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""


def read_period_days(conn: Connection, as_of: datetime) -> int:
    """How far touchpoints look back, from the seed touchpoint_policy.

    Raises ValueError unless exactly one row of the seed is valid on the (Moscow) day of `as_of`.
    """
    with conn.cursor() as cur:
        cur.execute(f"select period_days from seeds.touchpoint_policy where {_VALID}", {"as_of": as_of})  # noqa: S608
        found = cur.fetchall()
    if len(found) != 1:
        raise ValueError(
            f"seeds.touchpoint_policy: {len(found)} rows are valid as of {as_of.isoformat()}, expected 1. "
            "No outcome was written; correct dbt_project/seeds/touchpoint_policy.csv."
        )
    return int(found[0][0])


def read_exposures(conn: Connection, schema: str, as_of: datetime, days: int) -> dict[tuple[str, str], Exposure]:
    """Subscriptions and their days in the period by (stage, region), and by ('unknown', region) for every stage."""
    rows = _rows(conn, _BASE + _EXPOSURE, schema, as_of, days)
    return {(str(stage), str(region)): Exposure(int(n), float(spent)) for stage, region, n, spent in rows}


def read_complaints(conn: Connection, schema: str, as_of: datetime, days: int) -> list[Complaints]:
    """Complaint episodes that began in the period, and complaint contacts, by touchpoint.

    The stage is the subscription's at that instant; 'not_active' before its activation and after its end, 'unknown'
    when the complaint is matched to nobody.
    """
    return [Complaints(*row) for row in _rows(conn, _BASE + _COMPLAINTS, schema, as_of, days)]


def _rows(conn: Connection, query: str, schema: str, as_of: datetime, days: int) -> list[tuple[Any, ...]]:
    tables = {
        "subscriptions": "int_subscriptions",
        "terminations": "int_terminations_resolved",
        "episodes": "int_episodes",
        "contacts": "int_contacts_linked",
    }
    names = {name: sql.Identifier(schema, table) for name, table in tables.items()}
    with conn.cursor() as cur:
        cur.execute(sql.SQL(query).format(**names), {"as_of": as_of, "days": days})
        return cur.fetchall()
