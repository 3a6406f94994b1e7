-- Grain: one row per qa audit, its latest version.
{{ config(**staged('helpdesk.qa_audits', ['audit_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.qa_audits', ['audit_id']) }}
)

select
    audit_id,
    {{ nullify('ticket_id') }} as ticket_id,
    {{ nullify('contact_id') }} as contact_id,
    {{ nullify('agent_id') }} as agent_id,
    score,
    audited_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
