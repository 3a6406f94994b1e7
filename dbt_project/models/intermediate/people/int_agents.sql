-- Grain: one row per agent: everyone in the list of staff, and everyone whom a contact, a ticket or its log
-- names, deleted or not.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

memberships as (
    select * from {{ ref('stg_helpdesk__team_memberships') }}
),

vendors as (
    select * from {{ ref('stg_helpdesk__vendors') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
),

named as (
    select agent_id from agents
    union
    select agent_id from contacts
    union
    select first_agent_id as agent_id from tickets
    union
    select agent_id from owners
),

ranked_memberships as (
    select
        memberships.agent_id,
        memberships.team_id,
        row_number() over (
            partition by memberships.agent_id order by memberships.valid_from desc, memberships.membership_id desc
        ) as latest_rank
    from memberships
    cross join run
    where
        memberships.valid_from < run.as_of
        and (memberships.valid_to is null or run.as_of <= memberships.valid_to)
)

select
    named.agent_id,
    agents.agent_id is not null as is_listed,
    coalesce(agents.kind, 'unknown') as kind,
    coalesce(agents.role, 'unknown') as role,
    agents.hired_at,
    agents.left_at,
    ranked_memberships.team_id,
    teams.name as team_name,
    teams.time_zone as team_time_zone,
    teams.vendor_id,
    vendors.name as vendor_name,
    case when teams.team_id is not null then teams.vendor_id is not null end as is_outsourced
from named
left join agents on named.agent_id = agents.agent_id
left join ranked_memberships on named.agent_id = ranked_memberships.agent_id and ranked_memberships.latest_rank = 1
left join teams on ranked_memberships.team_id = teams.team_id
left join vendors on teams.vendor_id = vendors.vendor_id
where named.agent_id is not null
