-- Grain: one row per episode and interval in which one owner had it, half-open, from the episode's start on.
-- An episode begins in the common queue that the routing rules name; afterwards the latest word of its tickets' logs
-- counts, of merged tickets their root's. Exactly one owner at any instant.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

levels as (
    select
        episode_id,
        level,
        row_number() over (partition by episode_id order by valid_from, level_rank) as level_number
    from {{ ref('int_episode_levels') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

ticket_events as (
    select staged.*
    from {{ ref('stg_helpdesk__ticket_events') }} as staged
    cross join run
    where
        staged.kind in ('assignment', 'reassignment', 'escalation')
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

memberships as (
    select * from {{ ref('stg_helpdesk__team_memberships') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

regions as (
    select * from {{ ref('stg_crm__regions') }}
),

routing_rules as (
    select * from {{ ref('routing_rules') }}
),

cases as (
    select
        episodes.episode_id,
        episodes.subject_id,
        episodes.segment,
        episodes.region_id,
        episodes.started_at,
        coalesce(episodes.closes_at, timestamptz '9999-12-31 00:00:00+00') as ends_at,
        coalesce(levels.level, 'L1') as level,
        {{ local_hour('episodes.started_at', "coalesce(regions.time_zone, 'Europe/Moscow')") }} as started_hour
    from episodes
    left join levels on episodes.episode_id = levels.episode_id and levels.level_number = 1
    left join regions on episodes.region_id = regions.region_id
),

first_rules as (
    select
        cases.episode_id,
        routing_rules.queue_team_id,
        row_number() over (
            partition by cases.episode_id order by {{ rule_order('routing_rules') }}
        ) as rule_number
    from cases
    inner join routing_rules
        on
            {{ was_valid('routing_rules', 'cases.started_at') }}
            and {{ is_ruled(
                'routing_rules', 'cases.level', 'cases.segment', 'cases.region_id', 'cases.started_hour',
                'cast(null as text)', 'false'
            ) }}
),

episode_tickets as (
    select distinct
        episode_contacts.episode_id,
        contacts.root_ticket_id as ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

spoken as (
    select
        episode_tickets.episode_id,
        ticket_events.ticket_id,
        ticket_events.ticket_event_id,
        ticket_events.kind as source,
        ticket_events.agent_id,
        ticket_events.team_id,
        ticket_events.event_at,
        coalesce(ticket_events.sequence, 0) as sequence
    from episode_tickets
    inner join ticket_events on episode_tickets.ticket_id = ticket_events.ticket_id
),

logged as (
    select distinct ticket_id from spoken
),

words as (
    select
        episode_id,
        ticket_event_id as word_id,
        ticket_event_id,
        source,
        agent_id,
        team_id,
        event_at,
        sequence
    from spoken
    union all
    -- A helpdesk without a log: the ticket's row.
    select
        episode_tickets.episode_id,
        'ticket:' || episode_tickets.ticket_id as word_id,
        cast(null as text) as ticket_event_id,
        'assignment' as source,
        tickets.first_agent_id as agent_id,
        tickets.first_team_id as team_id,
        tickets.opened_at as event_at,
        cast(0 as bigint) as sequence
    from episode_tickets
    inner join tickets on episode_tickets.ticket_id = tickets.ticket_id
    left join logged on episode_tickets.ticket_id = logged.ticket_id
    where logged.ticket_id is null and coalesce(tickets.first_agent_id, tickets.first_team_id) is not null
),

-- The team of an agent at that instant, where the event names none.
teams_then as (
    select
        words.episode_id,
        words.word_id,
        memberships.team_id,
        row_number() over (
            partition by words.episode_id, words.word_id
            order by memberships.valid_from desc, memberships.membership_id desc
        ) as latest_rank
    from words
    inner join memberships
        on
            words.agent_id = memberships.agent_id
            and words.event_at >= memberships.valid_from
            and (memberships.valid_to is null or words.event_at < memberships.valid_to)
    where words.team_id is null
),

changes as (
    select
        cases.episode_id,
        cases.subject_id,
        -- A machine owns nothing.
        case when agents.kind = 'bot' then null else words.agent_id end as agent_id,
        coalesce(words.team_id, teams_then.team_id) as team_id,
        words.source,
        words.ticket_event_id,
        case
            when words.agent_id is null or agents.kind = 'bot' then 'common_queue'
            when agents.role in ('control_group', 'retention_manager') then agents.role
            -- Whoever a case was escalated to and is not in the list any more was responsible.
            when agents.agent_id is null and words.source = 'escalation' then 'control_group'
            else 'agent'
        end as owner_kind,
        greatest(words.event_at, cases.started_at) as valid_from,
        words.event_at,
        words.sequence
    from words
    inner join cases on words.episode_id = cases.episode_id
    left join agents on words.agent_id = agents.agent_id
    left join teams_then
        on
            words.episode_id = teams_then.episode_id
            and words.word_id = teams_then.word_id
            and teams_then.latest_rank = 1
    where words.event_at < cases.ends_at
    union all
    select
        cases.episode_id,
        cases.subject_id,
        cast(null as text) as agent_id,
        first_rules.queue_team_id as team_id,
        'routing' as source,
        cast(null as text) as ticket_event_id,
        'common_queue' as owner_kind,
        cases.started_at as valid_from,
        -- Whatever the log says of before counts more.
        timestamptz '0001-01-01 00:00:00+00' as event_at,
        cast(0 as bigint) as sequence
    from cases
    left join first_rules on cases.episode_id = first_rules.episode_id and first_rules.rule_number = 1
),

-- Of what is said of one instant the last word counts.
last_words as (
    select
        changes.*,
        row_number() over (
            partition by episode_id, valid_from
            order by event_at desc, sequence desc, coalesce(ticket_event_id, '') desc
        ) as word_rank
    from changes
),

compared as (
    select
        last_words.*,
        lag(owner_kind || '|' || coalesce(agent_id, '') || '|' || coalesce(team_id, '')) over (
            partition by episode_id order by valid_from
        ) as owner_before
    from last_words
    where word_rank = 1
),

owners as (
    select
        compared.*,
        lead(valid_from) over (partition by episode_id order by valid_from) as valid_to
    from compared
    where
        owner_before is null
        or owner_before <> owner_kind || '|' || coalesce(agent_id, '') || '|' || coalesce(team_id, '')
)

select
    owners.episode_id,
    owners.subject_id,
    owners.owner_kind,
    owners.agent_id,
    owners.team_id,
    teams.vendor_id,
    case when teams.team_id is not null then teams.vendor_id is not null end as is_outsourced,
    owners.valid_from,
    owners.valid_to,
    owners.source,
    owners.ticket_event_id
from owners
left join teams on owners.team_id = teams.team_id
