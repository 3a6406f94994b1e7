{#- Condition: a case of that level and level-1 topic is in the scenario of a row of the seed scenario_steps. -#}
{% macro is_in_scenario(steps, level, topic_level_1) -%}
    (
        ({{ steps }}.levels is null or ' ' || {{ steps }}.levels || ' ' like '% ' || {{ level }} || ' %')
        and ({{ steps }}.topic_level_1 is null or {{ steps }}.topic_level_1 = {{ topic_level_1 }})
    )
{%- endmacro %}
