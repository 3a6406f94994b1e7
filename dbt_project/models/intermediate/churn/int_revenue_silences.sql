-- Grain: one row per subscription and stretch without revenue that is long enough to matter, or not ended yet.
-- Anchors only: when silence becomes churn depends on as_of, product and zone, and is judged in int_churn_events.
-- Touched by loads of usage, not by those of complaints.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    indexes=[{'columns': ['subscription_id']}, {'columns': ['last_revenue_at']}],
    pre_hook="{{ forget_touched('int_usage_touched', 'subscription_id', 'subscription_id') }}"
) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

usage_months as (
    select * from {{ ref('stg_crm__usage_months') }}
    where {{ is_touched('int_usage_touched', 'subscription_id') }}
),

-- The shortest rule of any period: anchors are kept from night to night, and must do for the rule of each.
churn_rules as (
    select min(silence_days) as silence_days from {{ ref('churn_rules') }}
    where kind = 'inactivity'
),

-- A month's row counts with what of it lies before as_of.
seen as (
    select
        usage_months.subscription_id,
        usage_months.month_on,
        -- Without a first instant the month's begin: silence is never made longer than it was.
        coalesce(
            usage_months.first_revenue_at,
            {{ day_start('usage_months.month_on', "'Europe/Moscow'") }}
        ) as first_at,
        case
            when usage_months.last_revenue_at < run.as_of then usage_months.last_revenue_at
            else usage_months.first_revenue_at
        end as last_at
    from usage_months
    cross join run
    where
        coalesce(usage_months.last_revenue_at, usage_months.first_revenue_at) is not null
        and coalesce(usage_months.first_revenue_at, usage_months.last_revenue_at) < run.as_of
),

spans as (
    select
        subscription_id,
        max(coalesce(last_at, first_at)) over (
            partition by subscription_id order by month_on rows between unbounded preceding and current row
        ) as last_revenue_at,
        lead(first_at) over (partition by subscription_id order by month_on) as resumed_at
    from seen
)

select
    spans.subscription_id,
    spans.last_revenue_at,
    spans.resumed_at
from spans
cross join churn_rules
where
    spans.resumed_at is null
    -- A day less than the rule: days are local, and the exact test is made where the zone is known.
    or spans.resumed_at >= {{ add_days('spans.last_revenue_at', 'churn_rules.silence_days - 1') }}
