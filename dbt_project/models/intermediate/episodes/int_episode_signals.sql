-- Grain: one row per episode, rule that fired in it, and piece of evidence: those of its contacts, and orders to leave.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contact_signals as (
    select * from {{ ref('int_contact_signals') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

orders as (
    select staged.*
    from {{ ref('stg_crm__subscription_events') }} as staged
    cross join run
    where
        staged.kind in ('port_request', 'disconnect_order')
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
        and {{ is_touched('int_subjects_touched', 'subject_id', 'staged.subscription_id') }}
),

level_rules as (
    select * from {{ ref('level_rules') }}
),

overrides as (
    select * from {{ ref('int_level_overrides') }}
    where ignored_because is null and level_rank > 0 and {{ is_touched('int_subjects_touched', 'subject_id') }}
)

select
    episode_contacts.episode_id,
    contact_signals.subject_id,
    contact_signals.rule_id,
    contact_signals.rule_version,
    contact_signals.level,
    contact_signals.level_rank,
    contact_signals.fired_at,
    contact_signals.known_at,
    contact_signals.is_own_words,
    contact_signals.contact_id,
    contact_signals.earlier_contact_id,
    contact_signals.phrase_id,
    contact_signals.starts_at_char,
    contact_signals.ends_at_char,
    contact_signals.ticket_event_id,
    cast(null as text) as subscription_event_id,
    cast(null as text) as order_id
from contact_signals
inner join episode_contacts on contact_signals.contact_id = episode_contacts.contact_id
union all
select
    episodes.episode_id,
    episodes.subject_id,
    level_rules.rule_id,
    level_rules.rule_version,
    level_rules.level,
    level_rules.level_rank,
    orders.event_at as fired_at,
    orders.recorded_at as known_at,
    false as is_own_words,
    cast(null as text) as contact_id,
    cast(null as text) as earlier_contact_id,
    cast(null as text) as phrase_id,
    cast(null as integer) as starts_at_char,
    cast(null as integer) as ends_at_char,
    cast(null as text) as ticket_event_id,
    orders.subscription_event_id,
    orders.order_id
from episodes
inner join orders
    on
        episodes.subscription_id = orders.subscription_id
        and episodes.started_at <= orders.event_at
        and (episodes.closes_at is null or episodes.closes_at >= orders.event_at)
inner join level_rules
    on level_rules.rule_id = 'leaving_order' and {{ was_valid('level_rules', 'orders.event_at') }}
union all
-- A level that a person set by hand; whether it rose by that is seen in the levels.
select
    episode_id,
    subject_id,
    'override' as rule_id,
    rule_version,
    level,
    level_rank,
    in_force_from as fired_at,
    known_at,
    false as is_own_words,
    cast(null as text) as contact_id,
    cast(null as text) as earlier_contact_id,
    cast(null as text) as phrase_id,
    cast(null as integer) as starts_at_char,
    cast(null as integer) as ends_at_char,
    ticket_event_id,
    cast(null as text) as subscription_event_id,
    cast(null as text) as order_id
from overrides
