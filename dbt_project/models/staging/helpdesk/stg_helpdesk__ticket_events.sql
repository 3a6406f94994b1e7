-- Grain: one row per ticket event, its latest version.
{{ config(**staged(
    'helpdesk.ticket_events', ['ticket_event_id'],
    indexes=[['ticket_id'], ['event_at'], ['recorded_at']]
)) }}

with

latest as (
    {{ latest_versions('helpdesk.ticket_events', ['ticket_event_id']) }}
)

select
    ticket_event_id,
    ticket_id,
    sequence,
    kind,
    {{ nullify('source_kind') }} as source_kind,
    {{ nullify('from_value') }} as from_value,
    {{ nullify('to_value') }} as to_value,
    {{ nullify('reason') }} as reason,
    {{ nullify('agent_id') }} as agent_id,
    {{ nullify('team_id') }} as team_id,
    event_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
