-- Grain: one row per subscription and month, its latest version.
{{ config(**staged('crm.usage_months', ['subscription_id', 'month_on'])) }}

with

latest as (
    {{ latest_versions('crm.usage_months', ['subscription_id', 'month_on']) }}
)

select
    subscription_id,
    month_on,
    first_revenue_at,
    last_revenue_at,
    revenue_rub,
    margin_rub,
    updated_at,
    _load_id
from latest
where _op <> 'd'
