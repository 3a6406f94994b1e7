-- Grain: one row per ticket to recompute: the changed ones and all that are merged into them, over any number of steps.
{{ config(materialized='table') }}

with recursive

changed as (
    select * from {{ ref('int_tickets_changed') }}
),

merged as (
    select * from {{ ref('int_tickets_merged') }}
),

reached as (
    select changed.ticket_id
    from changed
    -- `union` drops what was reached before, so that a merge cycle ends.
    union
    select merged.ticket_id
    from reached
    inner join merged on reached.ticket_id = merged.merged_into_ticket_id
)

select ticket_id
from reached
