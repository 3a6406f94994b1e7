-- Grain: one row per team, week and signal of clocks being played with: how many of how many, and is that a lot?
with

run as (
    select * from {{ source('run', 'current_run') }}
),

clocks as (
    select
        fct_clocks.*,
        coalesce(fct_clocks.team_id, 'nobody') as team,
        {{ week_start(local_day('fct_clocks.started_at', "'Europe/Moscow'")) }} as week_on
    from {{ ref('fct_clocks') }} as fct_clocks
    where fct_clocks.verdict in ('met', 'breached', 'open_in_time', 'not_yet_known')
),

thresholds as (
    select gaming_thresholds.*
    from {{ ref('gaming_thresholds') }} as gaming_thresholds
    cross join run
    where {{ was_valid('gaming_thresholds', 'run.as_of') }}
),

levels as (
    select
        level_history.episode_id,
        level_history.rule_id,
        level_history.valid_from,
        level_history.level_rank,
        lag(level_history.level_rank) over (
            partition by level_history.episode_id order by level_history.valid_from
        ) as rank_before
    from {{ ref('int_level_history') }} as level_history
),

intervals as (
    select
        ticket_intervals.ticket_id,
        ticket_intervals.closed_at,
        lead(ticket_intervals.opened_at) over (
            partition by ticket_intervals.ticket_id
            order by
                ticket_intervals.opened_at,
                coalesce(ticket_intervals.closed_at, timestamptz '9999-12-31 00:00:00+00')
        ) as reopened_at
    from {{ ref('int_ticket_intervals') }} as ticket_intervals
),

-- Those that stopped near the target, on either side: who hurries to the line is found below it, not above.
near_the_target as (
    select
        clocks.team,
        clocks.week_on,
        thresholds.signal,
        case when clocks.elapsed_seconds <= clocks.target_seconds then 1 else 0 end as is_played
    from clocks
    inner join thresholds
        on
            thresholds.signal = 'bunching'
            and clocks.target_seconds - thresholds.window_seconds < clocks.elapsed_seconds
            and clocks.elapsed_seconds <= clocks.target_seconds + thresholds.window_seconds
    where not clocks.is_open and clocks.target_seconds > thresholds.window_seconds
),

downgrades as (
    select distinct clocks.clock_id
    from clocks
    inner join thresholds on thresholds.signal = 'downgrade_before_breach'
    inner join levels
        on
            clocks.episode_id = levels.episode_id
            and levels.rule_id = 'override'
            and levels.level_rank < levels.rank_before
            and clocks.started_at <= levels.valid_from
            and clocks.due_at >= levels.valid_from
            and {{ add_seconds('clocks.due_at', '-thresholds.window_seconds') }} <= levels.valid_from
            and (clocks.stopped_at is null or clocks.stopped_at > levels.valid_from)
    where clocks.clock = 'sensitive_first_contact'
),

sensitive as (
    select
        clocks.team,
        clocks.week_on,
        thresholds.signal,
        case when downgrades.clock_id is not null then 1 else 0 end as is_played
    from clocks
    inner join thresholds on thresholds.signal = 'downgrade_before_breach'
    left join downgrades on clocks.clock_id = downgrades.clock_id
    where clocks.clock = 'sensitive_first_contact'
),

closed_in_time as (
    select
        clocks.clock_id,
        clocks.team,
        clocks.week_on,
        thresholds.signal,
        max(
            case
                when intervals.reopened_at <= {{ add_seconds('intervals.closed_at', 'thresholds.window_seconds') }}
                    then 1
                else 0
            end
        ) as is_played
    from clocks
    inner join thresholds on thresholds.signal = 'close_and_reopen'
    inner join intervals
        on
            clocks.ticket_id = intervals.ticket_id
            and clocks.started_at <= intervals.closed_at
            and clocks.due_at >= intervals.closed_at
    where clocks.clock = 'resolution'
    group by clocks.clock_id, clocks.team, clocks.week_on, thresholds.signal
),

observed as (
    select
        team,
        week_on,
        signal,
        is_played
    from near_the_target
    union all
    select
        team,
        week_on,
        signal,
        is_played
    from sensitive
    union all
    select
        team,
        week_on,
        signal,
        is_played
    from closed_in_time
),

counted as (
    select
        team,
        week_on,
        signal,
        count(*) as n,
        sum(is_played) as signal_count,
        cast(avg(cast(is_played as double precision)) as double precision) as signal_share
    from observed
    group by team, week_on, signal
)

select
    counted.team as team_id,
    counted.week_on,
    counted.signal,
    cast(counted.signal_count as bigint) as signal_count,
    counted.n,
    counted.signal_share,
    {{ wilson_bound('counted.signal_share', 'counted.n', '-') }} as signal_share_ci_low,
    {{ wilson_bound('counted.signal_share', 'counted.n', '+') }} as signal_share_ci_high,
    -- Density just below the target over that just above it.
    case
        when counted.signal = 'bunching'
            then counted.signal_count / nullif(cast(counted.n - counted.signal_count as double precision), 0)
    end as density_ratio,
    thresholds.window_seconds,
    thresholds.alarm_share,
    counted.n >= thresholds.min_n
    and counted.signal_count >= thresholds.alarm_share * counted.n as is_flagged,
    run.as_of,
    run.batch_id as _batch_id
from counted
cross join run
inner join thresholds on counted.signal = thresholds.signal
