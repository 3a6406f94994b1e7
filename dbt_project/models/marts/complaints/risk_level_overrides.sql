-- Grain: one row per override of a risk level by hand and episode that it reaches (or subject, when it reaches none).
with

run as (
    select * from {{ source('run', 'current_run') }}
),

overrides as (
    select * from {{ ref('int_level_overrides') }}
),

history as (
    select * from {{ ref('int_level_history') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
)

select
    md5(overrides.ticket_event_id || '|' || coalesce(overrides.episode_id, overrides.subject_id)) as level_override_id,
    overrides.ticket_event_id,
    overrides.ticket_id,
    overrides.episode_id,
    episodes.subscription_id,
    overrides.agent_id,
    overrides.event_at,
    overrides.known_at,
    overrides.in_force_from,
    before.level as level_before,
    overrides.level,
    overrides.reason,
    overrides.ignored_because,
    overrides.ignored_because is null as is_applied,
    -- Level 3 by hand only raises.
    overrides.ignored_because is null
    and coalesce(overrides.level_rank < 3 and overrides.level_rank < before.level_rank, false) as is_downgrade,
    run.batch_id as _batch_id
from overrides
cross join run
left join episodes on overrides.episode_id = episodes.episode_id
-- What was in force up to it.
left join history as before
    on
        overrides.episode_id = before.episode_id
        and overrides.in_force_from > before.valid_from
        and (before.valid_to is null or overrides.in_force_from <= before.valid_to)
