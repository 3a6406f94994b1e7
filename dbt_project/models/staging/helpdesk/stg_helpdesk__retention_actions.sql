-- Grain: one row per retention action, its latest version.
{{ config(**staged(
    'helpdesk.retention_actions', ['action_id'],
    indexes=[['subscription_id'], ['ticket_id'], ['action_at'], ['recorded_at']]
)) }}

with

latest as (
    {{ latest_versions('helpdesk.retention_actions', ['action_id']) }}
)

select
    action_id,
    {{ nullify('ticket_id') }} as ticket_id,
    {{ nullify('subscription_id') }} as subscription_id,
    step,
    {{ nullify('agent_id') }} as agent_id,
    {{ nullify('team_id') }} as team_id,
    {{ nullify('offer_code') }} as offer_code,
    cost_rub,
    promise_due_at,
    promise_kept_at,
    action_at,
    recorded_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
