-- Grain: one row per contact, its latest version.
{{ config(**staged('helpdesk.contacts', ['contact_id'], indexes=[['ticket_id'], ['started_at'], ['recorded_at']])) }}

with

latest as (
    {{ latest_versions('helpdesk.contacts', ['contact_id']) }}
)

select
    contact_id,
    {{ nullify('ticket_id') }} as ticket_id,
    {{ nullify('subscription_id') }} as subscription_id,
    {{ nullify('party_id') }} as party_id,
    {{ normalise_msisdn('msisdn') }} as msisdn,
    channel,
    direction,
    initiator,
    {{ known_word('author_kind', ['human', 'bot', 'ivr']) }} as author_kind,
    is_on_behalf,
    {{ nullify('agent_id') }} as agent_id,
    {{ nullify('team_id') }} as team_id,
    {{ nullify('topic_code') }} as topic_code,
    is_answered,
    connected_seconds,
    started_at,
    ended_at,
    {{ nullify('language') }} as language,
    {{ nullify('body') }} as body,
    recorded_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
