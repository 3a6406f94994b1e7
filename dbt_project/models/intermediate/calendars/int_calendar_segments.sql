-- Grain: one row per calendar and segment of a UTC day: from one opening (or the day's begin) to the next (or its end).
-- Every instant that a calendar covers lies in one segment of its UTC day, so a join on the day finds F of it.
{{ config(**kept_per_calendar(['calendar_id', 'utc_day'])) }}

with

calendars as (
    select * from {{ ref('int_calendars') }}
    where {{ is_new_calendar() }}
),

intervals as (
    select * from {{ ref('int_calendar_intervals') }}
    where {{ is_new_calendar() }}
),

numbers as (
    {{ whole_numbers(5) }}
),

longest as (
    select max({{ seconds_between('covered_from', 'covered_until') }} / 86400) as days from calendars
),

counted_days as (
    select numbers.n
    from numbers
    cross join longest
    where numbers.n < longest.days
),

-- The calendar's years, with closed days, and the day's first segment.
days as (
    select
        calendars.calendar_id,
        {{ shift_day(local_day('calendars.covered_from', "'UTC'"), 'counted_days.n') }} as utc_day
    from calendars
    cross join counted_days
    where {{ add_days('calendars.covered_from', 'counted_days.n') }} < calendars.covered_until
),

openings as (
    select
        calendar_id,
        utc_day,
        opens_at,
        open_seconds,
        row_number() over (partition by calendar_id, utc_day order by opens_at) as opening,
        lead(opens_at) over (partition by calendar_id, utc_day order by opens_at) as next_opens_at
    from intervals
),

segments as (
    select
        days.calendar_id,
        days.utc_day,
        case
            when coalesce(openings.opening, 1) = 1 then {{ day_start('days.utc_day', "'UTC'") }}
            else openings.opens_at
        end as starts_at,
        coalesce(openings.next_opens_at, {{ add_days(day_start('days.utc_day', "'UTC'"), 1) }}) as ends_at,
        coalesce(openings.opens_at, {{ day_start('days.utc_day', "'UTC'") }}) as opens_at,
        coalesce(openings.open_seconds, 0) as open_seconds
    from days
    left join openings
        on
            days.calendar_id = openings.calendar_id
            and days.utc_day = openings.utc_day
)

select
    calendar_id,
    utc_day,
    starts_at,
    ends_at,
    opens_at,
    open_seconds,
    cast(
        sum(open_seconds) over (
            partition by calendar_id order by starts_at rows between unbounded preceding and current row
        ) - open_seconds as bigint
    ) as open_seconds_before
from segments
