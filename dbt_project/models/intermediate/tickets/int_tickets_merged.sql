-- Grain: one row per ticket that is merged into another now.
-- The log decides; the ticket's row does when there is no log of it.
{{ config(**recomputed('int_tickets_changed', 'ticket_id', indexes=[['merged_into_ticket_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

tickets as (
    select * from {{ ref('stg_helpdesk__tickets') }}
    where {{ is_touched('int_tickets_changed', 'ticket_id') }}
),

merge_events as (
    select * from {{ ref('stg_helpdesk__ticket_events') }}
    where kind in ('merge', 'unmerge') and {{ is_touched('int_tickets_changed', 'ticket_id') }}
),

logged as (
    select distinct ticket_id from merge_events
),

ranked as (
    select
        merge_events.ticket_id,
        merge_events.kind,
        merge_events.to_value,
        row_number() over (
            partition by merge_events.ticket_id
            order by
                merge_events.event_at desc, coalesce(merge_events.sequence, 0) desc, merge_events.ticket_event_id desc
        ) as latest_rank
    from merge_events
    cross join run
    where {{ is_visible('merge_events.event_at', 'merge_events.recorded_at') }}
),

merged as (
    select
        tickets.ticket_id,
        case
            when logged.ticket_id is null then tickets.merged_into_ticket_id
            when ranked.kind = 'merge' then coalesce(ranked.to_value, tickets.merged_into_ticket_id)
        end as merged_into_ticket_id
    from tickets
    left join logged on tickets.ticket_id = logged.ticket_id
    left join ranked on tickets.ticket_id = ranked.ticket_id and ranked.latest_rank = 1
)

select
    ticket_id,
    merged_into_ticket_id
from merged
where merged_into_ticket_id is not null
