-- Grain: one row per pilot assignment, its latest version.
{{ config(**staged('helpdesk.pilot_assignments', ['assignment_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.pilot_assignments', ['assignment_id']) }}
)

select
    assignment_id,
    pilot_id,
    unit_id,
    arm,
    assigned_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
