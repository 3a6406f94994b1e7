-- Grain: one row per subject (subscription, or what stands for it) to recompute tonight.
-- A table that is asked in several ways is named in each: a CTE that is read twice is materialised, whole.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

keys as (
    select * from {{ ref('stg_raw__keys_touched') }}
),

contacts_touched as (
    select * from {{ ref('int_contacts_touched') }}
),

contact_subjects as (
    select * from {{ ref('int_contact_subjects') }}
),

subscription_events as (
    select * from {{ ref('stg_crm__subscription_events') }}
),

memberships as (
    select * from {{ ref('stg_helpdesk__team_memberships') }}
),

attempts as (
    select * from {{ ref('stg_vendor__call_attempts') }}
),

incidents as (
    select * from {{ ref('stg_helpdesk__incidents') }}
),

routing_rules as (
    select * from {{ ref('routing_rules') }}
),

incidents_touched as (
    select entity_id as incident_id
    from keys
    where entity = 'incident'
    union
    select incidents.incident_id
    from incidents
    cross join run
    where
        {{ became_visible('incidents.started_at', 'incidents.updated_at') }}
        or incidents.restored_at >= run.prev_as_of
),

actions_now_visible as (
    select
        actions.ticket_id,
        actions.subscription_id
    from {{ ref('stg_helpdesk__retention_actions') }} as actions
    cross join run
    where {{ became_visible('actions.action_at', 'actions.recorded_at') }}
),

-- Whose agents, teams or regions changed: who owned a case, and at which hour it arrived.
agents_touched as (
    select entity_id as agent_id
    from keys
    where entity = 'agent'
),

teams_touched as (
    select entity_id as team_id
    from keys
    where entity = 'team'
),

regions_touched as (
    select entity_id as region_id
    from keys
    where entity = 'region'
),

-- An owner is also whoever is in a team that changed.
owners as (
    select agent_id
    from agents_touched
    union
    select memberships.agent_id
    from memberships
    inner join teams_touched on memberships.team_id = teams_touched.team_id
),

owners_touched as (
    select ticket_events.ticket_id
    from {{ ref('stg_helpdesk__ticket_events') }} as ticket_events
    inner join owners on ticket_events.agent_id = owners.agent_id
    where ticket_events.kind in ('assignment', 'reassignment', 'escalation')
    union
    select ticket_events.ticket_id
    from {{ ref('stg_helpdesk__ticket_events') }} as ticket_events
    inner join teams_touched on ticket_events.team_id = teams_touched.team_id
    where ticket_events.kind in ('assignment', 'reassignment', 'escalation')
    union
    select tickets.ticket_id
    from {{ ref('int_tickets_resolved') }} as tickets
    inner join agents_touched on tickets.first_agent_id = agents_touched.agent_id
    union
    select tickets.ticket_id
    from {{ ref('int_tickets_resolved') }} as tickets
    inner join teams_touched on tickets.first_team_id = teams_touched.team_id
    union
    select ticket_id
    from actions_now_visible
    union
    select entity_id as ticket_id
    from keys
    where entity = 'ticket_of_action'
),

-- A ticket that we do not have is its own root, as its contacts have it.
roots_touched as (
    select distinct coalesce(tickets.root_ticket_id, owners_touched.ticket_id) as ticket_id
    from owners_touched
    left join {{ ref('int_tickets_resolved') }} as tickets on owners_touched.ticket_id = tickets.ticket_id
),

contacts_asked as (
    select contact_id
    from contacts_touched
    union
    select gathered.contact_id
    from {{ ref('int_contacts_gathered') }} as gathered
    left join {{ ref('stg_crm__parties') }} as parties on gathered.party_named = parties.party_id
    inner join regions_touched on coalesce(gathered.region_id, parties.region_id) = regions_touched.region_id
    union
    select gathered.contact_id
    from {{ ref('int_contacts_gathered') }} as gathered
    inner join roots_touched on gathered.root_ticket_id = roots_touched.ticket_id
    union
    -- Whether a person or a machine spoke, and in which team.
    select gathered.contact_id
    from {{ ref('int_contacts_gathered') }} as gathered
    inner join agents_touched on gathered.agent_id = agents_touched.agent_id
    union
    select gathered.contact_id
    from {{ ref('int_contacts_gathered') }} as gathered
    inner join teams_touched on gathered.team_id = teams_touched.team_id
),

-- The rules of routing name the team: whom they sent where is anybody's case.
queues_touched as (
    select routing_rules.routing_rule_id
    from routing_rules
    inner join teams_touched on routing_rules.queue_team_id = teams_touched.team_id
)

select contact_subjects.subject_id
from contact_subjects
inner join contacts_asked on contact_subjects.contact_id = contacts_asked.contact_id
union
select everybody.subject_id
from {{ ref('int_contact_subjects') }} as everybody
where exists (select 1 from queues_touched)
union
select keys.entity_id as subject_id
from keys
where keys.entity in ('subscription', 'subscription_of_event')
union
select subscription_events.subscription_id as subject_id
from subscription_events
cross join run
where {{ became_visible('subscription_events.event_at', 'subscription_events.recorded_at') }}
union
select subscriptions.subscription_id as subject_id
from {{ ref('stg_crm__subscriptions') }} as subscriptions
inner join keys on subscriptions.party_id = keys.entity_id and keys.entity = 'party'
union
select subscriptions.subscription_id as subject_id
from {{ ref('stg_crm__subscriptions') }} as subscriptions
left join {{ ref('stg_crm__parties') }} as parties on subscriptions.party_id = parties.party_id
inner join regions_touched on coalesce(subscriptions.region_id, parties.region_id) = regions_touched.region_id
union
select subscription_id as subject_id
from actions_now_visible
where subscription_id is not null
union
select attempts.subscription_id as subject_id
from attempts
cross join run
where {{ became_visible('attempts.attempted_at', 'attempts.recorded_at') }} and attempts.subscription_id is not null
union
select impacts.subscription_id as subject_id
from {{ ref('stg_helpdesk__incident_impacts') }} as impacts
cross join run
where {{ became_visible('impacts.started_at', 'impacts.updated_at') }} or impacts.ended_at >= run.prev_as_of
union
select impacts.subscription_id as subject_id
from {{ ref('stg_helpdesk__incident_impacts') }} as impacts
inner join incidents_touched on impacts.incident_id = incidents_touched.incident_id
