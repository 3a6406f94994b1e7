-- Grain: one row per override of a level by hand and episode whose ticket carries it; per override and subject without
-- an episode. In force from when it was written down: a back-dated one does not change what was in force before.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where ticket_id is not null and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

levels as (
    select * from {{ ref('level_overrides') }}
),

-- What is said of the root ticket is said of those merged into it.
carriers as (
    select
        contact_id,
        subject_id,
        ticket_id
    from contacts
    union
    select
        contact_id,
        subject_id,
        root_ticket_id as ticket_id
    from contacts
),

tickets as (
    select distinct ticket_id from carriers
),

overrides as (
    select staged.*
    from tickets
    inner join {{ ref('stg_helpdesk__ticket_events') }} as staged on tickets.ticket_id = staged.ticket_id
    cross join run
    where staged.kind = 'level_override' and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
),

reached as (
    select distinct
        overrides.ticket_event_id,
        greatest(overrides.event_at, overrides.recorded_at) as set_at,
        carriers.subject_id,
        episodes.episode_id,
        episodes.topic,
        episodes.started_at
    from overrides
    inner join carriers on overrides.ticket_id = carriers.ticket_id
    left join episode_contacts on carriers.contact_id = episode_contacts.contact_id
    left join episodes on episode_contacts.episode_id = episodes.episode_id
),

-- A ticket that was reopened after the gap has several episodes: the one that had begun last, else the first.
chosen as (
    select
        reached.ticket_event_id,
        reached.subject_id,
        reached.episode_id,
        reached.started_at,
        count(reached.episode_id) over (
            partition by reached.ticket_event_id, reached.subject_id
        ) as episode_count,
        row_number() over (
            partition by reached.ticket_event_id, reached.subject_id, reached.topic
            order by
                case when reached.started_at <= reached.set_at then 0 else 1 end asc,
                abs({{ seconds_between('reached.started_at', 'reached.set_at') }}) asc,
                reached.episode_id asc
        ) as choice
    from reached
)

select
    chosen.episode_id,
    chosen.subject_id,
    overrides.ticket_event_id,
    overrides.ticket_id,
    overrides.agent_id,
    coalesce(overrides.sequence, 0) as sequence,
    overrides.event_at,
    overrides.recorded_at as known_at,
    greatest(
        overrides.event_at, overrides.recorded_at, coalesce(chosen.started_at, overrides.event_at)
    ) as in_force_from,
    levels.level,
    levels.level_rank,
    levels.rule_version,
    overrides.reason,
    case
        when overrides.reason is null then 'no_reason'
        when levels.level is null then 'unknown_level'
        when chosen.episode_id is null then 'no_episode'
    end as ignored_because
from chosen
inner join overrides on chosen.ticket_event_id = overrides.ticket_event_id
left join levels
    on upper(trim(overrides.to_value)) = levels.to_value and {{ was_valid('levels', 'overrides.event_at') }}
where chosen.choice = 1 and (chosen.episode_id is not null or chosen.episode_count = 0)
