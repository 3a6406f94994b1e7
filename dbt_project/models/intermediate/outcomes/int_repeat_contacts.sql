-- Grain: one row per complaint contact that a customer of ours began: did the customer come back, and can it be said?
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

repeats as (
    select * from {{ ref('int_contact_repeats') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

policy as (
    select * from {{ ref('episode_policy') }}
)

select
    repeats.contact_id,
    contacts.subscription_id,
    contacts.party_id,
    contacts.segment,
    levels.level,
    episode_contacts.episode_id,
    repeats.topic,
    repeats.started_at,
    repeats.ended_at,
    repeats.anchor_at,
    repeats.next_contact_id,
    repeats.has_repeat_7d,
    repeats.has_repeat_30d,
    repeats.is_repeat_7d,
    repeats.is_repeat_30d,
    repeats.earlier_contact_id,
    {{ add_days('repeats.anchor_at', 'policy.repeat_short_days') }} <= run.as_of as is_window_7d_elapsed,
    {{ add_days('repeats.anchor_at', 'policy.repeat_long_days') }} <= run.as_of as is_window_30d_elapsed,
    episode_contacts.contact_position = 1 as is_first_contact
from repeats
cross join run
inner join contacts on repeats.contact_id = contacts.contact_id
inner join policy on {{ was_valid('policy', 'repeats.started_at') }}
inner join episode_contacts on repeats.contact_id = episode_contacts.contact_id
-- The level in force when the contact began.
left join levels
    on
        episode_contacts.episode_id = levels.episode_id
        and repeats.started_at >= levels.valid_from
        and (levels.valid_to is null or repeats.started_at < levels.valid_to)
where contacts.is_linked
