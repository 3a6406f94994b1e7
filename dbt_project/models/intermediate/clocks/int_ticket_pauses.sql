-- Grain: one row per ticket and span in which it waited for the customer, half-open; resumed_at is empty if it does.
-- Pauses may nest: the outermost counts. A status or a reopening ends them whatever the log forgot; `pending` is a
-- status of that kind itself. Both ways of waiting are united.
{{ config(**recomputed('int_tickets_touched', 'ticket_id')) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

events as (
    select
        staged.ticket_id,
        staged.event_at,
        staged.kind,
        case
            when staged.kind = 'pause' then 1
            when staged.kind = 'resume' then -1
            else 0
        end as step,
        case when staged.kind = 'status' and lower(staged.to_value) = 'pending' then 1 else 0 end as is_pending,
        case
            when staged.kind in ('pause', 'resume') then 0
            when staged.kind = 'status' and lower(staged.to_value) = 'pending' then 0
            else 1
        end as is_end,
        row_number() over (
            partition by staged.ticket_id
            order by staged.event_at, coalesce(staged.sequence, 0), staged.ticket_event_id
        ) as position
    from {{ ref('stg_helpdesk__ticket_events') }} as staged
    cross join run
    where
        (
            staged.kind in ('pause', 'resume', 'reopen')
            or (staged.kind = 'status' and lower(staged.to_value) in ('new', 'open', 'pending', 'resolved', 'closed'))
        )
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
        and {{ is_touched('int_tickets_touched', 'ticket_id', 'staged.ticket_id') }}
),

stretched as (
    select
        events.*,
        sum(is_end) over (
            partition by ticket_id order by position rows between unbounded preceding and current row
        ) as stretch
    from events
),

summed as (
    select
        stretched.*,
        sum(step) over (
            partition by ticket_id, stretch order by position rows between unbounded preceding and current row
        ) as depth,
        max(is_pending) over (
            partition by ticket_id, stretch order by position rows between unbounded preceding and current row
        ) as has_pended
    from stretched
),

-- A resume without a pause does not count against the next one.
floored as (
    select
        summed.*,
        min(depth) over (
            partition by ticket_id, stretch order by position rows between unbounded preceding and current row
        ) as lowest
    from summed
),

states as (
    select
        ticket_id,
        event_at,
        position,
        depth > least(lowest, 0) or has_pended = 1 as is_waiting
    from floored
),

compared as (
    select
        states.*,
        lag(is_waiting) over (partition by ticket_id order by position) as was_waiting
    from states
),

changes as (
    select
        ticket_id,
        is_waiting,
        event_at as paused_at,
        lead(event_at) over (partition by ticket_id order by position) as resumed_at
    from compared
    where is_waiting <> coalesce(was_waiting, false)
)

select
    ticket_id,
    paused_at,
    resumed_at
from changes
where is_waiting and (resumed_at is null or paused_at < resumed_at)
