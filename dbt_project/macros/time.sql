{#- Arithmetic on instants and days, in one place so that another engine needs only this file. -#}

{#- A later (or earlier) instant. A day is 24 hours: sessions' time zones and clock changes do not matter. -#}
{% macro add_days(instant, days) -%}
    ({{ instant }} + ({{ days }}) * interval '24 hours')
{%- endmacro %}

{% macro add_hours(instant, hours) -%}
    ({{ instant }} + ({{ hours }}) * interval '1 hour')
{%- endmacro %}

{% macro add_seconds(instant, seconds) -%}
    ({{ instant }} + ({{ seconds }}) * interval '1 second')
{%- endmacro %}

{#- The instant without its fraction of a second: deadlines are kept to the second. -#}
{% macro whole_second(instant) -%}
    date_trunc('second', {{ instant }})
{%- endmacro %}

{#- Seconds from one instant to another, with fractions; negative when the second is earlier. -#}
{% macro seconds_between(earlier, later) -%}
    cast(extract(epoch from ({{ later }} - {{ earlier }})) as double precision)
{%- endmacro %}

{#- The calendar day of an instant on the wall of an IANA zone. -#}
{% macro local_day(instant, time_zone) -%}
    cast({{ instant }} at time zone {{ time_zone }} as date)
{%- endmacro %}

{#- The instant at which a calendar day begins in an IANA zone. -#}
{% macro day_start(day, time_zone) -%}
    (cast({{ day }} as timestamp) at time zone {{ time_zone }})
{%- endmacro %}

{#- A calendar day some days later. -#}
{% macro shift_day(day, days) -%}
    cast({{ day }} + ({{ days }}) * interval '1 day' as date)
{%- endmacro %}

{#- First day of the calendar quarter of an instant in an IANA zone. -#}
{% macro quarter_start(instant, time_zone) -%}
    cast(date_trunc('quarter', {{ instant }} at time zone {{ time_zone }}) as date)
{%- endmacro %}

{#- First day of the calendar month of an instant in an IANA zone. -#}
{% macro month_start(instant, time_zone) -%}
    cast(date_trunc('month', {{ instant }} at time zone {{ time_zone }}) as date)
{%- endmacro %}

{#- The calendar month of an instant in an IANA zone as text: 2026-01. -#}
{% macro month_code(instant, time_zone) -%}
    substring(cast({{ month_start(instant, time_zone) }} as text) from 1 for 7)
{%- endmacro %}

{#- The same day some months later. -#}
{% macro shift_month(day, months) -%}
    cast({{ day }} + ({{ months }}) * interval '1 month' as date)
{%- endmacro %}

{#- The Monday of the week of a calendar day. -#}
{% macro week_start(day) -%}
    cast(date_trunc('week', cast({{ day }} as timestamp)) as date)
{%- endmacro %}

{#- Condition: two instants are of one local day, and at least one of them is its first instant, as a day without a time
    is written: which came first is not known. -#}
{% macro is_same_day_tie(one, other, time_zone) -%}
    (
        {{ local_day(one, time_zone) }} = {{ local_day(other, time_zone) }}
        and {{ day_start(local_day(one, time_zone), time_zone) }} in ({{ one }}, {{ other }})
    )
{%- endmacro %}
