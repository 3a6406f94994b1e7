-- Grain: one row per ticket: its root after merges, its resolutions, and counts of its log.
{{ config(**recomputed('int_tickets_touched', 'ticket_id', indexes=[['root_ticket_id']])) }}

with recursive

run as (
    select * from {{ source('run', 'current_run') }}
),

all_tickets as (
    select * from {{ ref('stg_helpdesk__tickets') }}
),

tickets as (
    select all_tickets.*
    from all_tickets
    cross join run
    where
        {{ is_visible('all_tickets.opened_at', 'all_tickets.recorded_at') }}
        and {{ is_touched('int_tickets_touched', 'ticket_id', 'all_tickets.ticket_id') }}
),

ticket_events as (
    select staged.*
    from {{ ref('stg_helpdesk__ticket_events') }} as staged
    cross join run
    where
        {{ is_visible('staged.event_at', 'staged.recorded_at') }}
        and {{ is_touched('int_tickets_touched', 'ticket_id', 'staged.ticket_id') }}
),

intervals as (
    select * from {{ ref('int_ticket_intervals') }}
    where {{ is_touched('int_tickets_touched', 'ticket_id') }}
),

-- A merge into a ticket that we do not have is not followed until that ticket arrives.
merge_edges as (
    select
        merged.ticket_id,
        merged.merged_into_ticket_id
    from {{ ref('int_tickets_merged') }} as merged
    inner join all_tickets on merged.merged_into_ticket_id = all_tickets.ticket_id
),

ancestors as (
    select
        tickets.ticket_id,
        merge_edges.merged_into_ticket_id as ancestor_id
    from tickets
    inner join merge_edges on tickets.ticket_id = merge_edges.ticket_id
    union
    select
        ancestors.ticket_id,
        merge_edges.merged_into_ticket_id as ancestor_id
    from ancestors
    inner join merge_edges on ancestors.ancestor_id = merge_edges.ticket_id
),

-- In a cycle, and in a chain that ends in one, no ancestor is a root.
roots as (
    select
        ancestors.ticket_id,
        max(case when merge_edges.ticket_id is null then ancestors.ancestor_id end) as root_ticket_id
    from ancestors
    left join merge_edges on ancestors.ancestor_id = merge_edges.ticket_id
    group by ancestors.ticket_id
),

resolutions as (
    select
        ticket_id,
        min(closed_at) as first_resolved_at,
        max(closed_at) as last_resolved_at,
        count(*) - count(closed_at) > 0 as is_open,
        count(*) as interval_count
    from intervals
    group by ticket_id
),

counts as (
    select
        ticket_id,
        count(*) as event_count,
        sum(case when kind = 'reopen' then 1 else 0 end) as reopen_event_count,
        sum(case when kind = 'reassignment' then 1 else 0 end) as reassignment_count,
        max(case when kind = 'leaving_flag' then 1 else 0 end) as leaving_flag_count
    from ticket_events
    group by ticket_id
),

assignments as (
    select
        ticket_id,
        agent_id,
        team_id,
        row_number() over (
            partition by ticket_id order by event_at, coalesce(sequence, 0), ticket_event_id
        ) as assignment_rank
    from ticket_events
    where kind in ('assignment', 'reassignment') and team_id is not null
),

priorities as (
    select
        ticket_id,
        coalesce(from_value, to_value) as priority,
        row_number() over (
            partition by ticket_id order by event_at, coalesce(sequence, 0), ticket_event_id
        ) as priority_rank
    from ticket_events
    where kind = 'priority' and coalesce(from_value, to_value) is not null
)

select
    tickets.ticket_id,
    coalesce(roots.root_ticket_id, tickets.ticket_id) as root_ticket_id,
    roots.root_ticket_id is not null as is_merged,
    roots.ticket_id is not null and roots.root_ticket_id is null as is_merge_cycle,
    tickets.subscription_id,
    tickets.party_id,
    tickets.topic_code,
    tickets.channel,
    tickets.priority,
    coalesce(priorities.priority, tickets.priority) as first_priority,
    tickets.closure_code,
    tickets.opened_at,
    tickets.recorded_at,
    resolutions.first_resolved_at,
    resolutions.last_resolved_at,
    resolutions.is_open,
    case
        when counts.reopen_event_count > 0 then counts.reopen_event_count
        else resolutions.interval_count - 1
    end as reopen_count,
    coalesce(counts.reassignment_count, 0) as reassignment_count,
    coalesce(counts.event_count, 0) as event_count,
    case when assignments.ticket_id is null then tickets.agent_id else assignments.agent_id end as first_agent_id,
    coalesce(assignments.team_id, tickets.team_id) as first_team_id,
    coalesce(tickets.has_leaving_flag, false) or coalesce(counts.leaving_flag_count, 0) > 0 as has_leaving_flag,
    coalesce(tickets.is_test, false) as is_test,
    coalesce(tickets.is_spam, false) as is_spam
from tickets
left join roots on tickets.ticket_id = roots.ticket_id
left join resolutions on tickets.ticket_id = resolutions.ticket_id
left join counts on tickets.ticket_id = counts.ticket_id
left join assignments on tickets.ticket_id = assignments.ticket_id and assignments.assignment_rank = 1
left join priorities on tickets.ticket_id = priorities.ticket_id and priorities.priority_rank = 1
