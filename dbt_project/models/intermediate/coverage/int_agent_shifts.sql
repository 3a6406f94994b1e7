-- Grain: one row per agent and stretch of presence in the window, in whole clock hours. An agent who acted in an hour,
-- or before and after it within the policy's gap, was there. Who sits idle is not seen: a lower bound of the roster.
{{ config(materialized='table') }}

with

bounds as (
    select * from {{ ref('int_coverage_window') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

machines as (
    select agent_id from {{ ref('stg_helpdesk__agents') }}
    where kind = 'bot'
),

acts as (
    select
        contacts.agent_id,
        contacts.started_at,
        greatest(contacts.ended_at, contacts.started_at) as ended_at,
        bounds.window_from,
        bounds.window_to,
        bounds.shift_gap_hours
    from contacts
    inner join bounds
        on contacts.started_at >= bounds.window_from and contacts.started_at < bounds.window_to
    left join machines on contacts.agent_id = machines.agent_id
    where
        contacts.kind = 'contact'
        and contacts.agent_id is not null
        and machines.agent_id is null
        and coalesce(contacts.author_kind, 'human') = 'human'
        -- A dial that nobody answered is work too; a customer's call that nobody took is not.
        and (contacts.direction = 'outbound' or coalesce(contacts.is_answered, true))
),

starts as (
    select
        acts.*,
        case
            when started_at <= {{ add_hours(
                'max(ended_at) over (partition by agent_id order by started_at, ended_at'
                ~ ' rows between unbounded preceding and 1 preceding)',
                'shift_gap_hours'
            ) }} then 0
            else 1
        end as is_start
    from acts
),

numbered as (
    select
        starts.*,
        sum(is_start) over (
            partition by agent_id order by started_at, ended_at rows between unbounded preceding and current row
        ) as shift_number
    from starts
)

select
    agent_id,
    {{ hour_start('min(started_at)') }} as shift_from,
    least({{ add_hours(hour_start('max(ended_at)'), '1') }}, max(window_to)) as shift_to,
    count(*) as acts
from numbered
group by agent_id, shift_number
