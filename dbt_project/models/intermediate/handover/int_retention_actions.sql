-- Grain: one row per retention action that is known: whoever took it, with team and vendor as of then.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

actions as (
    select staged.*
    from {{ ref('stg_helpdesk__retention_actions') }} as staged
    cross join run
    where {{ is_visible('staged.action_at', 'staged.recorded_at') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

memberships as (
    select * from {{ ref('stg_helpdesk__team_memberships') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

-- Only where the action does not say it itself.
teams_then as (
    select
        actions.action_id,
        memberships.team_id,
        row_number() over (
            partition by actions.action_id order by memberships.valid_from desc, memberships.membership_id desc
        ) as latest_rank
    from actions
    inner join memberships
        on
            actions.agent_id = memberships.agent_id
            and actions.action_at >= memberships.valid_from
            and (memberships.valid_to is null or actions.action_at < memberships.valid_to)
    where actions.team_id is null
)

select
    actions.action_id,
    actions.ticket_id,
    coalesce(tickets.root_ticket_id, actions.ticket_id) as root_ticket_id,
    coalesce(actions.subscription_id, tickets.subscription_id) as subscription_id,
    actions.step,
    actions.agent_id,
    coalesce(actions.team_id, teams_then.team_id) as team_id,
    teams.vendor_id,
    case when teams.team_id is not null then teams.vendor_id is not null end as is_outsourced,
    actions.offer_code,
    actions.cost_rub,
    actions.promise_due_at,
    actions.promise_kept_at,
    actions.action_at,
    actions.recorded_at
from actions
left join tickets on actions.ticket_id = tickets.ticket_id
left join teams_then on actions.action_id = teams_then.action_id and teams_then.latest_rank = 1
left join teams on coalesce(actions.team_id, teams_then.team_id) = teams.team_id
