-- Grain: one row per subscription whose revenue tonight's loads of usage name, or that became visible.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

named as (
    select * from {{ ref('stg_raw__usage_touched') }}
),

usage_months as (
    select * from {{ ref('stg_crm__usage_months') }}
)

select named.subscription_id
from named
union
select usage_months.subscription_id
from usage_months
cross join run
where {{ is_needed() }} and {{ became_visible('usage_months.first_revenue_at', 'usage_months.last_revenue_at') }}
