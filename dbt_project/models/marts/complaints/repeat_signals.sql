-- Grain: one row per repeat: a customer who came back on the same topic within 30 days, with both contacts.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

repeats as (
    select * from {{ ref('int_contact_repeats') }}
    where is_repeat_30d
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
)

select
    repeats.contact_id,
    repeats.earlier_contact_id,
    contacts.subscription_id,
    contacts.party_id,
    contacts.segment,
    contacts.region_id,
    repeats.topic,
    contacts.topic_level_1,
    episode_contacts.episode_id,
    earlier_episodes.episode_id as earlier_episode_id,
    contacts.channel,
    earlier.channel as earlier_channel,
    contacts.channel <> earlier.channel as is_other_channel,
    contacts.ticket_id,
    earlier.ticket_id as earlier_ticket_id,
    contacts.started_at,
    earlier.started_at as earlier_started_at,
    earlier.ended_at as earlier_ended_at,
    {{ seconds_between('earlier.ended_at', 'contacts.started_at') }} / 3600.0 as gap_hours,
    {{ seconds_between('repeats.counted_from', 'contacts.started_at') }} / 3600.0 as hours_counted,
    contacts.agent_id,
    earlier.agent_id as earlier_agent_id,
    contacts.team_id,
    earlier.team_id as earlier_team_id,
    repeats.earlier_resolved_at is not null as was_earlier_resolved,
    repeats.earlier_resolved_at,
    repeats.is_repeat_7d,
    repeats.is_repeat_30d,
    contacts.duplicate_of_contact_id,
    run.batch_id as _batch_id
from repeats
cross join run
inner join contacts on repeats.contact_id = contacts.contact_id
inner join contacts as earlier on repeats.earlier_contact_id = earlier.contact_id
left join episode_contacts on repeats.contact_id = episode_contacts.contact_id
left join episode_contacts as earlier_episodes on repeats.earlier_contact_id = earlier_episodes.contact_id
