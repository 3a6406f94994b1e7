-- Grain: one row per subscription event, its latest version.
{{ config(**staged(
    'crm.subscription_events', ['subscription_event_id'],
    indexes=[['subscription_id'], ['event_at'], ['recorded_at']]
)) }}

with

latest as (
    {{ latest_versions('crm.subscription_events', ['subscription_event_id']) }}
)

select
    subscription_event_id,
    subscription_id,
    kind,
    {{ nullify('order_id') }} as order_id,
    event_at,
    effective_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
