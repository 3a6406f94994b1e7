-- Grain: one row per agent, its latest version.
{{ config(**staged('helpdesk.agents', ['agent_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.agents', ['agent_id']) }}
)

select
    agent_id,
    {{ nullify('full_name') }} as full_name,
    {{ known_word('kind', ['human', 'bot']) }} as kind,
    {{ known_word('role', ['agent', 'control_group', 'retention_manager', 'reviewer']) }} as role,
    hired_at,
    left_at,
    _load_id
from latest
where _op <> 'd'
