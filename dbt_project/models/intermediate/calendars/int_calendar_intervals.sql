-- Grain: one row per calendar and stretch of opening hours within a UTC day: the union of the seed's windows.
{{ config(**kept_per_calendar(['calendar_id', 'utc_day'])) }}

with

calendars as (
    select * from {{ ref('int_calendars') }}
    where {{ is_new_calendar() }}
),

calendar_days as (
    select * from {{ ref('calendar_days') }}
),

-- Minutes of the local day; past 1440 is the next one.
hours as (
    select
        calendar_code,
        weekday,
        coalesce(holiday_country, '') as country,
        valid_from,
        valid_to,
        {{ minute_of_day('opens_at') }} as opens_minute,
        {{ minute_of_day('closes_at') }} + case when opens_at < closes_at then 0 else 1440 end as closes_minute
    from {{ ref('calendars') }}
),

numbers as (
    {{ whole_numbers(5) }}
),

span as (
    select
        min(covered_from) as covered_from,
        max(covered_until) as covered_until
    from calendars
),

-- 2001-01-01 was a Monday.
days as (
    select
        {{ shift_day("date '2001-01-01'", 'numbers.n') }} as day_on,
        mod(numbers.n, 7) + 1 as weekday
    from numbers
    cross join span
    where
        {{ add_days('span.covered_from', -2) }} <= {{ add_days("timestamptz '2001-01-01 00:00:00+00'", 'numbers.n') }}
        and {{ add_days("timestamptz '2001-01-01 00:00:00+00'", 'numbers.n - 2') }} < span.covered_until
),

countries as (
    select distinct country from hours
),

-- What a day is in a country; '' has no holidays.
worked_days as (
    select
        countries.country,
        days.day_on,
        coalesce(calendar_days.as_weekday, days.weekday) as weekday,
        coalesce(calendar_days.closes_earlier_minutes, 0) as closes_earlier_minutes
    from days
    cross join countries
    left join calendar_days
        on
            days.day_on = calendar_days.day_on
            and countries.country = calendar_days.country
    where coalesce(calendar_days.kind, 'ordinary') <> 'holiday'
),

windows as (
    select
        hours.calendar_code,
        worked_days.day_on,
        hours.opens_minute,
        least(
            hours.closes_minute,
            max(hours.closes_minute) over (partition by hours.calendar_code, worked_days.day_on)
            - worked_days.closes_earlier_minutes
        ) as closes_minute
    from worked_days
    inner join hours
        on
            worked_days.country = hours.country
            and worked_days.weekday = hours.weekday
            and worked_days.day_on >= hours.valid_from
            and worked_days.day_on < coalesce(hours.valid_to, date '9999-12-31')
),

-- The wall clock of the zone decides; where it was set back, the later of two equal times.
instants as (
    select
        calendars.calendar_id,
        calendars.covered_from,
        calendars.covered_until,
        {{ local_minute('windows.day_on', 'windows.opens_minute', 'calendars.time_zone') }} as opens_at,
        {{ local_minute('windows.day_on', 'windows.closes_minute', 'calendars.time_zone') }} as closes_at
    from windows
    inner join calendars
        on
            windows.calendar_code = calendars.calendar_code
            and {{ add_days(day_start('windows.day_on', "'UTC'"), 3) }} >= calendars.covered_from
            and {{ add_days(day_start('windows.day_on', "'UTC'"), -2) }} < calendars.covered_until
    where windows.opens_minute < windows.closes_minute
),

-- A window touches three UTC days at most.
cut as (
    select
        instants.calendar_id,
        {{ shift_day(local_day('instants.opens_at', "'UTC'"), 'numbers.n') }} as utc_day,
        instants.covered_from,
        instants.covered_until,
        instants.opens_at,
        instants.closes_at
    from instants
    inner join numbers on numbers.n < 3
),

pieces as (
    select
        calendar_id,
        utc_day,
        greatest(opens_at, {{ day_start('utc_day', "'UTC'") }}) as opens_at,
        least(closes_at, {{ add_days(day_start('utc_day', "'UTC'"), 1) }}) as closes_at
    from cut
    where
        {{ day_start('utc_day', "'UTC'") }} >= covered_from
        and {{ day_start('utc_day', "'UTC'") }} < covered_until
),

united as (
    {{ united_intervals('pieces', ['calendar_id', 'utc_day'], 'opens_at', 'closes_at') }}
)

select
    calendar_id,
    utc_day,
    starts_at as opens_at,
    ends_at as closes_at,
    {{ whole_seconds_between('starts_at', 'ends_at') }} as open_seconds,
    cast(
        sum({{ whole_seconds_between('starts_at', 'ends_at') }}) over (
            partition by calendar_id order by starts_at rows between unbounded preceding and current row
        ) - {{ whole_seconds_between('starts_at', 'ends_at') }} as bigint
    ) as open_seconds_before
from united
