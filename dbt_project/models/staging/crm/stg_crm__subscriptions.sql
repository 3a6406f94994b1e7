-- Grain: one row per subscription, its latest version.
{{ config(**staged('crm.subscriptions', ['subscription_id'], indexes=[['party_id']])) }}

with

latest as (
    {{ latest_versions('crm.subscriptions', ['subscription_id']) }}
)

select
    subscription_id,
    party_id,
    product,
    {{ nullify('plan_id') }} as plan_id,
    {{ nullify('region_id') }} as region_id,
    {{ known_word('status', ['active', 'suspended', 'terminated']) }} as status,
    activated_at,
    terminated_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
