-- Grain: one row per contact with its subject, topic and, when it is no complaint, the reason.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[
    ['contact_id'], ['ticket_id'], ['started_at'],
])) }}

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

messages as (
    select * from {{ source('signals', 'message_signals') }}
),

-- The contacts to compute: all that follows reads these, and no table twice.
told as (
    select
        gathered.*,
        matched.subject_id,
        matched.subscription_id,
        matched.link_method,
        messages.language,
        messages.sentiment,
        messages.sentiment_score,
        messages.topic as read_topic,
        messages.threat_kind,
        messages.mentions_public_review,
        messages.mentions_regulator
    from matched
    inner join gathered on matched.contact_id = gathered.contact_id
    left join messages on gathered.contact_id = messages.contact_id and gathered._load_id = messages.load_id
),

-- What a text was read as is a configured ancestor, of one code or several.
ancestors as (
    select
        told.contact_id,
        told.read_topic as topic,
        min(topics.level_1) as level_1,
        max(case when topics.is_complaint then 1 else 0 end) = 1 as is_complaint
    from told
    inner join topics
        on
            told.read_topic = topics.level_2
            and topics.level_2 <> 'unknown'
            and {{ was_valid('topics', 'told.started_at') }}
    group by told.contact_id, told.read_topic
),

contacts as (
    select
        told.*,
        coalesce(subscriptions.party_id, told.party_named) as party_id,
        coalesce(subscriptions.segment, parties.segment, 'unknown') as segment,
        subscriptions.product,
        coalesce(subscriptions.region_id, told.region_id, parties.region_id) as subject_region_id,
        coalesce(subscriptions.is_staff, parties.is_staff, false) as is_staff,
        told.is_test or coalesce(subscriptions.is_test, parties.is_test, false) as is_any_test,
        -- The source's code decides; one that says nothing, or that the tree did not know then, leaves it to the text.
        case
            when coded.level_2 <> 'unknown' then 'code'
            when ancestors.topic is not null then 'text'
            else 'unknown'
        end as topic_source,
        case
            when coded.level_2 <> 'unknown' then coded.level_2
            else coalesce(ancestors.topic, 'unknown')
        end as topic,
        case
            when coded.level_2 <> 'unknown' then coded.level_1
            else coalesce(ancestors.level_1, coded.level_1, 'unknown')
        end as topic_level_1,
        told.topic_code is not null and coded.level_2 is null as is_topic_code_unknown,
        case
            when told.kind = 'review' and told.rating is null then coalesce(told.sentiment = -1, false)
            when told.kind = 'review' then told.rating <= policy.negative_rating_max
            when coded.level_2 <> 'unknown' then coded.is_complaint
            -- A text that is read as a question and sounds like a complaint is one.
            else coalesce(ancestors.is_complaint or told.sentiment = -1, coded.is_complaint, true)
        end as is_complaint,
        case
            when told.subscription_id is not null then null
            -- The strongest thing that was said decides.
            when coalesce(told.subscription_named, told.root_subscription_named) is not null
                then 'subscription_unknown'
            when told.msisdn_named is not null then 'number_unknown'
            when told.party_named is not null then 'party_not_telling'
            else 'nothing_named'
        end as unlinked_reason,
        policy.duplicate_seconds
    from told
    left join subscriptions on told.subscription_id = subscriptions.subscription_id
    left join parties on told.party_named = parties.party_id
    left join topics as coded
        on told.topic_code = coded.topic_code and {{ was_valid('coded', 'told.started_at') }}
    left join ancestors on told.contact_id = ancestors.contact_id
    left join policy on {{ was_valid('policy', 'told.started_at') }}
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
    reasoned.unlinked_reason,
    reasoned.party_id,
    reasoned.segment,
    reasoned.product,
    reasoned.subject_region_id as region_id,
    reasoned.ticket_id,
    reasoned.root_ticket_id,
    reasoned.topic_code,
    reasoned.topic,
    reasoned.topic_level_1,
    reasoned.topic_source,
    reasoned.is_topic_code_unknown,
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
    reasoned.language,
    reasoned.sentiment,
    reasoned.sentiment_score,
    reasoned.threat_kind,
    reasoned.mentions_public_review,
    reasoned.mentions_regulator,
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
