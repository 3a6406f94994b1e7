-- Grain: one row per ending of a subscription known by as_of, intents that came to nothing included (is_churn = false).
-- Built whole every night, because time makes silence known; what it costs grows with endings.
{{ config(materialized='table', indexes=[{'columns': ['subscription_id']}]) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

terminations as (
    select * from {{ ref('int_terminations_resolved') }}
),

silences as (
    select * from {{ ref('int_revenue_silences') }}
),

subscription_events as (
    select staged.*
    from {{ ref('stg_crm__subscription_events') }} as staged
    cross join run
    where {{ is_visible('staged.event_at', 'staged.recorded_at') }}
),

usage_months as (
    select * from {{ ref('stg_crm__usage_months') }}
),

churn_rules as (
    select rules.*
    from {{ ref('churn_rules') }} as rules
    cross join run
    where {{ was_valid('rules', 'run.as_of') }}
),

inactivity as (
    select
        silences.subscription_id,
        silences.last_revenue_at,
        silences.resumed_at,
        {{ day_start(
            shift_day(local_day('silences.last_revenue_at', 'subscriptions.time_zone'), 0),
            'subscriptions.time_zone'
        ) }} as last_day_at,
        {{ day_start(
            shift_day(local_day('silences.last_revenue_at', 'subscriptions.time_zone'), 1),
            'subscriptions.time_zone'
        ) }} as churned_at,
        {{ day_start(
            shift_day(
                local_day('silences.last_revenue_at', 'subscriptions.time_zone'),
                '1 + churn_rules.silence_days'
            ),
            'subscriptions.time_zone'
        ) }} as known_at
    from silences
    inner join subscriptions on silences.subscription_id = subscriptions.subscription_id
    inner join churn_rules on churn_rules.kind = 'inactivity'
    cross join run
    where
        subscriptions.product = 'prepaid'
        and silences.last_revenue_at < {{ add_days('run.as_of', '1 - churn_rules.silence_days') }}
),

-- Silence after an order, a port or a cut is their consequence, not another churn.
unexplained as (
    select inactivity.*
    from inactivity
    cross join run
    where
        inactivity.known_at <= run.as_of
        and (inactivity.resumed_at is null or inactivity.known_at <= inactivity.resumed_at)
        and not exists (
            select 1
            from terminations
            where
                terminations.subscription_id = inactivity.subscription_id
                and terminations.outcome = 'left'
                and inactivity.last_day_at <= terminations.churned_at
                and terminations.churned_at < inactivity.known_at
                and terminations.known_at <= run.as_of
        )
),

endings as (
    select
        terminations.termination_id as churn_event_id,
        terminations.subscription_id,
        terminations.kind,
        terminations.order_id,
        terminations.intent_at,
        terminations.planned_at,
        terminations.churned_at,
        terminations.known_at,
        cast(null as timestamptz) as resumed_at,
        case
            when terminations.outcome = 'left' and run.as_of <= terminations.churned_at then 'pending'
            else terminations.outcome
        end as outcome
    from terminations
    cross join run
    union all
    select
        unexplained.subscription_id || ' inactivity '
        || cast({{ local_day('unexplained.last_revenue_at', "'UTC'") }} as text) as churn_event_id,
        unexplained.subscription_id,
        'inactivity' as kind,
        cast(null as text) as order_id,
        cast(null as timestamptz) as intent_at,
        cast(null as timestamptz) as planned_at,
        unexplained.churned_at,
        unexplained.known_at,
        unexplained.resumed_at,
        'left' as outcome
    from unexplained
),

departures as (
    select
        endings.churn_event_id,
        endings.subscription_id,
        endings.churned_at,
        lag(endings.churned_at) over (
            partition by endings.subscription_id order by endings.churned_at, endings.churn_event_id
        ) as previous_churned_at
    from endings
    where endings.outcome = 'left'
),

-- Who left and did not come back cannot leave again: an operator closes a line long after its owner went silent.
already_gone as (
    select departures.churn_event_id
    from departures
    where
        departures.previous_churned_at is not null
        and {{ never_came_back('departures', 'previous_churned_at', 'churned_at') }}
)

select
    endings.churn_event_id,
    endings.subscription_id,
    subscriptions.party_id,
    subscriptions.segment,
    subscriptions.product,
    subscriptions.region_id,
    endings.kind,
    churn_rules.cause_group,
    endings.order_id,
    endings.intent_at,
    endings.planned_at,
    endings.churned_at,
    endings.known_at,
    endings.resumed_at,
    case when already_gone.churn_event_id is not null then 'already_gone' else endings.outcome end as outcome,
    endings.outcome = 'left' and already_gone.churn_event_id is null as is_churn
from endings
inner join churn_rules on endings.kind = churn_rules.kind
left join subscriptions on endings.subscription_id = subscriptions.subscription_id
left join already_gone on endings.churn_event_id = already_gone.churn_event_id
