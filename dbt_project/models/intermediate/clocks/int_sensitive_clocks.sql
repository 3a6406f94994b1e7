-- Grain: one row per clock of a sensitive level: first contact (an episode's first rise), hand-over (each rise).
{{ config(**recomputed('int_subjects_touched', 'subject_id')) }}

with

rises as (
    select
        levels.*,
        row_number() over (partition by levels.episode_id order by levels.valid_from, levels.level_rank) as rise_number
    from {{ ref('int_sensitive_rises') }} as levels
    where {{ is_touched('int_subjects_touched', 'subject_id', 'levels.subject_id') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

reaches as (
    select * from {{ ref('int_first_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where
        owner_kind in ('control_group', 'retention_manager')
        and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

resolved as (
    select * from {{ ref('int_contacts_resolved') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

authority as (
    select * from {{ ref('agent_authority') }}
),

later_reaches as (
    select
        rises.episode_id,
        reaches.contact_id,
        reaches.attempt_id,
        reaches.reached_at,
        row_number() over (
            partition by rises.episode_id order by reaches.reached_at, reaches.reach_id
        ) as reach_number
    from rises
    inner join reaches on rises.episode_id = reaches.episode_id and rises.valid_from < reaches.reached_at
    -- The human owner or the control group: docs/clocks.md.
    where rises.rise_number = 1 and reaches.is_by_owner
),

-- Whoever is responsible already when the level rises has it at once.
owned as (
    select
        rises.episode_id,
        rises.stretch,
        rises.level,
        min(greatest(owners.valid_from, rises.valid_from)) as owned_at
    from rises
    inner join owners
        on
            rises.episode_id = owners.episode_id
            and (owners.valid_to is null or rises.valid_from < owners.valid_to)
    group by rises.episode_id, rises.stretch, rises.level
),

clocks as (
    select
        'sensitive_first_contact' as clock,
        rises.episode_id as clock_of,
        rises.episode_id,
        rises.subject_id,
        rises.contact_id,
        rises.level,
        rises.level_rank,
        rises.valid_from as started_at,
        rises.known_at as detected_at,
        later_reaches.reached_at as stopped_at,
        later_reaches.contact_id as stop_contact_id,
        later_reaches.attempt_id as stop_attempt_id
    from rises
    left join later_reaches on rises.episode_id = later_reaches.episode_id and later_reaches.reach_number = 1
    where rises.rise_number = 1
    union all
    select
        'hand_over' as clock,
        rises.episode_id || '|' || rises.level
        || case when rises.stretch > 0 then '|' || cast(rises.stretch as text) else '' end as clock_of,
        rises.episode_id,
        rises.subject_id,
        rises.contact_id,
        rises.level,
        rises.level_rank,
        rises.valid_from as started_at,
        rises.known_at as detected_at,
        owned.owned_at as stopped_at,
        cast(null as text) as stop_contact_id,
        cast(null as text) as stop_attempt_id
    from rises
    left join owned
        on rises.episode_id = owned.episode_id and rises.stretch = owned.stretch and rises.level = owned.level
),

-- What was resolved before the level rose was no sensitive case; whoever resolves it later has to be allowed to.
resolved_on_trigger as (
    select distinct
        clocks.clock,
        clocks.clock_of
    from clocks
    inner join resolved
        on
            clocks.contact_id = resolved.contact_id
            and clocks.episode_id = resolved.episode_id
            and clocks.started_at <= resolved.resolved_at
    inner join contacts on clocks.contact_id = contacts.contact_id
    left join agents on resolved.agent_id = agents.agent_id
    inner join authority
        on {{ may_resolve(
            'authority', 'resolved.resolved_at', 'resolved.agent_id', 'agents.role', 'resolved.team_id',
            'clocks.level', 'contacts.topic'
        ) }}
)

select
    clocks.clock,
    clocks.clock_of,
    clocks.episode_id,
    clocks.subject_id,
    coalesce(contacts.root_ticket_id, episodes.first_ticket_id) as ticket_id,
    clocks.contact_id,
    clocks.level,
    clocks.level_rank,
    cast(null as text) as team_id,
    cast(null as text) as vendor_id,
    clocks.started_at,
    clocks.detected_at,
    clocks.stopped_at,
    clocks.stop_contact_id,
    clocks.stop_attempt_id,
    cast(null as text) as exclusion_reason,
    resolved_on_trigger.clock_of is not null as resolved_on_trigger,
    false as is_skewed
from clocks
inner join episodes on clocks.episode_id = episodes.episode_id
left join contacts on clocks.contact_id = contacts.contact_id
left join resolved_on_trigger
    on clocks.clock = resolved_on_trigger.clock and clocks.clock_of = resolved_on_trigger.clock_of
