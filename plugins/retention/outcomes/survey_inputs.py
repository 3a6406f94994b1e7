"""Reads survey invitations, and the cases that could have been asked about, as numeric frames."""

from datetime import datetime

import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.frames import read_frame

#: Invitations that nothing excludes. `opinion`: satisfied 1, not 0; promoter 1, passive 0, detractor -1; NaN without an
#: answer that counts. Times ending in _s are seconds since the time to answer had passed, NaN when not known to have
#: happened.
SURVEY_COLUMNS = {
    "kind": ("code", "survey_kind"),
    "level": ("code", "coalesce(level, 'unknown')"),
    "segment": ("code", "segment"),
    "product": ("code", "coalesce(product, 'unknown')"),
    "team": ("code", "coalesce(team_id, 'unknown')"),
    "vendor": ("code", "coalesce(vendor_id, sourcing)"),
    "sourcing": ("code", "sourcing"),
    "month": ("code", "to_char(sent_at at time zone 'Europe/Moscow', 'YYYY-MM')"),
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id, invitation_id), 0)"),
    "is_elapsed": ("bool", "is_window_elapsed"),
    "opinion": (
        "float64",
        (
            "case when is_satisfied or nps_group = 'promoter' then 1 when nps_group = 'detractor' then -1 "
            "when not is_satisfied or nps_group = 'passive' then 0 end"
        ),
    ),
    "is_gone": ("bool", "is_gone_when_window_ends or subscription_id is null"),
    "churn_s": ("float64", "extract(epoch from churned_at - window_ends_at)::float8"),
    "competing_s": ("float64", "extract(epoch from competing_at - window_ends_at)::float8"),
    "followed_s": ("float64", "coalesce(extract(epoch from knowable_until_any - window_ends_at)::float8, 0)"),
}
#: Cases 30 days old or more. A sign is 1 in a good case, 0 in a bad one, -1 where it says nothing (a contact without a
#: ticket is neither resolved nor open).
GOOD_SIGNS = ("resolved", "not_sensitive", "not_repeated", "in_time")
OCCASION_COLUMNS = {
    "level": ("code", "coalesce(level, 'unknown')"),
    "segment": ("code", "segment"),
    "team": ("code", "team"),
    "vendor": ("code", "vendor"),
    "sourcing": ("code", "sourcing"),
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id), 0)"),
    "is_invited": ("bool", "is_invited"),
    **{sign: ("int8", sign) for sign in GOOD_SIGNS},
}
#: One row per ticket (merged ones are one) in which a customer complained, or contact without one: its first complaint
#: contact. Reviews and what others say on the subscriber's behalf are nothing to ask about.
OCCASIONS = """(
    with firsts as (
        select repeats.*, contacts.root_ticket_id,
            row_number() over (
                partition by coalesce(contacts.root_ticket_id, contacts.contact_id)
                order by repeats.started_at, repeats.contact_id
            ) as contact_rank
        from {schema}.int_repeat_contacts as repeats
        inner join {schema}.int_contacts_linked as contacts on repeats.contact_id = contacts.contact_id
        where contacts.kind <> 'review' and not contacts.is_on_behalf
    ),
    invited as (
        select distinct coalesce(tickets.root_ticket_id, answers.ticket_id, answers.contact_id) as occasion_id
        from {schema}.int_survey_answers as answers
        left join {schema}.int_tickets_resolved as tickets on answers.ticket_id = tickets.ticket_id
        where answers.survey_kind <> 'relational_nps'
    ),
    sensitive as (
        select episode_id from {schema}.int_episode_levels group by episode_id having bool_or(is_sensitive)
    ),
    clocks as (
        select ticket_id, bool_or(
            date_trunc('second', stopped_at) > due_at or (stopped_at is null and due_at < {as_of})
        ) as is_breached
        from {schema}.int_clocks
        where due_at is not null and exclusion_reason is null and not coalesce(resolved_on_trigger, false)
        group by ticket_id
    )
    select firsts.contact_id, firsts.level, coalesce(firsts.segment, 'unknown') as segment, firsts.party_id,
        firsts.subscription_id, coalesce(episodes.first_team_id, 'unknown') as team,
        coalesce(episodes.first_vendor_id, episodes.sourcing, 'unknown') as vendor,
        coalesce(episodes.sourcing, 'unknown') as sourcing, invited.occasion_id is not null as is_invited,
        coalesce((not tickets.is_open)::int, -1) as resolved,
        (sensitive.episode_id is null)::int as not_sensitive,
        (not (firsts.has_repeat_30d or firsts.is_repeat_30d))::int as not_repeated,
        coalesce((not clocks.is_breached)::int, -1) as in_time
    from firsts
    left join {schema}.int_episode_outcomes as episodes on firsts.episode_id = episodes.episode_id
    left join {schema}.int_tickets_resolved as tickets on firsts.root_ticket_id = tickets.ticket_id
    left join invited on coalesce(firsts.root_ticket_id, firsts.contact_id) = invited.occasion_id
    left join sensitive on firsts.episode_id = sensitive.episode_id
    left join clocks on firsts.root_ticket_id = clocks.ticket_id
    where firsts.contact_rank = 1 and firsts.is_window_30d_elapsed
) as occasions"""


def read_surveys(conn: Connection, schema: str) -> pd.DataFrame:
    """Delivered invitations that nothing excludes, from `schema`.int_survey_answers, one row each (SURVEY_COLUMNS)."""
    source = sql.Identifier(schema, "int_survey_answers")
    return read_frame(conn, source, "invitation_id", SURVEY_COLUMNS, "excluded_because is null")


def read_occasions(conn: Connection, schema: str, as_of: datetime) -> pd.DataFrame:
    """Cases that a customer could have been asked about, one row each (OCCASION_COLUMNS)."""
    source = sql.SQL(OCCASIONS).format(schema=sql.Identifier(schema), as_of=sql.Literal(as_of))
    return read_frame(conn, source, "contact_id", OCCASION_COLUMNS, "true")


def read_max_gap(conn: Connection, as_of: datetime) -> float:
    """How much more often good cases may be asked than bad ones, on the (Moscow) day of `as_of`: seed survey_policy.

    Raises ValueError unless exactly one row of the seed is valid then.
    """
    with conn.cursor() as cur:
        cur.execute(
            "select max_invitation_gap from seeds.survey_policy "
            "cross join (select (%s at time zone 'Europe/Moscow')::date) as day (on_day) "
            "where valid_from <= on_day and (valid_to is null or on_day < valid_to)",
            (as_of,),
        )
        found = [float(gap) for (gap,) in cur.fetchall()]
    if len(found) != 1:
        raise ValueError(
            f"seeds.survey_policy: {len(found)} rows are valid as of {as_of.isoformat()}, expected 1. "
            "No outcome was written; correct dbt_project/seeds/survey_policy.csv."
        )
    return found[0]
