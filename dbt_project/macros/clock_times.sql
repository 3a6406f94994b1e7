{#- Clocks on calendars: lengths, due instants, pauses, verdicts. Built on business_time.sql; docs/business_time.md -#}

{#- Part of a second that an instant is past its whole second. -#}
{% macro fraction_of(instant) -%}
    {{ seconds_between("date_trunc('second', " ~ instant ~ ")", instant) }}
{%- endmacro %}

{#- An instant earlier by the fraction of the instant from which whole seconds are counted. -#}
{% macro since_origin(instant, fraction) -%}
    {{ add_seconds(instant, '-' ~ fraction) }}
{%- endmacro %}

{#- Several CTEs; the last, `clock_times`, has one row per clock.
    `clocks`: clock_id, pause_key, calendar_id, started_at, stopped_at (NULL: open), target_seconds (NULL: none).
    `pauses`: pause_key, paused_at, resumed_at (NULL: not ended), as they were written: nested, unclosed, late.
    A pause counts from the clock's start to its stop, in the calendar's open time; one that began before the target was
    used up moves the due instant. Whole seconds are counted from `origin_at`, a column of `clocks`: from the clock's
    start, so 23:59:59.9 to 00:00:00.1 has none, and parts of a clock add up to it. -#}
{% macro clock_ctes(clocks, pauses, origin_at='started_at') -%}
clocks_from_origin as (
    select
        clock_id,
        pause_key,
        calendar_id,
        target_seconds,
        started_at as begins_at,
        {{ fraction_of(origin_at) }} as origin_fraction,
        {{ since_origin('started_at', fraction_of(origin_at)) }} as started_at,
        {{ since_origin('stopped_at', fraction_of(origin_at)) }} as stopped_at
    from {{ clocks }}
),

clock_ends as (
    {{ with_open_seconds('clocks_from_origin', ['started_at', 'stopped_at']) }}
),

clock_pauses_united as (
    {{ united_intervals(pauses, 'pause_key', 'paused_at', 'resumed_at') }}
),

clock_pauses as (
    select
        clock_ends.clock_id,
        clock_ends.calendar_id,
        clock_ends.target_seconds,
        clock_ends.started_at_open_seconds,
        greatest(
            {{ since_origin('pauses.starts_at', 'clock_ends.origin_fraction') }}, clock_ends.started_at
        ) as paused_at,
        case
            when pauses.ends_at is null then clock_ends.stopped_at
            else least(
                {{ since_origin('pauses.ends_at', 'clock_ends.origin_fraction') }},
                coalesce(clock_ends.stopped_at, pauses.ends_at)
            )
        end as resumed_at
    from clock_ends
    inner join clock_pauses_united as pauses on clock_ends.pause_key = pauses.pause_key
    where
        clock_ends.begins_at < coalesce(pauses.ends_at, timestamptz '9999-01-01 00:00:00+00')
        and {{ since_origin('pauses.starts_at', 'clock_ends.origin_fraction') }}
        < coalesce(clock_ends.stopped_at, timestamptz '9999-01-01 00:00:00+00')
),

clock_pause_ends as (
    {{ with_open_seconds('clock_pauses', ['paused_at', 'resumed_at']) }}
),

clock_pause_lengths as (
    select
        clock_id,
        target_seconds,
        paused_at_open_seconds,
        resumed_at is null as is_unfinished,
        resumed_at_open_seconds - paused_at_open_seconds as open_seconds,
        paused_at_open_seconds - started_at_open_seconds - coalesce(
            sum(resumed_at_open_seconds - paused_at_open_seconds) over (
                partition by clock_id order by paused_at rows between unbounded preceding and 1 preceding
            ),
            0
        ) as used_seconds
    from clock_pause_ends
),

clock_paused as (
    select
        clock_id,
        cast(sum(open_seconds) as bigint) as paused_open_seconds,
        max(case when is_unfinished then paused_at_open_seconds end) as pausing_open_seconds,
        cast(sum(case when used_seconds < target_seconds then open_seconds end) as bigint) as extending_seconds,
        max(case when is_unfinished and used_seconds < target_seconds then 1 else 0 end) as is_paused
    from clock_pause_lengths
    group by clock_id
),

clock_targets as (
    select
        clock_ends.*,
        coalesce(clock_paused.paused_open_seconds, 0) as paused_open_seconds,
        clock_paused.pausing_open_seconds,
        coalesce(clock_paused.is_paused, 0) = 1 as is_paused,
        case
            when coalesce(clock_paused.is_paused, 0) = 0 then
                clock_ends.started_at_open_seconds
                + clock_ends.target_seconds
                + coalesce(clock_paused.extending_seconds, 0)
        end as due_open_seconds
    from clock_ends
    left join clock_paused on clock_ends.clock_id = clock_paused.clock_id
),

clock_dues as (
    {{ with_due('clock_targets', 'due_open_seconds', 'used_up_at') }}
),

clock_times as (
    select
        clock_id,
        case when stopped_at < started_at then 0 else {{ whole_seconds_between('started_at', 'stopped_at') }} end
            as calendar_seconds,
        case
            when stopped_at < started_at then 0
            else stopped_at_open_seconds - started_at_open_seconds - paused_open_seconds
        end as business_seconds,
        -- Where the calendar says nothing, nobody knows how long it waited.
        case
            when started_at_open_seconds is not null and stopped_at_open_seconds is not null then paused_open_seconds
        end as paused_seconds,
        -- A target of nothing is due at once, not when the calendar last closed.
        case when target_seconds <= 0 then begins_at else used_up_at end as due_at,
        is_paused,
        (
            started_at_open_seconds is null
            or (stopped_at is not null and stopped_at_open_seconds is null)
            or (target_seconds > 0 and not is_paused and used_up_at is null)
        ) as is_outside_calendar,
        started_at_open_seconds as started_open_seconds,
        paused_open_seconds,
        pausing_open_seconds
    from clock_dues
)
{%- endmacro %}

{#- Business seconds of an open clock up to an instant of its calendar with F = `open_seconds`, from the anchors. -#}
{% macro business_seconds_until(clock, open_seconds) -%}
    (
        coalesce({{ clock }}.pausing_open_seconds, {{ open_seconds }})
        - {{ clock }}.started_open_seconds
        - {{ clock }}.paused_open_seconds
    )
{%- endmacro %}

{#- The same of the time spent paused. -#}
{% macro paused_seconds_until(clock, open_seconds) -%}
    (
        {{ clock }}.paused_open_seconds
        + {{ open_seconds }}
        - coalesce({{ clock }}.pausing_open_seconds, {{ open_seconds }})
    )
{%- endmacro %}

{#- What is to be said of a clock as of the run, to the second: no_target, met, breached, open_in_time, breached_open,
    not_yet_known, outside_calendar. `known_until`: up to here, exclusive, all that could stop it has been loaded. A
    clock is `is_paused` when its due instant waits for the end of a pause. -#}
{% macro clock_verdict(stopped_at, due_at, as_of, known_until, has_target=none, is_paused='false') -%}
    {%- set due = "date_trunc('second', " ~ due_at ~ ")" -%}
    case
        when not ({{ has_target or due_at ~ ' is not null' }}) then 'no_target'
        when {{ is_paused }} and {{ stopped_at }} is not null then 'met'
        when {{ is_paused }} then 'open_in_time'
        when {{ due_at }} is null then 'outside_calendar'
        when date_trunc('second', {{ stopped_at }}) <= {{ due }} then 'met'
        when {{ stopped_at }} is null and date_trunc('second', {{ as_of }}) <= {{ due }} then 'open_in_time'
        when {{ known_until }} is null or date_trunc('second', {{ known_until }}) <= {{ due }} then 'not_yet_known'
        when {{ stopped_at }} is null then 'breached_open'
        else 'breached'
    end
{%- endmacro %}
