-- Grain: one row per ticket with the counts of its log. A ticket is neither a contact nor a complaint episode.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
)

select
    tickets.ticket_id,
    tickets.root_ticket_id,
    tickets.is_merged,
    tickets.is_merge_cycle,
    tickets.subscription_id,
    tickets.party_id,
    tickets.topic_code,
    tickets.channel,
    tickets.priority,
    tickets.closure_code,
    tickets.first_agent_id,
    tickets.first_team_id,
    tickets.has_leaving_flag,
    tickets.is_test,
    tickets.is_spam,
    cast(tickets.event_count as bigint) as event_count,
    cast(tickets.reassignment_count as bigint) as reassignment_count,
    cast(tickets.reopen_count as bigint) as reopen_count,
    tickets.is_open,
    tickets.opened_at,
    tickets.first_resolved_at,
    tickets.last_resolved_at,
    {{ seconds_between('tickets.opened_at', 'tickets.first_resolved_at') }} as first_resolution_seconds,
    run.batch_id as _batch_id
from tickets
cross join run
