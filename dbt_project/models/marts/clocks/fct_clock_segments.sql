-- Grain: one row per clock and interval in which one owner had the case while it ran; seconds add up to the clock's.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

segments as (
    select * from {{ ref('int_clock_segments') }}
),

clocks as (
    select * from {{ ref('int_clocks') }}
),

calendars as (
    select * from {{ ref('int_calendars') }}
),

calendars_now as (
    select
        calendars.calendar_id,
        run.as_of
    from calendars
    cross join run
),

now_at_calendar as (
    {{ with_open_seconds('calendars_now', ['as_of']) }}
)

select
    segments.clock_id,
    cast(segments.segment_number as bigint) as segment_number,
    clocks.clock,
    segments.owner_kind,
    segments.agent_id,
    segments.team_id,
    segments.vendor_id,
    segments.is_outsourced,
    segments.started_at,
    segments.stopped_at as ended_at,
    cast(
        case
            when segments.stopped_at is not null then segments.calendar_seconds
            else {{ whole_seconds_between(
                since_origin('segments.started_at', fraction_of('clocks.started_at')), 'run.as_of'
            ) }}
        end as bigint
    ) as calendar_seconds,
    cast(
        case
            when segments.stopped_at is not null then segments.business_seconds
            else {{ business_seconds_until('segments', 'now_at_calendar.as_of_open_seconds') }}
        end as bigint
    ) as business_seconds,
    run.as_of,
    run.batch_id as _batch_id
from segments
cross join run
inner join clocks on segments.clock_id = clocks.clock_id
left join now_at_calendar on segments.calendar_id = now_at_calendar.calendar_id
