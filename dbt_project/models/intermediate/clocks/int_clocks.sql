-- Grain: one row per clock: what started and stopped it, when it is due, and its seconds in calendar and business time.
-- Seconds are final once it has stopped; for an open one the anchors let the mart count up to the run's as_of.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['clock_id'], ['episode_id']])) }}

with

starts as (
    select * from {{ ref('int_clock_starts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

calendars as (
    select * from {{ ref('int_calendars') }}
),

-- Each clock twice: around the clock, and in working time; the policy says which of the two has the target.
clocks as (
    select
        starts.clock_id || '|calendar' as clock_id,
        case when starts.is_pausable then starts.ticket_id end as pause_key,
        calendars.calendar_id,
        starts.started_at,
        starts.stopped_at,
        case when starts.time_basis = 'calendar' then starts.target_seconds end as target_seconds
    from starts
    left join calendars on calendars.calendar_code = '24x7' and calendars.time_zone = 'Europe/Moscow'
    union all
    select
        starts.clock_id || '|business' as clock_id,
        case when starts.is_pausable then starts.ticket_id end as pause_key,
        calendars.calendar_id,
        starts.started_at,
        starts.stopped_at,
        case when starts.time_basis = 'business' then starts.target_seconds end as target_seconds
    from starts
    left join calendars on starts.calendar_code = calendars.calendar_code and starts.time_zone = calendars.time_zone
),

tickets as (
    select distinct ticket_id from starts
),

pauses as (
    select
        paused.ticket_id as pause_key,
        paused.paused_at,
        paused.resumed_at
    from {{ ref('int_ticket_pauses') }} as paused
    inner join tickets on paused.ticket_id = tickets.ticket_id
),

{{ clock_ctes('clocks', 'pauses') }},

-- Midnight after the day of the start; the first open second after it lies in the next working day.
to_register as (
    select
        starts.clock_id,
        calendars.calendar_id,
        starts.time_zone,
        {{ day_start(shift_day(local_day('starts.started_at', 'starts.time_zone'), 1), 'starts.time_zone') }}
            as midnight_at
    from starts
    inner join calendars
        on starts.calendar_code = calendars.calendar_code and starts.time_zone = calendars.time_zone
    where starts.due_rule = 'end_of_next_working_day'
),

counted as (
    {{ with_open_seconds('to_register', ['midnight_at']) }}
),

next_seconds as (
    select
        counted.*,
        counted.midnight_at_open_seconds + 1 as next_open_seconds
    from counted
),

next_opened as (
    {{ with_due('next_seconds', 'next_open_seconds', 'opened_at') }}
),

next_working_days as (
    select
        clock_id,
        {{ day_start(shift_day(local_day('opened_at', 'time_zone'), 1), 'time_zone') }} as due_at
    from next_opened
)

select
    starts.clock_id,
    starts.clock,
    starts.subject_id,
    starts.episode_id,
    starts.ticket_id,
    starts.contact_id,
    starts.level,
    starts.level_rank,
    starts.segment,
    starts.region_id,
    starts.team_id,
    starts.vendor_id,
    starts.started_at,
    starts.detected_at,
    starts.stopped_at,
    starts.stop_contact_id,
    starts.stop_attempt_id,
    case
        when starts.due_rule = 'end_of_next_working_day' then next_working_days.due_at
        when starts.time_basis = 'calendar' then by_calendar.due_at
        else by_business.due_at
    end as due_at,
    starts.target_seconds,
    starts.time_basis,
    starts.due_rule,
    calendars.calendar_id,
    by_calendar.calendar_seconds,
    by_business.business_seconds,
    by_calendar.paused_seconds,
    by_business.paused_seconds as business_paused_seconds,
    case
        when starts.due_rule = 'end_of_next_working_day' then false
        when starts.time_basis = 'calendar' then by_calendar.is_paused
        else by_business.is_paused
    end as is_paused,
    by_calendar.started_open_seconds as calendar_started_open_seconds,
    by_calendar.paused_open_seconds as calendar_paused_open_seconds,
    by_calendar.pausing_open_seconds as calendar_pausing_open_seconds,
    by_business.started_open_seconds,
    by_business.paused_open_seconds,
    by_business.pausing_open_seconds,
    starts.policy_id,
    starts.policy_version,
    starts.exclusion_reason,
    starts.resolved_on_trigger,
    starts.is_skewed
from starts
left join calendars on starts.calendar_code = calendars.calendar_code and starts.time_zone = calendars.time_zone
left join clock_times as by_calendar on starts.clock_id || '|calendar' = by_calendar.clock_id
left join clock_times as by_business on starts.clock_id || '|business' = by_business.clock_id
left join next_working_days on starts.clock_id = next_working_days.clock_id
