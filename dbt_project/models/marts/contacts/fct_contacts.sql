-- Grain: one row per contact in any channel and direction, complaint or not. No phone numbers, no texts.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

repeats as (
    select * from {{ ref('int_contact_repeats') }}
),

replies as (
    select * from {{ ref('int_reply_substance') }}
)

select
    contacts.contact_id,
    contacts.kind,
    contacts.subscription_id,
    contacts.link_method,
    contacts.unlinked_reason,
    contacts.party_id,
    contacts.segment,
    contacts.product,
    contacts.region_id,
    contacts.ticket_id,
    contacts.root_ticket_id,
    episode_contacts.episode_id,
    episode_contacts.contact_position = 1 as is_first_of_episode,
    contacts.topic,
    contacts.topic_level_1,
    contacts.topic_source,
    contacts.is_topic_code_unknown,
    contacts.is_complaint,
    contacts.exclusion_reason,
    contacts.channel,
    contacts.direction,
    contacts.initiator,
    contacts.author_kind,
    contacts.is_on_behalf,
    contacts.agent_id,
    contacts.team_id,
    contacts.is_answered,
    contacts.connected_seconds,
    contacts.language,
    contacts.sentiment,
    contacts.sentiment_score,
    contacts.threat_kind,
    contacts.mentions_public_review,
    contacts.mentions_regulator,
    replies.is_boilerplate,
    replies.gives_reason,
    replies.states_result,
    contacts.duplicate_of_contact_id,
    repeats.is_repeat_7d,
    repeats.is_repeat_30d,
    repeats.earlier_contact_id,
    contacts.started_at,
    contacts.ended_at,
    contacts.recorded_at,
    run.batch_id as _batch_id
from contacts
cross join run
left join episode_contacts on contacts.contact_id = episode_contacts.contact_id
left join repeats on contacts.contact_id = repeats.contact_id
left join replies on contacts.contact_id = replies.contact_id
