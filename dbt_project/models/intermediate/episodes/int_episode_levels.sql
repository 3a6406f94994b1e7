-- Grain: one row per episode and interval of validity of its risk level, half-open; it only rises.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

signals as (
    select * from {{ ref('int_episode_signals') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

ordered as (
    select
        signals.*,
        -- At one instant the strongest level counts.
        row_number() over (
            partition by episode_id
            order by
                fired_at asc,
                level_rank desc,
                known_at asc,
                coalesce(contact_id, '') asc,
                coalesce(subscription_event_id, '') asc,
                coalesce(ticket_event_id, '') asc,
                coalesce(phrase_id, '') asc,
                coalesce(starts_at_char, 0) asc
        ) as signal_number
    from signals
),

compared as (
    select
        ordered.*,
        coalesce(
            max(level_rank) over (
                partition by episode_id order by signal_number rows between unbounded preceding and 1 preceding
            ),
            0
        ) as rank_before
    from ordered
),

rises as (
    select
        compared.*,
        lead(fired_at) over (partition by episode_id order by signal_number) as valid_to
    from compared
    where level_rank > rank_before
)

select
    rises.episode_id,
    rises.subject_id,
    rises.level,
    rises.level_rank,
    rises.level_rank >= 3 or (rises.level_rank = 2 and episodes.segment in ('vip', 'corporate')) as is_sensitive,
    rises.fired_at as valid_from,
    rises.valid_to,
    rises.known_at,
    rises.rule_id,
    rises.rule_version,
    rises.is_own_words,
    rises.contact_id,
    rises.earlier_contact_id,
    rises.phrase_id,
    rises.starts_at_char,
    rises.ends_at_char,
    rises.ticket_event_id,
    rises.subscription_event_id,
    rises.order_id
from rises
inner join episodes on rises.episode_id = episodes.episode_id
