-- Grain: one row per ticket that tonight's loads name, or that shows more than last time because as_of moved on.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

keys as (
    select * from {{ ref('stg_raw__keys_touched') }}
),

tickets as (
    select * from {{ ref('stg_helpdesk__tickets') }}
),

ticket_events as (
    select * from {{ ref('stg_helpdesk__ticket_events') }}
),

attempts as (
    select * from {{ ref('stg_vendor__call_attempts') }}
)

select keys.entity_id as ticket_id
from keys
where keys.entity = 'ticket'
union
select tickets.ticket_id
from tickets
cross join run
where
    {{ became_visible('tickets.opened_at', 'tickets.recorded_at') }}
    -- Without a log the row's own instants are the ticket's states.
    or {{ became_visible('tickets.resolved_at', 'tickets.closed_at') }}
union
select ticket_events.ticket_id
from ticket_events
cross join run
where {{ became_visible('ticket_events.event_at', 'ticket_events.recorded_at') }}
union
select attempts.ticket_id
from attempts
cross join run
where attempts.ticket_id is not null and {{ became_visible('attempts.attempted_at', 'attempts.recorded_at') }}
