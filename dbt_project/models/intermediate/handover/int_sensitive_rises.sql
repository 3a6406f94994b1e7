-- Grain: one row per rise of an episode to a sensitive level, anew after each downgrade by hand.
-- Until the first downgrade these are the episode's levels; afterwards what the history says of new evidence.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

levels as (
    select * from {{ ref('int_episode_levels') }}
    where is_sensitive and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

history as (
    select * from {{ ref('int_level_history') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

compared as (
    select
        history.*,
        lag(level_rank) over (partition by episode_id order by valid_from) as rank_before
    from history
),

-- Only a person lowers a level; what is between two of those is a stretch of its own.
stretched as (
    select
        compared.*,
        cast(
            sum(case when level_rank < rank_before then 1 else 0 end) over (
                partition by episode_id order by valid_from rows between unbounded preceding and current row
            ) as integer
        ) as stretch
    from compared
),

first_downgrades as (
    select
        episode_id,
        min(valid_from) as lowered_at
    from stretched
    where stretch > 0
    group by episode_id
)

select
    levels.episode_id,
    levels.subject_id,
    0 as stretch,
    levels.level,
    levels.level_rank,
    levels.valid_from,
    levels.known_at,
    levels.rule_id,
    levels.rule_version,
    levels.contact_id,
    levels.earlier_contact_id,
    levels.phrase_id,
    levels.starts_at_char,
    levels.ends_at_char,
    levels.ticket_event_id,
    levels.subscription_event_id,
    levels.order_id
from levels
left join first_downgrades on levels.episode_id = first_downgrades.episode_id
-- Of one instant the person's word is the last.
where first_downgrades.lowered_at is null or levels.valid_from <= first_downgrades.lowered_at
union all
select
    episode_id,
    subject_id,
    stretch,
    level,
    level_rank,
    valid_from,
    known_at,
    rule_id,
    rule_version,
    contact_id,
    earlier_contact_id,
    phrase_id,
    starts_at_char,
    ends_at_char,
    ticket_event_id,
    subscription_event_id,
    order_id
from stretched
where stretch > 0 and is_sensitive and level_rank > rank_before
