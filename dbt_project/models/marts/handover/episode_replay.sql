-- Grain: one row per thing that happened in a case that was ever escalated, in order. Identifiers and codes, no words.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select
        cases.*,
        coalesce(cases.closes_at, run.as_of) as ends_at
    from {{ ref('int_episodes') }} as cases
    cross join run
),

escalated as (
    select distinct episode_id
    from {{ ref('int_escalations') }}
),

cases as (
    select episodes.*
    from episodes
    inner join escalated on episodes.episode_id = escalated.episode_id
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

levels as (
    select * from {{ ref('int_level_history') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
),

escalations as (
    select * from {{ ref('int_escalations') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
),

clocks as (
    select * from {{ ref('int_clocks') }}
),

case_tickets as (
    select distinct
        cases.episode_id,
        cases.subject_id,
        contacts.root_ticket_id,
        cases.started_at,
        cases.ends_at
    from cases
    inner join episode_contacts on cases.episode_id = episode_contacts.episode_id
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

-- Its own contacts, and what else was said on its tickets meanwhile.
case_contacts as (
    select
        cases.episode_id,
        episode_contacts.contact_id
    from cases
    inner join episode_contacts on cases.episode_id = episode_contacts.episode_id
    union
    select
        case_tickets.episode_id,
        contacts.contact_id
    from case_tickets
    inner join contacts
        on
            case_tickets.root_ticket_id = contacts.root_ticket_id
            and case_tickets.subject_id = contacts.subject_id
            and case_tickets.started_at <= contacts.started_at
            and case_tickets.ends_at >= contacts.started_at
),

steps as (
    select
        case_contacts.episode_id,
        contacts.started_at as step_at,
        1 as step_order,
        'contact' as kind,
        contacts.direction || ' ' || coalesce(contacts.channel, 'unknown')
        || coalesce(' by ' || contacts.author_kind, '') as what,
        contacts.agent_id,
        contacts.team_id,
        contacts.contact_id as source_id
    from case_contacts
    inner join contacts on case_contacts.contact_id = contacts.contact_id
    union all
    select
        cases.episode_id,
        levels.valid_from as step_at,
        3 as step_order,
        'level' as kind,
        levels.level || ' by ' || levels.rule_id || coalesce(': ' || levels.override_reason, '') as what,
        cast(null as text) as agent_id,
        cast(null as text) as team_id,
        coalesce(
            levels.ticket_event_id, levels.order_id, levels.subscription_event_id, levels.contact_id
        ) as source_id
    from cases
    inner join levels on cases.episode_id = levels.episode_id
    union all
    select
        cases.episode_id,
        owners.valid_from as step_at,
        4 as step_order,
        'owner' as kind,
        owners.owner_kind || ' by ' || owners.source as what,
        owners.agent_id,
        owners.team_id,
        owners.ticket_event_id as source_id
    from cases
    inner join owners on cases.episode_id = owners.episode_id
    union all
    select
        case_tickets.episode_id,
        actions.action_at as step_at,
        7 as step_order,
        'action' as kind,
        actions.step as what,
        actions.agent_id,
        actions.team_id,
        actions.action_id as source_id
    from case_tickets
    inner join actions
        on
            case_tickets.root_ticket_id = actions.root_ticket_id
            and case_tickets.started_at <= actions.action_at
            and case_tickets.ends_at >= actions.action_at
    union all
    select
        cases.episode_id,
        clocks.started_at as step_at,
        6 as step_order,
        'clock_start' as kind,
        clocks.clock as what,
        cast(null as text) as agent_id,
        clocks.team_id,
        clocks.clock_id as source_id
    from cases
    inner join clocks on cases.episode_id = clocks.episode_id
    union all
    select
        cases.episode_id,
        clocks.stopped_at as step_at,
        2 as step_order,
        'clock_stop' as kind,
        clocks.clock as what,
        cast(null as text) as agent_id,
        clocks.team_id,
        clocks.clock_id as source_id
    from cases
    inner join clocks on cases.episode_id = clocks.episode_id
    where clocks.stopped_at is not null
    union all
    select
        escalations.episode_id,
        escalations.triggered_at as step_at,
        5 as step_order,
        'escalation' as kind,
        escalations.level || coalesce(' to ' || escalations.to_role, '')
        || ' by ' || coalesce(escalations.routing_rule_id, 'no rule') as what,
        cast(null as text) as agent_id,
        escalations.to_team_id as team_id,
        escalations.escalation_id as source_id
    from escalations
    union all
    select
        escalations.episode_id,
        escalations.lost_at as step_at,
        8 as step_order,
        'lost' as kind,
        escalations.lost_because as what,
        cast(null as text) as agent_id,
        cast(null as text) as team_id,
        escalations.escalation_id as source_id
    from escalations
    cross join run
    where escalations.lost_at <= run.as_of
    union all
    select
        escalations.episode_id,
        escalations.closed_at as step_at,
        9 as step_order,
        'closed' as kind,
        escalations.closed_reason as what,
        cast(null as text) as agent_id,
        cast(null as text) as team_id,
        escalations.escalation_id as source_id
    from escalations
    where escalations.closed_at is not null
)

select
    steps.episode_id,
    cast(
        row_number() over (
            partition by steps.episode_id
            order by steps.step_at, steps.step_order, steps.what, coalesce(steps.source_id, '')
        ) as bigint
    ) as step_number,
    steps.step_at,
    {{ seconds_between('cases.started_at', 'steps.step_at') }} / 60 as minutes_since_start,
    steps.kind,
    steps.what,
    steps.agent_id,
    steps.team_id,
    steps.source_id,
    run.batch_id as _batch_id
from steps
inner join cases on steps.episode_id = cases.episode_id
cross join run
