-- Grain: one row per contact with its subject, topic and, when it is no complaint, the reason.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['contact_id'], ['ticket_id']])) }}

with

matched as (
    select * from {{ ref('int_contacts_matched') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

gathered as (
    select * from {{ ref('int_contacts_gathered') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

parties as (
    select * from {{ ref('stg_crm__parties') }}
),

topics as (
    select * from {{ ref('topics') }}
),

policy as (
    select * from {{ ref('episode_policy') }}
),

contacts as (
    select
        gathered.*,
        matched.subject_id,
        matched.subscription_id,
        matched.link_method,
        coalesce(subscriptions.party_id, gathered.party_named) as party_id,
        coalesce(subscriptions.segment, parties.segment, 'unknown') as segment,
        subscriptions.product,
        coalesce(subscriptions.region_id, gathered.region_id, parties.region_id) as subject_region_id,
        coalesce(subscriptions.is_staff, parties.is_staff, false) as is_staff,
        gathered.is_test or coalesce(subscriptions.is_test, parties.is_test, false) as is_any_test,
        -- A code that the tree did not know then is counted under `unknown`.
        coalesce(topics.level_2, 'unknown') as topic,
        coalesce(topics.level_1, 'unknown') as topic_level_1,
        case
            when gathered.kind = 'review' then coalesce(gathered.rating <= policy.negative_rating_max, false)
            else coalesce(topics.is_complaint, true)
        end as is_complaint,
        policy.duplicate_seconds
    from matched
    inner join gathered on matched.contact_id = gathered.contact_id
    left join subscriptions on matched.subscription_id = subscriptions.subscription_id
    left join parties on gathered.party_named = parties.party_id
    left join topics
        on gathered.topic_code = topics.topic_code and {{ was_valid('topics', 'gathered.started_at') }}
    left join policy on {{ was_valid('policy', 'gathered.started_at') }}
),

reasoned as (
    select
        contacts.*,
        case
            when is_any_test then 'test'
            when is_staff then 'staff'
            when is_spam then 'spam'
            when not is_complaint then 'not_a_complaint'
        end as exclusion_reason
    from contacts
),

neighboured as (
    select
        contact_id,
        lag(contact_id) over (partition by subject_id, topic order by started_at, contact_id) as previous_contact_id,
        lag(channel) over (partition by subject_id, topic order by started_at, contact_id) as previous_channel,
        lag(started_at) over (partition by subject_id, topic order by started_at, contact_id) as previous_started_at
    from reasoned
    where initiator = 'customer' and exclusion_reason is null
)

select
    reasoned.contact_id,
    reasoned.kind,
    reasoned.subject_id,
    reasoned.subscription_id is not null as is_linked,
    reasoned.subscription_id,
    reasoned.link_method,
    reasoned.party_id,
    reasoned.segment,
    reasoned.product,
    reasoned.subject_region_id as region_id,
    reasoned.ticket_id,
    reasoned.root_ticket_id,
    reasoned.topic_code,
    reasoned.topic,
    reasoned.topic_level_1,
    reasoned.is_complaint,
    reasoned.exclusion_reason,
    reasoned.channel,
    reasoned.direction,
    reasoned.initiator,
    reasoned.initiator = 'customer' as is_customer_initiated,
    reasoned.author_kind,
    reasoned.is_on_behalf,
    reasoned.agent_id,
    reasoned.team_id,
    reasoned.is_answered,
    reasoned.connected_seconds,
    reasoned.rating,
    -- The same matter told in two channels within minutes: two contacts, one grievance.
    case
        when
            neighboured.previous_channel <> reasoned.channel
            and {{ seconds_between('neighboured.previous_started_at', 'reasoned.started_at') }}
            <= reasoned.duplicate_seconds
            then neighboured.previous_contact_id
    end as duplicate_of_contact_id,
    reasoned.started_at,
    reasoned.ended_at,
    reasoned.recorded_at,
    reasoned._load_id
from reasoned
left join neighboured on reasoned.contact_id = neighboured.contact_id
