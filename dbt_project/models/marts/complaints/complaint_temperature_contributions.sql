-- Grain: one row per contact of a complaint episode: what it contributes to the episode's temperature tonight.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

contributions as (
    select * from {{ ref('int_temperature_contributions') }}
),

temperatures as (
    select * from {{ ref('int_episode_temperatures') }}
)

select
    contributions.contact_id,
    contributions.episode_id,
    contributions.started_at,
    contributions.level,
    contributions.sentiment,
    contributions.channel,
    cast(contributions.level_weight as double precision) as level_weight,
    cast(contributions.sentiment_factor as double precision) as sentiment_factor,
    cast(contributions.channel_factor as double precision) as channel_factor,
    cast(contributions.weight as double precision) as weight,
    {{ seconds_between('contributions.started_at', 'run.as_of') }} / 86400.0 as age_days,
    cast(contributions.weight as double precision)
    * {{ decay('contributions.started_at', 'run.as_of', 'temperatures.half_life_days') }} as contribution,
    run.batch_id as _batch_id
from contributions
cross join run
inner join temperatures on contributions.episode_id = temperatures.episode_id
