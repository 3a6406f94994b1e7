{#- Business time by a cumulative calendar: F(t) is the number of open seconds of a calendar up to t, so the open time
    between two instants is a difference, and the instant at which n open seconds have passed is the inverse of F. Both
    are equi-joins (models/intermediate/calendars). Instants are read at their whole second.
    How and why: docs/business_time.md -#}

{#- Seconds of one bucket of F, the key of the inverse. -#}
{% macro bucket_seconds() -%}
    14400
{%- endmacro %}

{#- Whole buckets of a number of open seconds, as a bigint. -#}
{% macro bucket_of(open_seconds) -%}
    cast(floor(cast({{ open_seconds }} as double precision) / {{ bucket_seconds() }}) as bigint)
{%- endmacro %}

{#- Configuration of a table of calendars' hours: computed once per calendar that comes into use, forgotten when it goes
    out of use. Other seeds are another hash, which computes all. -#}
{% macro kept_per_calendar(key) -%}
    {%- do return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'indexes': [{'columns': key}],
        'pre_hook': "{{ forget_unused_calendars() }}",
    }) -%}
{%- endmacro %}

{#- Pre-hook: delete the hours of calendars that nobody uses any more. -#}
{% macro forget_unused_calendars() -%}
    {%- set used = ref('int_calendars') -%}
    {%- if is_incremental() -%}
    delete from {{ this }} where calendar_id not in (select used.calendar_id from {{ used }} as used)
    {%- endif -%}
{%- endmacro %}

{#- Condition: the calendar's hours are not in this table yet. -#}
{% macro is_new_calendar() -%}
    {%- if is_incremental() -%}
    calendar_id not in (select known.calendar_id from {{ this }} as known)
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#- Whole seconds from one instant to another, each read at its whole second. -#}
{% macro whole_seconds_between(earlier, later) -%}
    cast(
        {{ seconds_between("date_trunc('second', " ~ earlier ~ ")", "date_trunc('second', " ~ later ~ ")") }} as bigint
    )
{%- endmacro %}

{#- Whole numbers from 0 to 10^digits - 1: body of a CTE with the column `n`. -#}
{% macro whole_numbers(digits) -%}
    select
        {%- for place in range(digits) %}
        {{ '+ ' if not loop.first }}{{ 10 ** place }} * digit_{{ place }}.digit
        {%- endfor %} as n
    from
        {%- for place in range(digits) %}
        {{ 'cross join ' if not loop.first -}}
        ({%- for digit in range(10) %}{{ 'union all ' if not loop.first }}select {{ digit }} as digit {% endfor -%})
        as digit_{{ place }}
        {%- endfor %}
{%- endmacro %}

{#- The rows of a relation with F of some of its instants: body of a CTE. `relation` has calendar_id; each instant x
    gives x_open_seconds (bigint), NULL when the instant is, or when the calendar does not say. -#}
{% macro with_open_seconds(relation, instants) -%}
    select
        {{ relation }}.*,
        {%- for instant in instants %}
        segment_{{ loop.index }}.open_seconds_before + least(
            greatest({{ whole_seconds_between('segment_' ~ loop.index ~ '.opens_at', relation ~ '.' ~ instant) }}, 0),
            segment_{{ loop.index }}.open_seconds
        ) as {{ instant }}_open_seconds
        {{- ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
    {%- for instant in instants %}
    left join {{ ref('int_calendar_segments') }} as segment_{{ loop.index }}
        on
            {{ relation }}.calendar_id = segment_{{ loop.index }}.calendar_id
            and {{ local_day(relation ~ '.' ~ instant, "'UTC'") }} = segment_{{ loop.index }}.utc_day
            and segment_{{ loop.index }}.starts_at <= {{ relation }}.{{ instant }}
            and {{ relation }}.{{ instant }} < segment_{{ loop.index }}.ends_at
    {%- endfor %}
{%- endmacro %}

{#- The rows of a relation with the first instant at which its calendar has had so many open seconds: body of a CTE.
    NULL when the number is NULL or not positive, or when the calendar ends before. -#}
{% macro with_due(relation, open_seconds, due_at) -%}
    select
        {{ relation }}.*,
        {{ add_seconds('bucket.opens_at', relation ~ '.' ~ open_seconds ~ ' - bucket.open_seconds_before') }} as {{ due_at }}
    from {{ relation }}
    left join {{ ref('int_calendar_buckets') }} as bucket
        on
            {{ relation }}.calendar_id = bucket.calendar_id
            and {{ bucket_of(relation ~ '.' ~ open_seconds ~ ' - 1') }} = bucket.bucket
            and bucket.open_seconds_before < {{ relation }}.{{ open_seconds }}
            and {{ relation }}.{{ open_seconds }} <= bucket.open_seconds_before + bucket.open_seconds
{%- endmacro %}

{#- The union of each key's intervals, half-open: body of a CTE with the key's columns, starts_at and ends_at. Overlapping,
    nested and touching ones become one; a NULL end has not come yet; an end that is not after its start is no interval. -#}
{% macro united_intervals(relation, key, starts_at, ends_at) -%}
    {%- set far = "timestamptz '9999-01-01 00:00:00+00'" -%}
    {%- set columns = [key] if key is string else key -%}
    select
        {% for column in columns %}islands.{{ column }}, {% endfor %}
        min(islands.starts_at) as starts_at,
        nullif(max(islands.ends_at), {{ far }}) as ends_at
    from (
        select
            marked.*,
            sum(marked.is_new) over (
                partition by {{ columns | join(', ') }} order by marked.starts_at, marked.ends_at
                rows between unbounded preceding and current row
            ) as island
        from (
            select
                given.*,
                case
                    when given.starts_at <= max(given.ends_at) over (
                        partition by {{ columns | join(', ') }} order by given.starts_at, given.ends_at
                        rows between unbounded preceding and 1 preceding
                    )
                        then 0
                    else 1
                end as is_new
            from (
                select
                    {% for column in columns %}{{ relation }}.{{ column }}, {% endfor %}
                    {{ relation }}.{{ starts_at }} as starts_at,
                    coalesce({{ relation }}.{{ ends_at }}, {{ far }}) as ends_at
                from {{ relation }}
            ) as given
            where given.starts_at < given.ends_at
        ) as marked
    ) as islands
    group by {% for column in columns %}islands.{{ column }}, {% endfor %}islands.island
{%- endmacro %}

{#- The minute of the day of a time HH:MM; 24:00 is 1440. -#}
{% macro minute_of_day(time) -%}
    cast(substr({{ time }}, 1, 2) as integer) * 60 + cast(substr({{ time }}, 4, 2) as integer)
{%- endmacro %}

{#- The instant at which a clock on the wall of an IANA zone shows a minute of a day (past 1440: of the next one). -#}
{% macro local_minute(day, minute, time_zone) -%}
    ((cast({{ day }} as timestamp) + ({{ minute }}) * interval '1 minute') at time zone {{ time_zone }})
{%- endmacro %}

{#- The first of January after a day's year. -#}
{% macro next_year_start(day) -%}
    {{ year_start(shift_day(year_start(day), 366)) }}
{%- endmacro %}

{#- The first of January of a day's year. -#}
{% macro year_start(day) -%}
    cast(date_trunc('year', cast({{ day }} as timestamp)) as date)
{%- endmacro %}
