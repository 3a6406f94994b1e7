-- Grain: one row per contact that is part of a complaint episode.
-- A contact holds its episode open until the gap has passed since the contact or since its ticket was closed, whichever
-- is later; without end while the ticket is open. The next contact after that begins a new episode.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['contact_id'], ['episode_id']])) }}

with

signals as (
    select distinct contact_id
    from {{ ref('int_contact_signals') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

policy as (
    select * from {{ ref('episode_policy') }}
),

contacts as (
    select
        linked.contact_id,
        linked.subject_id,
        linked.topic,
        linked.root_ticket_id,
        linked.started_at,
        linked.ended_at,
        policy.gap_days
    from {{ ref('int_contacts_linked') }} as linked
    inner join signals on linked.contact_id = signals.contact_id
    inner join policy on {{ was_valid('policy', 'linked.started_at') }}
    where {{ is_touched('int_subjects_touched', 'subject_id', 'linked.subject_id') }}
),

-- A ticket's gap is the shortest in force at its contacts; it may have contacts of several subjects.
tickets as (
    select
        subject_id,
        root_ticket_id,
        min(gap_days) as gap_days
    from contacts
    where root_ticket_id is not null
    group by subject_id, root_ticket_id
),

intervals as (
    select
        tickets.subject_id,
        intervals.ticket_id,
        intervals.opened_at,
        coalesce(
            {{ add_days('intervals.closed_at', 'tickets.gap_days') }},
            timestamptz '9999-12-31 00:00:00+00'
        ) as held_until
    from {{ ref('int_ticket_intervals') }} as intervals
    inner join tickets on intervals.ticket_id = tickets.root_ticket_id
),

interval_starts as (
    select
        intervals.*,
        case
            when opened_at <= max(held_until) over (
                partition by subject_id, ticket_id order by opened_at, held_until
                rows between unbounded preceding and 1 preceding
            ) then 0
            else 1
        end as is_start
    from intervals
),

interval_runs as (
    select
        interval_starts.*,
        sum(is_start) over (
            partition by subject_id, ticket_id order by opened_at, held_until
            rows between unbounded preceding and current row
        ) as run_number
    from interval_starts
),

-- Reopened within the gap: the ticket never let go.
runs as (
    select
        subject_id,
        ticket_id,
        min(opened_at) as opened_at,
        max(held_until) as held_until
    from interval_runs
    group by subject_id, ticket_id, run_number
),

held as (
    select
        contacts.contact_id,
        contacts.subject_id,
        contacts.topic,
        contacts.started_at,
        greatest(
            {{ add_days('contacts.ended_at', 'contacts.gap_days') }},
            coalesce(max(runs.held_until), {{ add_days('contacts.ended_at', 'contacts.gap_days') }})
        ) as held_until
    from contacts
    left join runs
        on
            contacts.subject_id = runs.subject_id
            and contacts.root_ticket_id = runs.ticket_id
            and runs.opened_at <= {{ add_days('contacts.ended_at', 'contacts.gap_days') }}
            and contacts.started_at <= runs.held_until
    group by
        contacts.contact_id, contacts.subject_id, contacts.topic, contacts.started_at, contacts.ended_at,
        contacts.gap_days
),

starts as (
    select
        held.*,
        case
            when started_at <= max(held_until) over (
                partition by subject_id, topic order by started_at, contact_id
                rows between unbounded preceding and 1 preceding
            ) then 0
            else 1
        end as is_start
    from held
),

numbered as (
    select
        starts.*,
        sum(is_start) over (
            partition by subject_id, topic order by started_at, contact_id
            rows between unbounded preceding and current row
        ) as episode_number
    from starts
),

positioned as (
    select
        numbered.*,
        first_value(contact_id) over (
            partition by subject_id, topic, episode_number order by started_at, contact_id
        ) as first_contact_id,
        row_number() over (
            partition by subject_id, topic, episode_number order by started_at, contact_id
        ) as contact_position
    from numbered
)

select
    contact_id,
    md5(subject_id || '|' || topic || '|' || first_contact_id) as episode_id,
    subject_id,
    topic,
    first_contact_id,
    contact_position,
    started_at,
    held_until
from positioned
