-- Grain: one row per ticket and interval in which it was open, half-open; closed_at is empty while it is open.
-- The log is the truth, ordered by event time, then sequence, then id; without statuses in it, the ticket's row.
{{ config(**recomputed('int_tickets_touched', 'ticket_id')) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

tickets as (
    select staged.*
    from {{ ref('stg_helpdesk__tickets') }} as staged
    cross join run
    where
        {{ is_visible('staged.opened_at', 'staged.recorded_at') }}
        and {{ is_touched('int_tickets_touched', 'ticket_id', 'staged.ticket_id') }}
),

status_events as (
    select
        staged.ticket_id,
        staged.event_at,
        coalesce(staged.sequence, 0) as sequence,
        staged.ticket_event_id,
        staged.kind = 'reopen' or lower(staged.to_value) not in ('resolved', 'closed') as is_open
    from {{ ref('stg_helpdesk__ticket_events') }} as staged
    cross join run
    where
        (
            staged.kind = 'reopen'
            or (staged.kind = 'status' and lower(staged.to_value) in ('new', 'open', 'pending', 'resolved', 'closed'))
        )
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
        and {{ is_touched('int_tickets_touched', 'ticket_id', 'staged.ticket_id') }}
),

logged as (
    select
        ticket_id,
        min(event_at) as first_event_at
    from status_events
    group by ticket_id
),

states as (
    -- Every ticket begins open, at the latest with its first status.
    select
        tickets.ticket_id,
        least(tickets.opened_at, coalesce(logged.first_event_at, tickets.opened_at)) as event_at,
        0 as origin,
        cast(0 as bigint) as sequence,
        '' as ticket_event_id,
        true as is_open
    from tickets
    left join logged on tickets.ticket_id = logged.ticket_id
    union all
    select
        status_events.ticket_id,
        status_events.event_at,
        1 as origin,
        status_events.sequence,
        status_events.ticket_event_id,
        status_events.is_open
    from status_events
    inner join tickets on status_events.ticket_id = tickets.ticket_id
    union all
    select
        tickets.ticket_id,
        greatest(tickets.opened_at, coalesce(tickets.resolved_at, tickets.closed_at)) as event_at,
        1 as origin,
        cast(0 as bigint) as sequence,
        '' as ticket_event_id,
        false as is_open
    from tickets
    cross join run
    left join logged on tickets.ticket_id = logged.ticket_id
    where logged.ticket_id is null and coalesce(tickets.resolved_at, tickets.closed_at) < run.as_of
),

compared as (
    select
        ticket_id,
        event_at,
        origin,
        sequence,
        ticket_event_id,
        is_open,
        lag(is_open) over (
            partition by ticket_id order by event_at, origin, sequence, ticket_event_id
        ) as was_open
    from states
),

changes as (
    select
        ticket_id,
        is_open,
        event_at as opened_at,
        lead(event_at) over (
            partition by ticket_id order by event_at, origin, sequence, ticket_event_id
        ) as closed_at
    from compared
    where was_open is null or was_open <> is_open
)

select
    ticket_id,
    opened_at,
    closed_at
from changes
where is_open
