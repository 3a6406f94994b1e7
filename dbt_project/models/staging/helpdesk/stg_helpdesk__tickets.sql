-- Grain: one row per ticket, its latest version.
{{ config(**staged('helpdesk.tickets', ['ticket_id'], indexes=[['opened_at'], ['recorded_at']])) }}

with

latest as (
    {{ latest_versions('helpdesk.tickets', ['ticket_id']) }}
)

select
    ticket_id,
    {{ nullify('subscription_id') }} as subscription_id,
    {{ nullify('party_id') }} as party_id,
    {{ normalise_msisdn('msisdn') }} as msisdn,
    {{ nullify('topic_code') }} as topic_code,
    {{ nullify('channel') }} as channel,
    {{ nullify('priority') }} as priority,
    {{ nullify('status') }} as status,
    {{ nullify('closure_code') }} as closure_code,
    opened_at,
    resolved_at,
    closed_at,
    {{ nullify('merged_into_ticket_id') }} as merged_into_ticket_id,
    {{ nullify('agent_id') }} as agent_id,
    {{ nullify('team_id') }} as team_id,
    has_leaving_flag,
    is_test,
    is_spam,
    recorded_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
