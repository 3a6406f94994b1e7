-- Grain: one row per subscription whose months of usage tonight's loads or changes of quarantine name.
-- Apart from the other keys: it may be most of the subscriptions, and only revenue depends on it.
{{ config(materialized='table', schema='touched') }}

select distinct subscription_id
from ({{ touched_keys('crm.usage_months', ['subscription_id', 'month_on']) }}) as months
where {{ is_needed() }}
