-- Grain: one row per agent, its latest version.
{{ config(**staged('helpdesk.agents', ['agent_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.agents', ['agent_id']) }}
)

select
    agent_id,
    {{ nullify('full_name') }} as full_name,
    {{ nullify('kind') }} as kind,
    {{ nullify('role') }} as role,
    hired_at,
    left_at,
    _load_id
from latest
where _op <> 'd'
