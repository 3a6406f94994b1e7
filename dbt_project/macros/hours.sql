{#- Hours and weekdays on the wall. -#}

{#- Weekday of an instant on the wall of an IANA zone: 1 Monday to 7 Sunday. -#}
{% macro local_weekday(instant, time_zone) -%}
    {#- 1900-01-01 was a Monday. -#}
    (
        mod(
            cast(
                {{ seconds_between("timestamptz '1900-01-01 00:00:00+00'", day_start(local_day(instant, time_zone), "'UTC'")) }}
                / 86400 as integer
            ),
            7
        ) + 1
    )
{%- endmacro %}

{#- Hour of an instant on the wall of an IANA zone: 0 to 23. -#}
{% macro local_hour(instant, time_zone) -%}
    cast(extract(hour from {{ instant }} at time zone {{ time_zone }}) as integer)
{%- endmacro %}

{#- The last whole hour at or before an instant. -#}
{% macro hour_start(instant) -%}
    (date_trunc('hour', {{ instant }} at time zone 'UTC') at time zone 'UTC')
{%- endmacro %}
