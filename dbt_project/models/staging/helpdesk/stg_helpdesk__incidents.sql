-- Grain: one row per incident, its latest version.
{{ config(**staged('helpdesk.incidents', ['incident_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.incidents', ['incident_id']) }}
)

select
    incident_id,
    {{ nullify('kind') }} as kind,
    {{ nullify('region_id') }} as region_id,
    {{ nullify('reopened_from_incident_id') }} as reopened_from_incident_id,
    started_at,
    restored_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
