-- Grain: one row per incident impact, its latest version.
{{ config(**staged(
    'helpdesk.incident_impacts', ['impact_id'],
    indexes=[['subscription_id'], ['incident_id'], ['started_at'], ['ended_at'], ['updated_at']]
)) }}

with

latest as (
    {{ latest_versions('helpdesk.incident_impacts', ['impact_id']) }}
)

select
    impact_id,
    incident_id,
    subscription_id,
    started_at,
    ended_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
