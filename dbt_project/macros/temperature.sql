{#- What is left of 1 after the time between two instants, with a half-life in days. -#}
{% macro decay(earlier, later, half_life_days) -%}
    power(
        cast(0.5 as double precision),
        {{ seconds_between(earlier, later) }} / (86400.0 * cast({{ half_life_days }} as double precision))
    )
{%- endmacro %}
