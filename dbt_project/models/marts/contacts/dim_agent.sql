-- Grain: one row per agent with the team and vendor of today; facts keep the team of then. No names.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

agents as (
    select * from {{ ref('int_agents') }}
)

select
    agents.agent_id,
    agents.is_listed,
    agents.kind,
    agents.role,
    agents.hired_at,
    agents.left_at,
    agents.team_id,
    agents.team_name,
    agents.team_time_zone,
    agents.vendor_id,
    agents.vendor_name,
    agents.is_outsourced,
    run.batch_id as _batch_id
from agents
cross join run
