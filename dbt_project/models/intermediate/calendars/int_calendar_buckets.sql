-- Grain: one row per calendar, bucket of open seconds and stretch of opening hours that has some of them.
-- The stretch in which the n-th open second passes is found by a join on the bucket of n - 1.
{{ config(**kept_per_calendar(['calendar_id', 'bucket'])) }}

with

intervals as (
    select * from {{ ref('int_calendar_intervals') }}
    where {{ is_new_calendar() }}
),

numbers as (
    {{ whole_numbers(1) }}
)

select
    intervals.calendar_id,
    {{ bucket_of('intervals.open_seconds_before') }} + numbers.n as bucket,
    intervals.opens_at,
    intervals.open_seconds,
    intervals.open_seconds_before
from intervals
inner join numbers
    on
        numbers.n
        <= {{ bucket_of('intervals.open_seconds_before + intervals.open_seconds - 1') }}
        - {{ bucket_of('intervals.open_seconds_before') }}
