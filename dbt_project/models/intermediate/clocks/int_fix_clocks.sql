-- Grain: one row per incident and subscription that complained of it: from the restoration until it was told.
-- It complained of it when an episode on the network's topics was open while the service was down.
{{ config(**recomputed('int_subjects_touched', 'subject_id')) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

policy as (
    select * from {{ ref('contact_policy') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where is_linked and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

incidents as (
    select staged.*
    from {{ ref('stg_helpdesk__incidents') }} as staged
    cross join run
    where {{ is_visible('staged.started_at', 'staged.updated_at') }}
),

impacts as (
    select staged.*
    from {{ ref('stg_helpdesk__incident_impacts') }} as staged
    cross join run
    where
        {{ is_visible('staged.started_at', 'staged.updated_at') }}
        and {{ is_touched('int_subjects_touched', 'subject_id', 'staged.subscription_id') }}
),

outages as (
    select
        impacts.incident_id,
        impacts.subscription_id,
        min(impacts.started_at) as started_at,
        max(coalesce(impacts.ended_at, incidents.restored_at)) as restored_at,
        -- Whoever tells of the end knows it; the impact's row may be older.
        max(case when impacts.ended_at is null then incidents.updated_at else impacts.updated_at end) as known_at,
        count(*) - count(coalesce(impacts.ended_at, incidents.restored_at)) as unended_count
    from impacts
    left join incidents on impacts.incident_id = incidents.incident_id
    group by impacts.incident_id, impacts.subscription_id
),

restored as (
    select
        outages.*,
        episodes.episode_id,
        episodes.subject_id,
        episodes.first_ticket_id,
        policy.incident_topic_level_1,
        row_number() over (
            partition by outages.incident_id, outages.subscription_id
            order by episodes.started_at desc, episodes.episode_id asc
        ) as episode_number
    from outages
    cross join run
    inner join policy on {{ was_valid('policy', 'outages.restored_at') }}
    inner join episodes
        on
            outages.subscription_id = episodes.subscription_id
            and policy.incident_topic_level_1 = episodes.topic_level_1
            and outages.restored_at > episodes.started_at
            and (episodes.closes_at is null or outages.started_at < episodes.closes_at)
    where outages.unended_count = 0 and outages.restored_at < run.as_of
),

-- A message to all of them is sent by a machine, and is a notice all the same.
notices as (
    select
        contacts.contact_id,
        contacts.subject_id,
        contacts.topic_level_1,
        contacts.started_at
    from contacts
    inner join policy on {{ was_valid('policy', 'contacts.started_at') }}
    left join agents on contacts.agent_id = agents.agent_id
    where
        contacts.direction = 'outbound'
        and (
            contacts.channel = 'sms'
            or (
                {{ is_human_contact('contacts', 'agents') }}
                and (contacts.channel <> 'call' or contacts.connected_seconds >= policy.connected_seconds)
            )
        )
),

told as (
    select
        restored.incident_id,
        restored.subscription_id,
        notices.contact_id,
        notices.started_at as told_at,
        row_number() over (
            partition by restored.incident_id, restored.subscription_id
            order by notices.started_at, notices.contact_id
        ) as notice_number
    from restored
    inner join notices
        on
            restored.subject_id = notices.subject_id
            and restored.incident_topic_level_1 = notices.topic_level_1
            and restored.restored_at < notices.started_at
    where restored.episode_number = 1
)

select
    'informed_of_fix' as clock,
    restored.incident_id || '|' || restored.subscription_id as clock_of,
    restored.episode_id,
    restored.subject_id,
    restored.first_ticket_id as ticket_id,
    cast(null as text) as contact_id,
    cast(null as text) as level,
    cast(null as integer) as level_rank,
    cast(null as text) as team_id,
    cast(null as text) as vendor_id,
    restored.restored_at as started_at,
    restored.known_at as detected_at,
    told.told_at as stopped_at,
    told.contact_id as stop_contact_id,
    cast(null as text) as stop_attempt_id,
    cast(null as text) as exclusion_reason,
    false as resolved_on_trigger,
    false as is_skewed
from restored
left join told
    on
        restored.incident_id = told.incident_id
        and restored.subscription_id = told.subscription_id
        and told.notice_number = 1
where restored.episode_number = 1
