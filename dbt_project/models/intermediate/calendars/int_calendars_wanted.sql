-- Grain: one row per calendar code and IANA zone that somebody asks for: every code in the zones of regions and in
-- Moscow's, and what teams name, whether the seeds know it or not.
{{ config(materialized='view') }}

with

calendars as (
    select * from {{ ref('calendars') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

regions as (
    select * from {{ ref('stg_crm__regions') }}
),

used_zones as (
    select time_zone from teams
    union
    select time_zone from regions
    union
    select 'Europe/Moscow' as time_zone
),

named as (
    select
        calendars.calendar_code,
        used_zones.time_zone,
        0 as team_count
    from calendars
    cross join used_zones
    where used_zones.time_zone is not null
    union all
    select
        coalesce(calendar_code, 'unknown') as calendar_code,
        coalesce(time_zone, 'unknown') as time_zone,
        1 as team_count
    from teams
)

select
    calendar_code,
    time_zone,
    sum(team_count) as team_count
from named
group by calendar_code, time_zone
