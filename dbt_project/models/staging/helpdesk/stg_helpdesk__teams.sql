-- Grain: one row per team, its latest version.
{{ config(**staged('helpdesk.teams', ['team_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.teams', ['team_id']) }}
)

select
    team_id,
    {{ nullify('name') }} as name,
    {{ nullify('vendor_id') }} as vendor_id,
    {{ nullify('calendar_code') }} as calendar_code,
    {{ nullify('time_zone') }} as time_zone,
    _load_id
from latest
where _op <> 'd'
