-- Grain: one row per promise made to a subscriber. Kept by the instant it was first due, or broken.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

promises as (
    select * from {{ ref('int_promises') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
)

select
    promises.promise_id,
    promises.episode_id,
    episodes.segment,
    episodes.topic,
    outcomes.level,
    promises.agent_id,
    promises.team_id,
    promises.vendor_id,
    promises.is_outsourced,
    promises.made_at,
    promises.due_at,
    promises.latest_due_at,
    promises.kept_at,
    promises.moved_at,
    promises.status,
    promises.is_after_churn,
    promises.is_counted,
    promises.is_mature,
    promises.is_left_90d as left_90d,
    case when promises.is_left_90d then outcomes.churned_at end as left_at,
    run.as_of,
    run.batch_id as _batch_id
from promises
cross join run
left join episodes on promises.episode_id = episodes.episode_id
left join outcomes on promises.episode_id = outcomes.episode_id
