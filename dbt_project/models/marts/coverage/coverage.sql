-- Grain: one row per weekday, hour (Moscow) and segment: contacts that came, answers in time, minutes nobody was there.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

bounds as (
    select * from {{ ref('int_coverage_window') }}
),

arrivals as (
    select
        arrivals.*,
        bounds.as_of,
        bounds.window_from,
        bounds.window_to,
        bounds.observed_from,
        bounds.queue_hours
    from {{ ref('int_arrivals') }} as arrivals
    inner join bounds
        on
            -- Who came before the window may still wait in it.
            arrivals.started_at >= {{ add_hours('bounds.window_from', '-bounds.queue_hours') }}
            and arrivals.started_at < bounds.window_to
),

shifts as (
    select
        greatest(shifts.shift_from, bounds.observed_from) as shift_from,
        least(shifts.shift_to, bounds.window_to) as shift_to
    from {{ ref('int_agent_shifts') }} as shifts
    cross join bounds
    where shifts.shift_to > bounds.observed_from and shifts.shift_from < bounds.window_to
),

scopes as (
    select 'all' as segment
    union all
    select 'vip' as segment
    union all
    select 'corporate' as segment
    union all
    select 'mass' as segment
    union all
    select 'unknown' as segment
),

numbers as (
    {{ whole_numbers(4) }}
),

clock_hours as (
    select {{ add_hours('bounds.observed_from', 'numbers.n') }} as hour_at
    from bounds
    inner join numbers on {{ add_hours('bounds.observed_from', 'numbers.n') }} < bounds.window_to
),

-- Agents on the floor in each clock hour: shifts begin and end on the hour.
floor_steps as (
    select
        shift_from as at,
        1 as step
    from shifts
    union all
    select
        shift_to as at,
        -1 as step
    from shifts
    union all
    select
        hour_at as at,
        0 as step
    from clock_hours
),

floor_changes as (
    select
        at,
        sum(step) as step
    from floor_steps
    group by at
),

floors as (
    select
        at as hour_at,
        sum(step) over (order by at rows between unbounded preceding and current row) as agents
    from floor_changes
),

counted as (
    select
        arrivals.segment,
        {{ local_weekday('arrivals.started_at', "'Europe/Moscow'") }} as weekday,
        {{ local_hour('arrivals.started_at', "'Europe/Moscow'") }} as hour,
        count(*) as arrivals,
        sum(case when answered_at is not null then 1 else 0 end) as answered,
        sum(case when answered_at <= due_at then 1 else 0 end) as answered_in_time,
        sum(case when answered_at is null and due_at > as_of then 1 else 0 end) as not_yet_known
    from arrivals
    where arrivals.started_at >= arrivals.window_from
    group by
        arrivals.segment,
        {{ local_weekday('arrivals.started_at', "'Europe/Moscow'") }},
        {{ local_hour('arrivals.started_at', "'Europe/Moscow'") }}
),

counted_with_total as (
    select
        segment,
        weekday,
        hour,
        arrivals,
        answered,
        answered_in_time,
        not_yet_known
    from counted
    union all
    select
        'all' as segment,
        weekday,
        hour,
        sum(arrivals) as arrivals,
        sum(answered) as answered,
        sum(answered_in_time) as answered_in_time,
        sum(not_yet_known) as not_yet_known
    from counted
    group by weekday, hour
),

waiting as (
    select
        segment,
        greatest(started_at, observed_from) as waits_from,
        least(coalesce(answered_at, window_to), {{ add_hours('started_at', 'queue_hours') }}, window_to) as waits_to
    from arrivals
    where not is_answered_at_once
),

scoped_waiting as (
    select
        segment,
        waits_from,
        waits_to
    from waiting
    union all
    select
        'all' as segment,
        waits_from,
        waits_to
    from waiting
),

-- The union of what overlaps: somebody of the segment waits.
waiting_runs as (
    {{ united_intervals('scoped_waiting', 'segment', 'waits_from', 'waits_to') }}
),

steps as (
    select
        segment,
        starts_at as at,
        1 as step
    from waiting_runs
    union all
    select
        segment,
        ends_at as at,
        -1 as step
    from waiting_runs
    union all
    select
        scopes.segment,
        clock_hours.hour_at as at,
        0 as step
    from clock_hours
    cross join scopes
),

changes as (
    select
        segment,
        at,
        sum(step) as step
    from steps
    group by segment, at
),

-- Stretches in which nothing changes; hours are among the changes, so none crosses an hour.
stretches as (
    select
        changes.segment,
        changes.at,
        sum(changes.step) over (
            partition by changes.segment order by changes.at rows between unbounded preceding and current row
        ) as queues,
        coalesce(
            lead(changes.at) over (partition by changes.segment order by changes.at),
            bounds.window_to
        ) as next_at
    from changes
    cross join bounds
),

hours_waited as (
    select
        segment,
        {{ hour_start('at') }} as hour_at,
        sum({{ seconds_between('at', 'next_at') }}) as waiting_seconds
    from stretches
    where queues > 0
    group by segment, {{ hour_start('at') }}
),

observed as (
    select
        scopes.segment,
        {{ local_weekday('clock_hours.hour_at', "'Europe/Moscow'") }} as weekday,
        {{ local_hour('clock_hours.hour_at', "'Europe/Moscow'") }} as hour,
        count(*) as hours_observed,
        avg(cast(floors.agents as double precision)) as agents_on_floor,
        sum(case when floors.agents = 0 then 1 else 0 end) as hours_without_agents,
        sum(coalesce(hours_waited.waiting_seconds, 0)) as waiting_seconds,
        sum(case when floors.agents = 0 then coalesce(hours_waited.waiting_seconds, 0) else 0 end) as uncovered_seconds
    from clock_hours
    cross join scopes
    inner join floors on clock_hours.hour_at = floors.hour_at
    left join hours_waited
        on clock_hours.hour_at = hours_waited.hour_at and scopes.segment = hours_waited.segment
    group by
        scopes.segment,
        {{ local_weekday('clock_hours.hour_at', "'Europe/Moscow'") }},
        {{ local_hour('clock_hours.hour_at', "'Europe/Moscow'") }}
),

shares as (
    select
        observed.*,
        coalesce(counted_with_total.arrivals, 0) as arrivals,
        coalesce(counted_with_total.answered, 0) as answered,
        coalesce(counted_with_total.answered_in_time, 0) as answered_in_time,
        coalesce(counted_with_total.not_yet_known, 0) as not_yet_known,
        coalesce(counted_with_total.arrivals - counted_with_total.not_yet_known, 0) as n,
        cast(counted_with_total.answered_in_time as double precision)
        / nullif(counted_with_total.arrivals - counted_with_total.not_yet_known, 0) as in_time_share
    from observed
    left join counted_with_total
        on
            observed.segment = counted_with_total.segment
            and observed.weekday = counted_with_total.weekday
            and observed.hour = counted_with_total.hour
)

select
    shares.weekday,
    shares.hour,
    shares.segment,
    cast(shares.hours_observed as bigint) as hours_observed,
    cast(shares.arrivals as bigint) as arrivals,
    cast(shares.answered as bigint) as answered,
    cast(shares.answered_in_time as bigint) as answered_in_time,
    cast(shares.not_yet_known as bigint) as not_yet_known,
    cast(shares.n as bigint) as n,
    shares.in_time_share,
    {{ wilson_bound('shares.in_time_share', 'shares.n', '-') }} as ci_low,
    {{ wilson_bound('shares.in_time_share', 'shares.n', '+') }} as ci_high,
    shares.agents_on_floor,
    cast(shares.hours_without_agents as bigint) as hours_without_agents,
    cast(shares.waiting_seconds as double precision) / 60 as waiting_minutes,
    cast(shares.uncovered_seconds as double precision) / 60 as uncovered_minutes,
    bounds.observed_from,
    bounds.window_to,
    run.as_of,
    run.batch_id as _batch_id
from shares
cross join bounds
cross join run
