-- Grain: one row per order or request to leave with what became of it, and per ending by the operator.
{{ config(**recomputed('int_subjects_touched', 'subject_id', column='subscription_id')) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

events as (
    select
        staged.*,
        case
            when staged.kind like 'port_%' then 'port_out'
            when staged.kind like 'disconnect_%' then 'disconnect'
            else staged.kind
        end as ending_kind,
        staged.kind in ('port_request', 'disconnect_order') as is_request,
        staged.kind in ('port_completed', 'disconnect_effective') as is_completion
    from {{ ref('stg_crm__subscription_events') }} as staged
    cross join run
    where
        staged.kind in (
            'port_request', 'port_cancelled', 'port_refused', 'port_completed',
            'disconnect_order', 'disconnect_withdrawn', 'disconnect_effective',
            'debt', 'fraud', 'death', 'liquidation', 'technical'
        )
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
        and {{ is_touched('int_subjects_touched', 'subject_id', 'staged.subscription_id') }}
),

counted as (
    select
        events.*,
        -- Without an order's number, what follows a request belongs to it.
        sum(case when is_request then 1 else 0 end) over (
            partition by subscription_id, ending_kind, case when order_id is null then 1 else 0 end
            order by event_at, case when is_request then 0 else 1 end, subscription_event_id
            rows between unbounded preceding and current row
        ) as request_number
    from events
),

keyed as (
    select
        counted.*,
        case
            when ending_kind not in ('port_out', 'disconnect') then 'event ' || subscription_event_id
            when order_id is not null then 'order ' || order_id
            when request_number = 0 then 'event ' || subscription_event_id
            else 'request ' || cast(request_number as text)
        end as termination_key
    from counted
),

ranked as (
    select
        keyed.*,
        row_number() over (
            partition by subscription_id, ending_kind, termination_key, is_request, is_completion
            order by event_at desc, subscription_event_id desc
        ) as latest_rank
    from keyed
),

grouped as (
    select
        subscription_id,
        ending_kind,
        termination_key,
        max(order_id) as order_id,
        min(case when is_request then event_at end) as intent_at,
        min(case when is_request then recorded_at end) as intent_recorded_at,
        max(case when is_request then event_at end) as last_request_at,
        max(case when is_request and latest_rank = 1 then effective_at end) as planned_at,
        min(case when is_completion then event_at end) as completed_at,
        min(case when is_completion then recorded_at end) as completion_recorded_at,
        max(case when not is_request and not is_completion then event_at end) as stopped_at,
        max(case when not is_request and not is_completion and latest_rank = 1 then kind end) as stopped_kind,
        min(event_at) as first_event_at,
        min(recorded_at) as first_recorded_at
    from ranked
    group by subscription_id, ending_kind, termination_key
),

resolved as (
    select
        grouped.*,
        stopped_at is not null and (last_request_at is null or last_request_at <= stopped_at) as is_stopped
    from grouped
)

select
    subscription_id,
    subscription_id || ' ' || ending_kind || ' ' || termination_key as termination_id,
    ending_kind as kind,
    order_id,
    intent_at,
    planned_at,
    case
        when ending_kind = 'port_out' then completed_at
        when ending_kind = 'disconnect'
            then coalesce(completed_at, case when not is_stopped then planned_at end)
        else first_event_at
    end as churned_at,
    case
        when ending_kind = 'port_out' then greatest(completed_at, completion_recorded_at)
        -- An order is known from its entry, whatever day it takes effect.
        when ending_kind = 'disconnect' then coalesce(intent_recorded_at, completion_recorded_at)
        else first_recorded_at
    end as known_at,
    -- Taken back or refused, and when: until then leaving was pending.
    case when is_stopped then stopped_at end as stopped_at,
    case
        when ending_kind not in ('port_out', 'disconnect') or completed_at is not null then 'left'
        when is_stopped and stopped_kind = 'port_cancelled' then 'cancelled'
        when is_stopped and stopped_kind = 'port_refused' then 'refused'
        when is_stopped then 'withdrawn'
        when ending_kind = 'disconnect' and planned_at is not null then 'left'
        else 'pending'
    end as outcome
from resolved
