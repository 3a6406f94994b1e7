-- Grain: one row per msisdn period, its latest version.
{{ config(**staged('crm.msisdn_periods', ['msisdn_period_id'], indexes=[['msisdn'], ['subscription_id']])) }}

with

latest as (
    {{ latest_versions('crm.msisdn_periods', ['msisdn_period_id']) }}
)

select
    msisdn_period_id,
    {{ normalise_msisdn('msisdn') }} as msisdn,
    subscription_id,
    valid_from,
    valid_to,
    updated_at,
    _load_id
from latest
where _op <> 'd'
