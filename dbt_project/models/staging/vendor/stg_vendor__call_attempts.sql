-- Grain: one row per call attempt, its latest version.
{{ config(**staged(
    'vendor.call_attempts', ['attempt_id'],
    indexes=[['subscription_id'], ['ticket_id'], ['attempted_at'], ['recorded_at']]
)) }}

with

latest as (
    {{ latest_versions('vendor.call_attempts', ['attempt_id']) }}
)

select
    attempt_id,
    vendor_id,
    {{ nullify('ticket_id') }} as ticket_id,
    {{ nullify('subscription_id') }} as subscription_id,
    {{ normalise_msisdn('msisdn') }} as msisdn,
    received_at,
    attempted_at,
    is_answered,
    connected_seconds,
    {{ nullify('outcome_code') }} as outcome_code,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
