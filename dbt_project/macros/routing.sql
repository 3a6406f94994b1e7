{#- Condition: a rule of routing_rules holds for a case. Empty conditions hold for all; hours may go over midnight. -#}
{% macro is_ruled(rule, level, segment, region_id, hour, vendor_id, is_outsourced) -%}
    (
        ({{ rule }}.level is null or {{ rule }}.level = {{ level }})
        and ({{ rule }}.segment is null or {{ rule }}.segment = {{ segment }})
        and ({{ rule }}.region_id is null or {{ rule }}.region_id = {{ region_id }})
        and (
            {{ rule }}.from_hour is null
            or ({{ rule }}.from_hour <= {{ hour }} and {{ hour }} < {{ rule }}.to_hour)
            or (
                {{ rule }}.from_hour > {{ rule }}.to_hour
                and ({{ rule }}.from_hour <= {{ hour }} or {{ hour }} < {{ rule }}.to_hour)
            )
        )
        and (
            {{ rule }}.vendor is null
            or {{ rule }}.vendor = {{ vendor_id }}
            or {{ rule }}.vendor = case when {{ is_outsourced }} then 'outsourced' else 'in_house' end
        )
    )
{%- endmacro %}

{#- Which of the rules that hold wins: the lowest priority, then the one with more conditions, then the identifier. -#}
{% macro rule_order(rule) -%}
    {{ rule }}.priority asc,
    case when {{ rule }}.level is null then 0 else 1 end
    + case when {{ rule }}.segment is null then 0 else 1 end
    + case when {{ rule }}.region_id is null then 0 else 1 end
    + case when {{ rule }}.from_hour is null then 0 else 1 end
    + case when {{ rule }}.vendor is null then 0 else 1 end desc,
    {{ rule }}.routing_rule_id asc
{%- endmacro %}
