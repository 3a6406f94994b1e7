-- Grain: one row per responsible role: the team that most of its people are in as of the night.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

memberships as (
    select * from {{ ref('stg_helpdesk__team_memberships') }}
),

sizes as (
    select
        agents.role,
        memberships.team_id,
        count(distinct agents.agent_id) as people
    from agents
    inner join memberships on agents.agent_id = memberships.agent_id
    cross join run
    where
        agents.role in ('control_group', 'retention_manager')
        and (agents.left_at is null or run.as_of <= agents.left_at)
        and memberships.valid_from < run.as_of
        and (memberships.valid_to is null or run.as_of <= memberships.valid_to)
    group by
        agents.role,
        memberships.team_id
),

ranked as (
    select
        sizes.*,
        row_number() over (partition by role order by people desc, team_id asc) as size_rank
    from sizes
)

select
    role,
    team_id
from ranked
where size_rank = 1
