-- Grain: one row per deed on a case that rose to a sensitive level: an action, a contact or a dial of ours, whoever's.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

triggers as (
    select * from {{ ref('int_escalations_routed') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

escalated as (
    select
        episode_id,
        subscription_id,
        topic,
        min(triggered_at) as triggered_at
    from triggers
    group by episode_id, subscription_id, topic
),

episodes as (
    select
        escalated.*,
        episodes.subject_id,
        coalesce(episodes.closes_at, timestamptz '9999-12-31 00:00:00+00') as ends_at
    from escalated
    inner join {{ ref('int_episodes') }} as episodes on escalated.episode_id = episodes.episode_id
),

episode_tickets as (
    select distinct
        episodes.episode_id,
        contacts.root_ticket_id
    from episodes
    inner join episode_contacts on episodes.episode_id = episode_contacts.episode_id
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

-- What a merged ticket's log says is about its root's case.
member_tickets as (
    select
        episode_tickets.episode_id,
        tickets.ticket_id
    from episode_tickets
    inner join {{ ref('int_tickets_resolved') }} as tickets on episode_tickets.root_ticket_id = tickets.root_ticket_id
),

-- By ticket and by subscription apart: each is looked up by an index.
deeds as (
    select
        member_tickets.episode_id,
        staged.agent_id,
        cast(null as text) as vendor_id,
        staged.action_at as deed_at
    from member_tickets
    inner join {{ ref('stg_helpdesk__retention_actions') }} as staged on member_tickets.ticket_id = staged.ticket_id
    cross join run
    where staged.step <> 'handover' and {{ is_visible('staged.action_at', 'staged.recorded_at') }}
    union all
    select
        episodes.episode_id,
        staged.agent_id,
        cast(null as text) as vendor_id,
        staged.action_at as deed_at
    from episodes
    inner join {{ ref('stg_helpdesk__retention_actions') }} as staged
        on
            episodes.subscription_id = staged.subscription_id
            and episodes.triggered_at <= staged.action_at
            and episodes.ends_at > staged.action_at
    cross join run
    where
        staged.ticket_id is null
        and staged.step <> 'handover'
        and {{ is_visible('staged.action_at', 'staged.recorded_at') }}
    union all
    -- An attempt counts as an action of the owner, not as a contact.
    select
        episode_tickets.episode_id,
        contacts.agent_id,
        cast(null as text) as vendor_id,
        contacts.started_at as deed_at
    from contacts
    inner join episode_tickets on contacts.root_ticket_id = episode_tickets.root_ticket_id
    left join agents on contacts.agent_id = agents.agent_id
    where contacts.direction = 'outbound' and {{ is_human_contact('contacts', 'agents') }}
    union all
    select
        episodes.episode_id,
        contacts.agent_id,
        cast(null as text) as vendor_id,
        contacts.started_at as deed_at
    from contacts
    inner join episodes
        on
            contacts.subject_id = episodes.subject_id
            and contacts.topic = episodes.topic
            and contacts.started_at >= episodes.triggered_at
            and contacts.started_at < episodes.ends_at
    left join agents on contacts.agent_id = agents.agent_id
    where
        contacts.root_ticket_id is null
        and contacts.direction = 'outbound'
        and {{ is_human_contact('contacts', 'agents') }}
    union all
    -- A vendor's dials do not say whose hand it was.
    select
        member_tickets.episode_id,
        cast(null as text) as agent_id,
        staged.vendor_id,
        staged.attempted_at as deed_at
    from member_tickets
    inner join {{ ref('stg_vendor__call_attempts') }} as staged on member_tickets.ticket_id = staged.ticket_id
    cross join run
    where {{ is_visible('staged.attempted_at', 'staged.recorded_at') }}
    union all
    select
        episodes.episode_id,
        cast(null as text) as agent_id,
        staged.vendor_id,
        staged.attempted_at as deed_at
    from episodes
    inner join {{ ref('stg_vendor__call_attempts') }} as staged
        on
            episodes.subscription_id = staged.subscription_id
            and episodes.triggered_at <= staged.attempted_at
            and episodes.ends_at > staged.attempted_at
    cross join run
    where
        staged.ticket_id is null
        and staged.received_at is not null
        and {{ is_visible('staged.attempted_at', 'staged.recorded_at') }}
)

select
    deeds.episode_id,
    episodes.subject_id,
    deeds.agent_id,
    deeds.vendor_id,
    deeds.deed_at
from deeds
inner join episodes on deeds.episode_id = episodes.episode_id
