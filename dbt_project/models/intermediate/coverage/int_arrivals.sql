-- Grain: one row per contact that a customer began and a person of ours has to answer: when was it answered, when due?
-- Tests, staff, spam and what a machine settled are no work; the voice menu before a call is the same call; a review
-- asks for an answer when it is a complaint.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['contact_id'], ['started_at']])) }}

with

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where
        coalesce(exclusion_reason, 'not_a_complaint') = 'not_a_complaint'
        and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

policy as (
    select * from {{ ref('coverage_policy') }}
),

targets as (
    select * from {{ ref('coverage_targets') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

sensitive_since as (
    select
        episode_id,
        min(valid_from) as sensitive_at
    from {{ ref('int_episode_levels') }}
    where is_sensitive and {{ is_touched('int_subjects_touched', 'subject_id') }}
    group by episode_id
),

judged as (
    select
        contacts.*,
        -- An answer is looked for in the same ticket, else under the same topic.
        case
            when contacts.root_ticket_id is not null then 'ticket ' || contacts.root_ticket_id
            else 'topic ' || contacts.topic
        end as matter,
        contacts.initiator = 'customer'
        and contacts.direction = 'inbound'
        and coalesce(contacts.author_kind, 'human') <> 'ivr'
        -- A machine may settle a question; a complaint it answered still waits for a person.
        and (coalesce(contacts.author_kind, 'human') <> 'bot' or contacts.exclusion_reason is null)
        and (contacts.kind <> 'review' or contacts.is_complaint) as is_arrival,
        contacts.direction = 'outbound'
        and coalesce(contacts.author_kind, 'human') = 'human'
        and case
            when contacts.channel = 'call'
                then
                    coalesce(contacts.is_answered, true)
                    and coalesce(contacts.connected_seconds, 0) >= policy.min_connected_seconds
            else coalesce(contacts.is_answered, true)
        end as is_answer,
        coalesce(contacts.author_kind, 'human') = 'human'
        and case
            when contacts.channel in ('call', 'chat')
                then coalesce(contacts.is_answered, coalesce(contacts.connected_seconds, 0) > 0)
            else contacts.channel = 'shop'
        end as is_answered_at_once
    from contacts
    inner join policy on {{ was_valid('policy', 'contacts.started_at') }}
),

looked_up as (
    select
        judged.*,
        min(case when is_answer then started_at end) over (
            partition by subject_id, matter
            order by started_at desc, case when is_answer then 0 else 1 end asc, contact_id asc
            rows between unbounded preceding and current row
        ) as next_answer_at
    from judged
)

select
    looked_up.contact_id,
    looked_up.subject_id,
    looked_up.kind,
    looked_up.segment,
    looked_up.region_id,
    looked_up.channel,
    looked_up.started_at,
    {{ add_seconds('looked_up.started_at', 'targets.target_seconds') }} as due_at,
    case
        when looked_up.is_answered_at_once then looked_up.started_at
        -- Of a ticket without contacts only the resolution is known: it was answered then at the latest.
        when looked_up.kind = 'ticket' then tickets.first_resolved_at
        -- The source says that a person answered and has no reply of its own.
        when looked_up.author_kind = 'human' and looked_up.is_answered then looked_up.ended_at
        else looked_up.next_answer_at
    end as answered_at,
    looked_up.is_answered_at_once,
    coalesce(sensitive_since.sensitive_at <= looked_up.started_at, false) as is_sensitive
from looked_up
inner join targets
    on looked_up.segment = targets.segment and {{ was_valid('targets', 'looked_up.started_at') }}
left join tickets on looked_up.ticket_id = tickets.ticket_id
left join episode_contacts on looked_up.contact_id = episode_contacts.contact_id
left join sensitive_since on episode_contacts.episode_id = sensitive_since.episode_id
where looked_up.is_arrival
