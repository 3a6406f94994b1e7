-- Grain: one row per contact, rule of the risk level that fired on it, and piece of evidence.
-- Tests, staff and spam fire nothing; a question or request fires only what says that the subscriber is leaving.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['contact_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where
        coalesce(exclusion_reason, 'not_a_complaint') = 'not_a_complaint'
        and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

repeats as (
    select * from {{ ref('int_contact_repeats') }}
),

earlier_contacts as (
    select
        contact_id,
        recorded_at
    from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

-- Who has left already, or would leave and has nowhere to go, does not say that he is leaving.
phrase_hits as (
    select * from {{ source('signals', 'phrase_hits') }}
    where signal = 'leaving' and verdict = 'asserted'
),

-- Only so that an edited phrase refreshes this model.
phrases as (
    select * from {{ ref('phrases') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

level_rules as (
    select * from {{ ref('level_rules') }}
),

ticket_subjects as (
    select distinct
        ticket_id,
        subject_id
    from contacts
    where ticket_id is not null
),

touched_tickets as (
    select distinct ticket_id from ticket_subjects
),

ticket_events as (
    select staged.*
    from touched_tickets
    inner join {{ ref('stg_helpdesk__ticket_events') }} as staged on touched_tickets.ticket_id = staged.ticket_id
    cross join run
    where
        staged.kind = 'leaving_flag'
        and {{ is_visible('staged.event_at', 'staged.recorded_at') }}
        and staged.ticket_id in (select contacts.ticket_id from contacts)
),

flags as (
    select
        ticket_subjects.ticket_id,
        ticket_subjects.subject_id,
        ticket_events.ticket_event_id,
        ticket_events.event_at,
        ticket_events.recorded_at
    from ticket_subjects
    inner join ticket_events on ticket_subjects.ticket_id = ticket_events.ticket_id
    union all
    -- A source that keeps no log of the flag: it is as old as the ticket, as far as we know.
    select
        ticket_subjects.ticket_id,
        ticket_subjects.subject_id,
        cast(null as text) as ticket_event_id,
        tickets.opened_at as event_at,
        coalesce(tickets.recorded_at, tickets.opened_at) as recorded_at
    from ticket_subjects
    inner join tickets on ticket_subjects.ticket_id = tickets.ticket_id
    left join ticket_events on ticket_subjects.ticket_id = ticket_events.ticket_id
    where tickets.has_leaving_flag and ticket_events.ticket_event_id is null
),

-- The contact that an agent's flag speaks of: the customer's last one before it, else any last one, else the next.
flagged as (
    select
        contacts.contact_id,
        contacts.started_at,
        flags.ticket_event_id,
        flags.event_at,
        flags.recorded_at,
        row_number() over (
            partition by flags.ticket_id, flags.subject_id, flags.ticket_event_id
            order by
                case
                    when contacts.started_at > flags.event_at then 2
                    when contacts.is_customer_initiated then 0
                    else 1
                end asc,
                case when contacts.started_at > flags.event_at then contacts.started_at end asc,
                contacts.started_at desc,
                contacts.contact_id asc
        ) as contact_rank
    from flags
    inner join contacts on flags.ticket_id = contacts.ticket_id and flags.subject_id = contacts.subject_id
),

fired as (
    select
        contact_id,
        'complaint_topic' as rule_id,
        started_at as fired_at,
        recorded_at as known_at,
        false as is_own_words,
        cast(null as text) as earlier_contact_id,
        cast(null as text) as phrase_id,
        cast(null as integer) as starts_at_char,
        cast(null as integer) as ends_at_char,
        cast(null as text) as ticket_event_id
    from contacts
    where is_customer_initiated and exclusion_reason is null
    union all
    select
        contacts.contact_id,
        'repeat_contact' as rule_id,
        contacts.started_at as fired_at,
        -- Both contacts have to be known for one to be seen as the other's repeat.
        greatest(contacts.recorded_at, earlier_contacts.recorded_at) as known_at,
        false as is_own_words,
        repeats.earlier_contact_id,
        cast(null as text) as phrase_id,
        cast(null as integer) as starts_at_char,
        cast(null as integer) as ends_at_char,
        cast(null as text) as ticket_event_id
    from contacts
    inner join repeats on contacts.contact_id = repeats.contact_id
    inner join earlier_contacts on repeats.earlier_contact_id = earlier_contacts.contact_id
    where repeats.is_repeat_30d
    union all
    select
        contacts.contact_id,
        'leaving_phrase' as rule_id,
        contacts.started_at as fired_at,
        contacts.recorded_at as known_at,
        not contacts.is_on_behalf as is_own_words,
        cast(null as text) as earlier_contact_id,
        phrase_hits.phrase_id,
        phrase_hits.starts_at_char,
        phrase_hits.ends_at_char,
        cast(null as text) as ticket_event_id
    from contacts
    inner join phrase_hits
        on contacts.contact_id = phrase_hits.contact_id and contacts._load_id = phrase_hits.load_id
    inner join phrases on phrase_hits.phrase_id = phrases.phrase_id
    union all
    select
        contact_id,
        'negative_review' as rule_id,
        started_at as fired_at,
        recorded_at as known_at,
        false as is_own_words,
        cast(null as text) as earlier_contact_id,
        cast(null as text) as phrase_id,
        cast(null as integer) as starts_at_char,
        cast(null as integer) as ends_at_char,
        cast(null as text) as ticket_event_id
    from contacts
    where kind = 'review' and is_complaint
    union all
    select
        contact_id,
        'leaving_flag' as rule_id,
        greatest(event_at, started_at) as fired_at,
        greatest(recorded_at, started_at) as known_at,
        false as is_own_words,
        cast(null as text) as earlier_contact_id,
        cast(null as text) as phrase_id,
        cast(null as integer) as starts_at_char,
        cast(null as integer) as ends_at_char,
        ticket_event_id
    from flagged
    where contact_rank = 1
)

select
    fired.contact_id,
    contacts.subject_id,
    contacts.topic,
    fired.rule_id,
    level_rules.rule_version,
    level_rules.level,
    level_rules.level_rank,
    fired.fired_at,
    fired.known_at,
    fired.is_own_words,
    fired.earlier_contact_id,
    fired.phrase_id,
    fired.starts_at_char,
    fired.ends_at_char,
    fired.ticket_event_id
from fired
inner join contacts on fired.contact_id = contacts.contact_id
inner join level_rules on fired.rule_id = level_rules.rule_id and {{ was_valid('level_rules', 'fired.fired_at') }}
