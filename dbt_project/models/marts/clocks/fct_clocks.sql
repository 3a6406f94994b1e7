-- Grain: one row per clock of a complaint: its start, stop and due instants, its seconds, and what is to be said of it.
-- The open ones are counted up to the run's as_of.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

clocks as (
    select * from {{ ref('int_clocks') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

clock_sources as (
    select * from {{ ref('clock_sources') }}
),

segments as (
    select * from {{ ref('int_clock_segments') }}
),

told as (
    select * from {{ ref('int_vendors_told') }}
),

calendars as (
    select * from {{ ref('int_calendars') }}
),

watermarks as (
    select
        table_name,
        max(snapshot_at) as read_at,
        max(watermark_to) as told_until
    from loads
    group by table_name
),

-- A table read in a snapshot is known up to it, with or without new rows; files up to their last row.
sources as (
    select
        clock_sources.clock,
        clock_sources.table_name,
        clock_sources.applies_to,
        -- Of vendors' files each vendor's last row counts, below.
        case
            when clock_sources.table_name <> 'vendor.call_attempts' or watermarks.read_at is not null
                then greatest(
                    coalesce(watermarks.read_at, watermarks.told_until),
                    coalesce(watermarks.told_until, watermarks.read_at)
                )
        end as loaded_until,
        {{ add_hours('watermarks.told_until', '-clock_sources.lag_hours') }} as silent_until
    from clock_sources
    inner join watermarks on clock_sources.table_name = watermarks.table_name
    where coalesce(watermarks.read_at, watermarks.told_until) is not null
),

-- What the slowest of the supplied sources does not tell yet cannot be known.
known as (
    select
        clock,
        min(loaded_until) as loaded_until
    from sources
    where table_name <> 'vendor.call_attempts'
    group by clock
),

known_of_vendors as (
    select * from sources
    where table_name = 'vendor.call_attempts'
),

-- A vendor had the case before it was due.
outsourced as (
    select distinct segments.clock_id
    from segments
    inner join clocks on segments.clock_id = clocks.clock_id
    where segments.is_outsourced and (clocks.due_at is null or segments.started_at <= clocks.due_at)
),

calendars_now as (
    select
        calendars.calendar_id,
        calendars.calendar_code,
        calendars.time_zone,
        run.as_of
    from calendars
    cross join run
),

now_at_calendar as (
    {{ with_open_seconds('calendars_now', ['as_of']) }}
),

now_around_the_clock as (
    select as_of_open_seconds
    from now_at_calendar
    where calendar_code = '24x7' and time_zone = 'Europe/Moscow'
),

counted as (
    select
        clocks.*,
        run.as_of,
        run.batch_id,
        known.loaded_until as own_loaded_until,
        case
            when known_of_vendors.clock is null then null
            when
                known_of_vendors.applies_to = 'outsourced'
                and clocks.vendor_id is null and outsourced.clock_id is null then null
            when known_of_vendors.loaded_until is not null then known_of_vendors.loaded_until
            else greatest(
                known_of_vendors.silent_until, coalesce(told.told_until, known_of_vendors.silent_until)
            )
        end as vendors_loaded_until,
        case
            when clocks.stopped_at is not null then clocks.calendar_seconds
            else {{ whole_seconds_between('clocks.started_at', 'run.as_of') }}
        end as calendar_seconds_now,
        case
            when clocks.stopped_at is not null then clocks.business_seconds
            else {{ business_seconds_until('clocks', 'now_at_calendar.as_of_open_seconds') }}
        end as business_seconds_now,
        case
            when clocks.stopped_at is not null then clocks.paused_seconds
            else
                clocks.calendar_paused_open_seconds
                + now_around_the_clock.as_of_open_seconds
                - coalesce(clocks.calendar_pausing_open_seconds, now_around_the_clock.as_of_open_seconds)
        end as paused_seconds_now
    from clocks
    cross join run
    left join now_around_the_clock on true
    left join now_at_calendar on clocks.calendar_id = now_at_calendar.calendar_id
    left join known on clocks.clock = known.clock
    left join known_of_vendors on clocks.clock = known_of_vendors.clock
    left join told on clocks.vendor_id = told.vendor_id
    left join outsourced on clocks.clock_id = outsourced.clock_id
),

bounded as (
    select
        counted.*,
        case
            when coalesce(own_loaded_until, vendors_loaded_until) is not null
                then least(
                    as_of,
                    coalesce(own_loaded_until, vendors_loaded_until),
                    coalesce(vendors_loaded_until, own_loaded_until)
                )
        end as loaded_until
    from counted
),

judged as (
    select
        bounded.*,
        {{ clock_verdict(
            stopped_at='stopped_at', due_at='due_at', as_of='as_of', known_until='loaded_until',
            has_target="(target_seconds is not null or due_rule = 'end_of_next_working_day')",
            is_paused='coalesce(is_paused, false)'
        ) }} as verdict_of_clock
    from bounded
)

select
    clock_id,
    clock,
    subject_id,
    episode_id,
    ticket_id,
    contact_id,
    level,
    segment,
    region_id,
    team_id,
    vendor_id,
    vendor_id is not null as is_outsourced,
    started_at,
    detected_at,
    cast({{ whole_seconds_between('started_at', 'detected_at') }} as bigint) as detection_delay_seconds,
    stopped_at,
    stop_contact_id,
    stop_attempt_id,
    stopped_at is null as is_open,
    due_at,
    target_seconds,
    time_basis,
    cast(calendar_seconds_now as bigint) as calendar_seconds,
    cast(business_seconds_now as bigint) as business_seconds,
    cast(paused_seconds_now as bigint) as paused_seconds,
    cast(
        case
            when time_basis = 'calendar' then calendar_seconds_now - paused_seconds_now
            else business_seconds_now
        end as bigint
    ) as elapsed_seconds,
    case
        when exclusion_reason is not null then 'excluded'
        when resolved_on_trigger then 'resolved_on_trigger'
        when verdict_of_clock in ('no_target', 'outside_calendar') then 'excluded'
        when verdict_of_clock = 'breached_open' then 'breached'
        else verdict_of_clock
    end as verdict,
    coalesce(
        exclusion_reason,
        case
            when not resolved_on_trigger and verdict_of_clock in ('no_target', 'outside_calendar') then verdict_of_clock
        end
    ) as exclusion_reason,
    is_skewed,
    policy_id,
    policy_version,
    as_of,
    batch_id as _batch_id
from judged
