-- Grain: one row per clock of an ordinary case: first reply (each complaint), resolution (each episode), legal claims.
{{ config(**recomputed('int_subjects_touched', 'subject_id')) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
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

reaches as (
    select * from {{ ref('int_first_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

all_tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

policy as (
    select * from {{ ref('contact_policy') }}
),

intervals as (
    select * from {{ ref('int_ticket_intervals') }}
),

complaints as (
    select
        contacts.*,
        episode_contacts.episode_id,
        {{ is_human_contact('contacts', 'agents') }}
        and coalesce(contacts.is_answered, true)
        and (
            contacts.channel in ('chat', 'shop')
            or (contacts.channel = 'call' and coalesce(contacts.connected_seconds >= policy.connected_seconds, false))
        ) as is_answered_live
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    inner join policy on {{ was_valid('policy', 'contacts.started_at') }}
    left join agents on contacts.agent_id = agents.agent_id
    where contacts.is_customer_initiated and contacts.exclusion_reason is null
),

tickets as (
    select distinct
        complaints.episode_id,
        complaints.root_ticket_id,
        episodes.started_at,
        episodes.closes_at
    from complaints
    inner join episodes on complaints.episode_id = episodes.episode_id
    where complaints.root_ticket_id is not null
),

-- A claim may have been registered under a ticket that is merged by now.
member_tickets as (
    select
        tickets.*,
        tickets.root_ticket_id as ticket_id
    from tickets
    union
    select
        tickets.*,
        all_tickets.ticket_id
    from tickets
    inner join all_tickets on tickets.root_ticket_id = all_tickets.root_ticket_id
),

-- What was registered before the episode was another matter.
registrations as (
    select
        member_tickets.episode_id,
        member_tickets.root_ticket_id,
        min(staged.event_at) as registered_at
    from member_tickets
    cross join run
    inner join {{ ref('stg_helpdesk__ticket_events') }} as staged
        on
            member_tickets.ticket_id = staged.ticket_id
            and staged.kind = 'registered'
            and member_tickets.started_at <= staged.event_at
            and (member_tickets.closes_at is null or member_tickets.closes_at > staged.event_at)
    where {{ is_visible('staged.event_at', 'staged.recorded_at') }}
    group by member_tickets.episode_id, member_tickets.root_ticket_id
),

-- Of the episode's tickets the first contact's counts; without one, any.
resolutions as (
    select
        complaints.episode_id,
        min(intervals.closed_at) as resolved_at
    from complaints
    inner join intervals
        on complaints.root_ticket_id = intervals.ticket_id and complaints.started_at <= intervals.closed_at
    group by complaints.episode_id
),

claims as (
    select
        complaints.*,
        coalesce(complaints.root_ticket_id, complaints.contact_id) as claim_of,
        registrations.registered_at,
        row_number() over (
            partition by complaints.episode_id, coalesce(complaints.root_ticket_id, complaints.contact_id)
            order by
                case when complaints.topic_level_1 = 'legal' then 0 else 1 end,
                complaints.started_at, complaints.contact_id
        ) as claim_number
    from complaints
    left join registrations
        on
            complaints.episode_id = registrations.episode_id
            and complaints.root_ticket_id = registrations.root_ticket_id
    where complaints.topic_level_1 = 'legal' or registrations.registered_at >= complaints.started_at
),

starts as (
    select
        'first_reply' as clock,
        contact_id as clock_of,
        episode_id,
        subject_id,
        root_ticket_id as ticket_id,
        contact_id,
        started_at,
        recorded_at as detected_at,
        case
            when is_answered_live then 'answered_live'
            when duplicate_of_contact_id is not null then 'duplicate'
            -- Answers in public places are in no source.
            when kind = 'review' and not is_linked then 'public_review'
        end as exclusion_reason,
        false as is_written_only,
        false as is_skewed
    from complaints
    union all
    select
        'legal_answer' as clock,
        episode_id || '|' || claim_of as clock_of,
        episode_id,
        subject_id,
        root_ticket_id as ticket_id,
        contact_id,
        case when registered_at < started_at then started_at else registered_at end as started_at,
        case when registered_at < started_at then started_at else registered_at end as detected_at,
        cast(null as text) as exclusion_reason,
        true as is_written_only,
        registered_at < started_at as is_skewed
    from claims
    where claim_number = 1 and registered_at is not null
),

later_reaches as (
    select
        starts.clock,
        starts.clock_of,
        reaches.contact_id,
        reaches.attempt_id,
        reaches.reached_at,
        row_number() over (
            partition by starts.clock, starts.clock_of order by reaches.reached_at, reaches.reach_id
        ) as reach_number
    from starts
    inner join reaches
        on
            starts.episode_id = reaches.episode_id
            and starts.started_at < reaches.reached_at
            and (not starts.is_written_only or (reaches.is_written and starts.ticket_id = reaches.ticket_id))
)

select
    starts.clock,
    starts.clock_of,
    starts.episode_id,
    starts.subject_id,
    starts.ticket_id,
    starts.contact_id,
    cast(null as text) as level,
    cast(null as integer) as level_rank,
    cast(null as text) as team_id,
    cast(null as text) as vendor_id,
    starts.started_at,
    starts.detected_at,
    later_reaches.reached_at as stopped_at,
    later_reaches.contact_id as stop_contact_id,
    later_reaches.attempt_id as stop_attempt_id,
    starts.exclusion_reason,
    false as resolved_on_trigger,
    starts.is_skewed
from starts
left join later_reaches
    on
        starts.clock = later_reaches.clock
        and starts.clock_of = later_reaches.clock_of
        and later_reaches.reach_number = 1
union all
select
    'legal_registration' as clock,
    episode_id || '|' || claim_of as clock_of,
    episode_id,
    subject_id,
    root_ticket_id as ticket_id,
    contact_id,
    cast(null as text) as level,
    cast(null as integer) as level_rank,
    cast(null as text) as team_id,
    cast(null as text) as vendor_id,
    started_at,
    recorded_at as detected_at,
    case when registered_at < started_at then started_at else registered_at end as stopped_at,
    cast(null as text) as stop_contact_id,
    cast(null as text) as stop_attempt_id,
    cast(null as text) as exclusion_reason,
    false as resolved_on_trigger,
    coalesce(registered_at < started_at, false) as is_skewed
from claims
where claim_number = 1
union all
select
    'resolution' as clock,
    episodes.episode_id as clock_of,
    episodes.episode_id,
    episodes.subject_id,
    episodes.first_ticket_id as ticket_id,
    episodes.first_contact_id as contact_id,
    cast(null as text) as level,
    cast(null as integer) as level_rank,
    cast(null as text) as team_id,
    cast(null as text) as vendor_id,
    episodes.started_at,
    contacts.recorded_at as detected_at,
    case
        when episodes.first_ticket_id is null then resolutions.resolved_at
        else episodes.first_resolved_at
    end as stopped_at,
    cast(null as text) as stop_contact_id,
    cast(null as text) as stop_attempt_id,
    -- What has no ticket cannot be seen to be resolved.
    case when episodes.ticket_count = 0 then 'no_ticket' end as exclusion_reason,
    false as resolved_on_trigger,
    false as is_skewed
from episodes
inner join contacts on episodes.first_contact_id = contacts.contact_id
left join resolutions on episodes.episode_id = resolutions.episode_id
