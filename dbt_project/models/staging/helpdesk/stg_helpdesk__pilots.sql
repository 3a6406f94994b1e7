-- Grain: one row per pilot, its latest version.
{{ config(**staged('helpdesk.pilots', ['pilot_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.pilots', ['pilot_id']) }}
)

select
    pilot_id,
    {{ nullify('name') }} as name,
    {{ known_word('unit_kind', ['party', 'subscription', 'agent', 'team']) }} as unit_kind,
    {{ nullify('metric') }} as metric,
    horizon_days,
    planned_n,
    treatment_share,
    registered_at,
    starts_at,
    ends_at,
    _load_id
from latest
where _op <> 'd'
