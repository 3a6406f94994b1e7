-- Grain: one row per complaint episode and interval in which a risk level was in force, with rule and evidence.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

history as (
    select * from {{ ref('int_level_history') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
)

select
    history.episode_id,
    cast(
        row_number() over (partition by history.episode_id order by history.valid_from) as integer
    ) as interval_number,
    episodes.subscription_id,
    episodes.segment,
    episodes.topic,
    history.level,
    history.level_rank,
    history.is_sensitive,
    history.valid_from,
    history.valid_to,
    history.valid_to is null as is_current,
    history.known_at,
    {{ seconds_between('history.valid_from', 'history.known_at') }} as detection_delay_seconds,
    history.rule_id,
    history.rule_version,
    history.is_own_words,
    history.contact_id as evidence_contact_id,
    history.earlier_contact_id as evidence_earlier_contact_id,
    history.phrase_id,
    history.starts_at_char as phrase_starts_at_char,
    history.ends_at_char as phrase_ends_at_char,
    history.ticket_event_id as evidence_ticket_event_id,
    history.subscription_event_id as evidence_subscription_event_id,
    history.order_id as evidence_order_id,
    history.override_reason,
    run.batch_id as _batch_id
from history
cross join run
inner join episodes on history.episode_id = episodes.episode_id
