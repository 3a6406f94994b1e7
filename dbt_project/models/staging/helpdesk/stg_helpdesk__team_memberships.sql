-- Grain: one row per team membership, its latest version.
{{ config(**staged('helpdesk.team_memberships', ['membership_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.team_memberships', ['membership_id']) }}
)

select
    membership_id,
    agent_id,
    team_id,
    valid_from,
    valid_to,
    _load_id
from latest
where _op <> 'd'
