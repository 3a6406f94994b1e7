-- Grain: one row per complaint episode: its temperature as of the night, and its band.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

temperatures as (
    select * from {{ ref('int_episode_temperatures') }}
),

levels as (
    select * from {{ ref('int_level_history') }}
    where valid_to is null
),

bands as (
    select * from {{ ref('temperature_bands') }}
),

cooled as (
    select
        temperatures.*,
        run.as_of,
        run.batch_id,
        cast(temperatures.anchor_score as double precision)
        * {{ decay('temperatures.anchor_at', 'run.as_of', 'temperatures.half_life_days') }} as score
    from temperatures
    cross join run
),

banded as (
    select
        cooled.episode_id,
        bands.band,
        row_number() over (partition by cooled.episode_id order by bands.min_score desc) as band_rank
    from cooled
    inner join bands on cooled.score >= bands.min_score and {{ was_valid('bands', 'cooled.as_of') }}
)

select
    cooled.episode_id,
    episodes.subscription_id,
    episodes.party_id,
    episodes.segment,
    episodes.region_id,
    episodes.topic,
    levels.level,
    cooled.score,
    coalesce(banded.band, 'cold') as band,
    cast(cooled.contribution_count as bigint) as contribution_count,
    cast(cooled.anchor_score as double precision) as score_at_last_contact,
    cooled.anchor_at as last_contact_at,
    cast(cooled.half_life_days as double precision) as half_life_days,
    coalesce(episodes.closes_at <= cooled.as_of, false) as is_closed,
    cooled.as_of,
    cooled.batch_id as _batch_id
from cooled
inner join episodes on cooled.episode_id = episodes.episode_id
left join levels on cooled.episode_id = levels.episode_id
left join banded on cooled.episode_id = banded.episode_id and banded.band_rank = 1
