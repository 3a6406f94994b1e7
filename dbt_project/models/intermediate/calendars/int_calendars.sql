-- Grain: one row per calendar: a code of the seed in an IANA zone that a team or region uses, and in Moscow's.
{{ config(materialized='table') }}

with

calendars as (
    select * from {{ ref('calendars') }}
),

calendar_days as (
    select * from {{ ref('calendar_days') }}
),

time_zones as (
    select * from {{ ref('time_zones') }}
),

wanted as (
    select * from {{ ref('int_calendars_wanted') }}
),

codes as (
    select
        calendar_no,
        calendar_code,
        max(holiday_country) as holiday_country
    from calendars
    group by calendar_no, calendar_code
),

-- Hours without holidays need no decree: they are known whatever the holidays' seed has.
known_days as (
    select
        codes.calendar_no,
        min(calendar_days.day_on) as first_day,
        max(calendar_days.day_on) as last_day,
        max(case when not calendar_days.is_provisional then calendar_days.day_on end) as last_decreed_day
    from codes
    inner join calendar_days on codes.holiday_country = calendar_days.country
    group by codes.calendar_no
    union all
    select
        calendar_no,
        date '2010-01-01' as first_day,
        date '2035-12-31' as last_day,
        date '2035-12-31' as last_decreed_day
    from codes
    where holiday_country is null
),

-- The seed has whole years. A day less at both ends: then the day is known in every zone.
covered as (
    select
        calendar_no,
        {{ shift_day(year_start('first_day'), 1) }} as covered_from,
        {{ shift_day(next_year_start('last_day'), -1) }} as covered_until,
        -- Holidays are moved by decree each autumn.
        {{ next_year_start('last_decreed_day') }} as decreed_until
    from known_days
)

select
    cast(codes.calendar_no * 100 + time_zones.zone_no as smallint) as calendar_id,
    codes.calendar_code,
    time_zones.time_zone,
    codes.holiday_country,
    {{ day_start('covered.covered_from', "'UTC'") }} as covered_from,
    {{ day_start('covered.covered_until', "'UTC'") }} as covered_until,
    {{ day_start('covered.decreed_until', "'UTC'") }} as decreed_until
from codes
inner join covered on codes.calendar_no = covered.calendar_no
inner join wanted on codes.calendar_code = wanted.calendar_code
inner join time_zones on wanted.time_zone = time_zones.time_zone
