-- Grain: one row per contact that is part of a complaint episode: what it adds to the episode's temperature at first.
-- The level is the one in force when the contact began; a factor that the seed does not have is 1.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

levels as (
    select * from {{ ref('int_level_history') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

weights as (
    select * from {{ ref('temperature_weights') }}
),

weighed as (
    select
        episode_contacts.contact_id,
        episode_contacts.episode_id,
        episode_contacts.subject_id,
        episode_contacts.started_at,
        levels.level,
        contacts.sentiment,
        contacts.channel,
        coalesce(by_level.weight, 1) as level_weight,
        coalesce(by_sentiment.weight, 1) as sentiment_factor,
        coalesce(by_channel.weight, 1) as channel_factor
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    inner join levels
        on
            episode_contacts.episode_id = levels.episode_id
            and episode_contacts.started_at >= levels.valid_from
            and (levels.valid_to is null or episode_contacts.started_at < levels.valid_to)
    left join weights as by_level
        on
            by_level.factor = 'level'
            and levels.level = by_level.value
            and {{ was_valid('by_level', 'episode_contacts.started_at') }}
    left join weights as by_sentiment
        on
            by_sentiment.factor = 'sentiment'
            and cast(contacts.sentiment as text) = by_sentiment.value
            and {{ was_valid('by_sentiment', 'episode_contacts.started_at') }}
    left join weights as by_channel
        on
            by_channel.factor = 'channel'
            and contacts.channel = by_channel.value
            and {{ was_valid('by_channel', 'episode_contacts.started_at') }}
)

select
    contact_id,
    episode_id,
    subject_id,
    started_at,
    level,
    sentiment,
    channel,
    level_weight,
    sentiment_factor,
    channel_factor,
    cast(level_weight * sentiment_factor * channel_factor as numeric(12, 6)) as weight
from weighed
