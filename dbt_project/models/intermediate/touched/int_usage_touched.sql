-- Grain: one row per subscription whose revenue tonight's loads of usage name, or that became visible.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_to_stage') }}
    where table_name = 'crm.usage_months'
),

usage_months as (
    select * from {{ ref('stg_crm__usage_months') }}
)

select distinct usage_months.subscription_id
from usage_months
cross join run
where
    usage_months._load_id in (select loads.load_id from loads)
    or {{ became_visible('usage_months.first_revenue_at', 'usage_months.last_revenue_at') }}
