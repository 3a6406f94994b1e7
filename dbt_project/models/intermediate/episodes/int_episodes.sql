-- Grain: one row per complaint episode: a subject's grievance on one topic, until the gap has passed.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

intervals as (
    select * from {{ ref('int_ticket_intervals') }}
),

totals as (
    select
        episode_contacts.episode_id,
        max(episode_contacts.started_at) as last_contact_at,
        max(episode_contacts.held_until) as held_until,
        count(*) as contact_count,
        sum(case when contacts.is_customer_initiated then 1 else 0 end) as customer_contact_count,
        count(distinct contacts.root_ticket_id) as ticket_count,
        max(case when contacts.is_on_behalf then 1 else 0 end) as on_behalf_count
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    group by episode_contacts.episode_id
),

-- A ticket may have been resolved before, in an earlier episode.
resolutions as (
    select
        episode_contacts.episode_id,
        min(intervals.closed_at) as first_resolved_at
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    inner join intervals
        on contacts.root_ticket_id = intervals.ticket_id and contacts.started_at <= intervals.closed_at
    where episode_contacts.contact_position = 1
    group by episode_contacts.episode_id
)

select
    episode_contacts.episode_id,
    episode_contacts.subject_id,
    contacts.is_linked,
    contacts.subscription_id,
    contacts.party_id,
    contacts.segment,
    contacts.product,
    contacts.region_id,
    contacts.topic,
    contacts.topic_level_1,
    contacts.channel as first_channel,
    contacts.contact_id as first_contact_id,
    contacts.root_ticket_id as first_ticket_id,
    -- Whoever took the contact only where the ticket names nobody: an agent is not put into the team of another.
    case
        when coalesce(tickets.first_agent_id, tickets.first_team_id) is null then contacts.agent_id
        when tickets.first_agent_id is null and tickets.first_team_id = contacts.team_id then contacts.agent_id
        else tickets.first_agent_id
    end as first_agent_id,
    case
        when coalesce(tickets.first_agent_id, tickets.first_team_id) is null then contacts.team_id
        when tickets.first_team_id is null and tickets.first_agent_id = contacts.agent_id then contacts.team_id
        else tickets.first_team_id
    end as first_team_id,
    totals.contact_count,
    totals.customer_contact_count,
    totals.ticket_count,
    totals.on_behalf_count > 0 as is_on_behalf,
    contacts.started_at,
    totals.last_contact_at,
    resolutions.first_resolved_at,
    -- Empty while a ticket of it is open: an unresolved episode does not close.
    case when totals.held_until < timestamptz '9999-12-31 00:00:00+00' then totals.held_until end as closes_at
from episode_contacts
inner join contacts on episode_contacts.contact_id = contacts.contact_id
inner join totals on episode_contacts.episode_id = totals.episode_id
left join tickets on contacts.root_ticket_id = tickets.ticket_id
left join resolutions on episode_contacts.episode_id = resolutions.episode_id
where episode_contacts.contact_position = 1
