-- Grain: one row per complaint episode (a subject's grievance on a topic): its level with evidence, and what followed.
-- Outcome anchors are instants; whether a horizon has passed is judged in complaint_to_churn.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
),

-- Without overrides levels only rise: the last one is the highest reached.
highest_levels as (
    select * from levels
    where valid_to is null
),

current_levels as (
    select * from {{ ref('int_level_history') }}
    where valid_to is null
),

sensitive_since as (
    select
        episode_id,
        min(valid_from) as sensitive_at
    from levels
    where is_sensitive
    group by episode_id
)

select
    episodes.episode_id,
    episodes.is_linked,
    episodes.subscription_id,
    episodes.party_id,
    episodes.segment,
    episodes.product,
    episodes.region_id,
    episodes.topic,
    episodes.topic_level_1,
    episodes.first_channel,
    episodes.first_contact_id,
    episodes.first_ticket_id,
    -- Both from one place: an agent is not put into the team of another.
    case
        when outcomes.episode_id is null then episodes.first_agent_id else outcomes.first_agent_id
    end as first_agent_id,
    case
        when outcomes.episode_id is null then episodes.first_team_id else outcomes.first_team_id
    end as first_team_id,
    cast(episodes.contact_count as bigint) as contact_count,
    cast(episodes.customer_contact_count as bigint) as customer_contact_count,
    cast(episodes.ticket_count as bigint) as ticket_count,
    episodes.is_on_behalf,
    episodes.started_at,
    episodes.last_contact_at,
    episodes.first_resolved_at,
    episodes.closes_at,
    coalesce(episodes.closes_at <= run.as_of, false) as is_closed,
    current_levels.level,
    current_levels.valid_from as level_reached_at,
    current_levels.known_at as level_known_at,
    current_levels.rule_id,
    current_levels.rule_version,
    current_levels.phrase_id,
    current_levels.starts_at_char as phrase_starts_at_char,
    current_levels.ends_at_char as phrase_ends_at_char,
    current_levels.contact_id as evidence_contact_id,
    current_levels.earlier_contact_id as evidence_earlier_contact_id,
    current_levels.order_id as evidence_order_id,
    current_levels.ticket_event_id as evidence_ticket_event_id,
    current_levels.override_reason,
    highest_levels.level as highest_level,
    highest_levels.valid_from as highest_level_reached_at,
    current_levels.is_sensitive as is_sensitive_now,
    sensitive_since.sensitive_at is not null as is_sensitive,
    sensitive_since.sensitive_at,
    outcomes.level as outcome_level,
    outcomes.level_reached_at as outcome_level_reached_at,
    outcomes.is_left_before,
    outcomes.is_same_day_tie,
    -- Of a tie the reading that the instants do not take; of all others there is one.
    case
        when outcomes.is_same_day_tie then not outcomes.is_left_before else outcomes.is_left_before
    end as is_left_before_other_reading,
    outcomes.churned_at,
    outcomes.churn_kind,
    outcomes.competing_at,
    outcomes.competing_kind,
    outcomes.returned_at,
    outcomes.is_silent_at_complaint,
    -- Whether revenue came is said only when all of its 30 days are known.
    case
        when {{ add_days('outcomes.level_reached_at', 30) }} <= outcomes.knowable_until_usage
            then outcomes.is_silent_30d
    end as is_silent_30d,
    outcomes.is_index,
    outcomes.first_vendor_id,
    outcomes.sourcing,
    outcomes.knowable_until_order,
    outcomes.knowable_until_any,
    run.as_of,
    run.batch_id as _batch_id
from episodes
cross join run
left join current_levels on episodes.episode_id = current_levels.episode_id
left join highest_levels on episodes.episode_id = highest_levels.episode_id
left join sensitive_since on episodes.episode_id = sensitive_since.episode_id
left join outcomes on episodes.episode_id = outcomes.episode_id
