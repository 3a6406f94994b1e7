-- Grain: one row per subscription and way in which its row in the CRM contradicts its usage.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
    where not is_test
),

silences as (
    select * from {{ ref('int_revenue_silences') }}
    where resumed_at is null
),

churn_rules as (
    select rules.conflict_days
    from {{ ref('churn_rules') }} as rules
    cross join run
    where rules.kind = 'inactivity' and {{ was_valid('rules', 'run.as_of') }}
),

-- Usage that was not loaded is not silence.
watermarks as (
    select least(run.as_of, max(loads.watermark_to)) as usage_until
    from run
    inner join loads on loads.table_name = 'crm.usage_months' and loads.watermark_to is not null
    group by run.as_of
),

latest_revenue as (
    select
        subscription_id,
        max(last_revenue_at) as last_revenue_at
    from silences
    group by subscription_id
),

-- Whoever was never seen to pay is silent since the activation.
seen as (
    select
        subscriptions.*,
        latest_revenue.last_revenue_at,
        coalesce(latest_revenue.last_revenue_at, subscriptions.activated_at) as silent_from
    from subscriptions
    left join latest_revenue on subscriptions.subscription_id = latest_revenue.subscription_id
),

judged as (
    select
        seen.subscription_id,
        seen.product,
        seen.status,
        seen.terminated_at,
        seen.last_revenue_at,
        seen.silent_from,
        watermarks.usage_until,
        case
            -- A day's grace: charges of the last day arrive after the end.
            when {{ add_days('seen.terminated_at', 1) }} < seen.last_revenue_at
                then 'terminated_but_used'
            when
                seen.status = 'active'
                and seen.terminated_at is null
                and {{ add_days('seen.silent_from', 'churn_rules.conflict_days') }} <= watermarks.usage_until
                then 'active_but_silent'
        end as conflict
    from seen
    cross join watermarks
    cross join churn_rules
)

select
    judged.subscription_id,
    judged.conflict,
    judged.product,
    judged.status,
    judged.terminated_at,
    judged.last_revenue_at,
    case
        when judged.conflict = 'active_but_silent'
            then {{ seconds_between('judged.silent_from', 'judged.usage_until') }} / 86400
        else {{ seconds_between('judged.terminated_at', 'judged.last_revenue_at') }} / 86400
    end as contradicted_days,
    run.as_of,
    run.batch_id as _batch_id
from judged
cross join run
where judged.conflict is not null
