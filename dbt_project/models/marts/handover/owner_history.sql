-- Grain: one row per episode and interval in which one owner had it.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
)

select
    owners.episode_id,
    cast(
        row_number() over (partition by owners.episode_id order by owners.valid_from) as bigint
    ) as owner_position,
    episodes.segment,
    episodes.region_id,
    episodes.topic,
    owners.owner_kind,
    owners.agent_id,
    owners.team_id,
    owners.vendor_id,
    owners.is_outsourced,
    owners.source,
    owners.ticket_event_id,
    owners.valid_from,
    owners.valid_to,
    owners.valid_to is null as is_current,
    {{ seconds_between('owners.valid_from', 'coalesce(owners.valid_to, run.as_of)') }} / 60 as minutes,
    run.batch_id as _batch_id
from owners
inner join episodes on owners.episode_id = episodes.episode_id
cross join run
