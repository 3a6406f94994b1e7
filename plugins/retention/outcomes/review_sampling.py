"""The weekly pack of cases for review: those that left and those that stayed, matched, in an order that tells nothing.

A pack is drawn once, by the first night of the ISO week (Moscow) whose marts are published, and kept: reviewers' words
refer to a case's number, and late data in mid-week must not change what it stands for. Chance is md5 of week and
episode: the same for everybody, and nobody chooses. Which of a pair left cannot be told from numbers or their order.
"""

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

log = logging.getLogger(__name__)

MOSCOW = ZoneInfo("Europe/Moscow")
HORIZON_DAYS = 90

#: Rows that are not kept: this night's own, and those of nights that were never published.
_FORGET = """
delete from {packs} as packs where as_of = %(as_of)s or batch_id = %(batch_id)s or not exists (
    select from ops.batches where batches.batch_id = packs.batch_id and batches.state = 'published'
)
"""
_DRAW = """
with policy as (
    select pairs_per_week, max_age_days, min_seen_days from seeds.review_policy
    where valid_from <= %(week_on)s and (valid_to is null or %(week_on)s < valid_to)
),
judged as (
    select
        episode_id, level, coalesce(segment, 'unknown') as segment, coalesce(first_vendor_id, sourcing) as vendor,
        date_trunc('month', level_reached_at at time zone 'Europe/Moscow')::date as month_on, level_reached_at,
        churned_at - level_reached_at as seen_for,
        case
            when churned_at < level_reached_at + %(horizon)s * interval '24 hours'
                and (competing_at is null or churned_at <= competing_at) then 'left'
            when competing_at < level_reached_at + %(horizon)s * interval '24 hours' then 'left_involuntary'
            else 'stayed'
        end as outcome,
        md5(%(week_on)s::date::text || '|' || episode_id) as place, policy.*
    from {outcomes} cross join policy
    where is_index and not is_left_before and (competing_at is null or competing_at >= level_reached_at)
        and level_reached_at + %(horizon)s * interval '24 hours' <= knowable_until_any
        and level_reached_at >= %(week_from)s - max_age_days * interval '24 hours'
        and not exists (select from {packs} as packs where packs.episode_id = {outcomes}.episode_id)
),
ranked as (
    select *, row_number() over (
        partition by level, segment, month_on, outcome order by place, episode_id
    ) as place_in_stratum
    from judged
    where outcome = 'stayed' or (outcome = 'left' and seen_for >= min_seen_days * interval '24 hours')
),
-- Grouped, not joined: a row of either outcome stands at each place of a stratum.
placed as (
    select
        max(episode_id) filter (where outcome = 'left') as left_id,
        max(episode_id) filter (where outcome = 'stayed') as stayed_id,
        max(place) filter (where outcome = 'left') as place,
        max(seen_for) filter (where outcome = 'left') as seen_for,
        max(pairs_per_week) as pairs_per_week
    from ranked group by level, segment, month_on, place_in_stratum
),
matched as (
    select *, row_number() over (order by place, left_id) as pair_number
    from placed where left_id is not null and stayed_id is not null
),
counted as (
    select
        count(*) filter (where outcome = 'left') - (select count(*) from matched) as unmatched_left,
        count(*) filter (where outcome = 'stayed') - (select count(*) from matched) as unmatched_stayed
    from ranked
),
drawn as (
    select pair_number, seen_for, ranked.*
    from (
        select pair_number, left_id as episode_id, seen_for from matched where pair_number <= pairs_per_week
        union all
        select pair_number, stayed_id, seen_for from matched where pair_number <= pairs_per_week
    ) as pairs (pair_number, episode_id, seen_for)
    inner join (
        select episode_id, level, segment, vendor, month_on, outcome, level_reached_at from ranked
    ) as ranked using (episode_id)
)
insert into {packs} (
    as_of, batch_id, week_on, case_number, pair_number, episode_id, level, segment, vendor, month_on, outcome,
    level_reached_at, seen_until, unmatched_left, unmatched_stayed
)
select
    %(as_of)s, %(batch_id)s, %(week_on)s,
    row_number() over (order by md5(%(week_on)s::date::text || '|case|' || drawn.episode_id), drawn.episode_id),
    drawn.pair_number, drawn.episode_id, drawn.level, drawn.segment, drawn.vendor, drawn.month_on, drawn.outcome,
    drawn.level_reached_at, drawn.level_reached_at + drawn.seen_for, counted.unmatched_left, counted.unmatched_stayed
from drawn cross join counted
"""


@dataclass(frozen=True)
class Week:
    """An ISO week of Moscow: its Monday, and the instant at which that begins."""

    monday: date
    begins_at: datetime


def week_of(as_of: datetime) -> Week:
    """The week in which a night's interval ends (a night as of Monday 00:00 Moscow is the new week's first)."""
    day = as_of.astimezone(MOSCOW).date()
    monday = day - timedelta(days=day.weekday())
    return Week(monday, datetime(monday.year, monday.month, monday.day, tzinfo=MOSCOW))


def draw_reviews(cur: Cursor, as_of: datetime, batch_id: int, intermediate_schema: str, outcomes_schema: str) -> int:
    """Draw this week's pack into `outcomes_schema`.case_review unless a published night has; returns the cases drawn.

    Candidates are index episodes that are mature at 90 days, not older than the policy's days, and in no earlier pack.
    One that left is matched with one that stayed of the same level, segment and month (Moscow) of reaching the level.
    Both are to be seen up to as many days after that as the one that left was still there.
    """
    week = week_of(as_of)
    packs = sql.Identifier(outcomes_schema, "case_review")
    values = {
        "as_of": as_of, "batch_id": batch_id, "week_on": week.monday, "week_from": week.begins_at,
        "horizon": HORIZON_DAYS,
    }  # fmt: skip
    cur.execute(sql.SQL(_FORGET).format(packs=packs), values)
    cur.execute(sql.SQL("select count(*) from {} where week_on = %(week_on)s").format(packs), values)
    (kept,) = cur.fetchone() or (0,)
    if kept:
        return 0
    outcomes = sql.Identifier(intermediate_schema, "int_episode_outcomes")
    cur.execute(sql.SQL(_DRAW).format(packs=packs, outcomes=outcomes), values)
    log.info("review of the week of %s: %d cases drawn", week.monday, cur.rowcount)
    return cur.rowcount
