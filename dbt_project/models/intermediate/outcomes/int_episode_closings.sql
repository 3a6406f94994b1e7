-- Grain: one row per complaint episode resolved while its subscription was still there: by whom, and was it lost?
-- The first resolution counts: a reopened case was closed too early, and that is part of the answer.
{{ config(materialized='table', indexes=[{'columns': ['episode_id'], 'unique': true}]) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where first_resolved_at is not null
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
    where not is_left_before
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
),

memberships as (
    select * from {{ ref('stg_helpdesk__team_memberships') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

closings as (
    select
        outcomes.episode_id,
        outcomes.subscription_id,
        outcomes.party_id,
        outcomes.segment,
        outcomes.level as outcome_level,
        outcomes.is_index,
        outcomes.churned_at,
        outcomes.competing_at,
        outcomes.knowable_until_any,
        episodes.first_ticket_id,
        episodes.first_resolved_at as closed_at,
        {{ add_days('episodes.first_resolved_at', 90) }} as lost_until
    from outcomes
    inner join episodes on outcomes.episode_id = episodes.episode_id
    where
        -- Who had gone by then was not lost by closing the case.
        (outcomes.churned_at is null or episodes.first_resolved_at <= outcomes.churned_at)
        and (outcomes.competing_at is null or episodes.first_resolved_at <= outcomes.competing_at)
),

leveled as (
    select
        closings.episode_id,
        levels.level,
        row_number() over (partition by closings.episode_id order by levels.level_rank desc) as level_order
    from closings
    inner join levels on closings.episode_id = levels.episode_id and closings.closed_at >= levels.valid_from
),

ticket_events as (
    select
        staged.ticket_id,
        staged.event_at,
        staged.agent_id,
        staged.team_id,
        row_number() over (
            partition by staged.ticket_id, staged.event_at
            order by
                case when staged.agent_id is null then 1 else 0 end,
                coalesce(staged.sequence, 0),
                staged.ticket_event_id
        ) as event_order
    from {{ ref('stg_helpdesk__ticket_events') }} as staged
    cross join run
    where
        staged.kind = 'status'
        and lower(staged.to_value) in ('resolved', 'closed')
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
),

-- Whoever the log names; a log that names nobody: whoever had the case.
closers as (
    select
        closings.episode_id,
        closings.closed_at,
        coalesce(ticket_events.agent_id, owners.agent_id) as agent_id,
        case
            when ticket_events.agent_id is not null then ticket_events.team_id
            else coalesce(ticket_events.team_id, owners.team_id)
        end as team_id
    from closings
    left join ticket_events
        on
            closings.first_ticket_id = ticket_events.ticket_id
            and closings.closed_at = ticket_events.event_at
            and ticket_events.event_order = 1
    left join owners
        on
            closings.episode_id = owners.episode_id
            and closings.closed_at > owners.valid_from
            and (owners.valid_to is null or closings.closed_at <= owners.valid_to)
),

-- Only where neither log nor owner says it.
teams_then as (
    select
        closers.episode_id,
        memberships.team_id,
        row_number() over (
            partition by closers.episode_id order by memberships.valid_from desc, memberships.membership_id desc
        ) as latest_rank
    from closers
    inner join memberships
        on
            closers.agent_id = memberships.agent_id
            and closers.closed_at >= memberships.valid_from
            and (memberships.valid_to is null or closers.closed_at < memberships.valid_to)
    where closers.team_id is null
)

select
    closings.episode_id,
    closings.subscription_id,
    closings.party_id,
    closings.segment,
    coalesce(leveled.level, closings.outcome_level) as level,
    closings.closed_at,
    tickets.closure_code,
    closers.agent_id,
    coalesce(closers.team_id, teams_then.team_id) as team_id,
    teams.vendor_id,
    case
        when teams.team_id is null then 'unknown'
        when teams.vendor_id is null then 'in_house'
        else 'outsourced'
    end as sourcing,
    closings.is_index,
    closings.lost_until,
    coalesce(
        closings.churned_at < closings.lost_until
        and (closings.competing_at is null or closings.churned_at <= closings.competing_at),
        false
    ) as is_lost,
    closings.lost_until <= closings.knowable_until_any as is_mature
from closings
inner join closers on closings.episode_id = closers.episode_id
left join leveled on closings.episode_id = leveled.episode_id and leveled.level_order = 1
left join tickets on closings.first_ticket_id = tickets.ticket_id
left join teams_then on closings.episode_id = teams_then.episode_id and teams_then.latest_rank = 1
left join teams on coalesce(closers.team_id, teams_then.team_id) = teams.team_id
