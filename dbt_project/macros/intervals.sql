{#- A bound of Wilson's 95% interval of a share of n independent units: sign '-' the lower, '+' the upper. Empty when the
    share is; never outside [0, 1]. Source: Wilson (1927). -#}
{% macro wilson_bound(share, n, sign) -%}
    {%- set z = '1.959963984540054' -%}
    case
        when {{ share }} is null then null
        {% if sign == '-' %}when {{ share }} = 0 then 0{% else %}when {{ share }} = 1 then 1{% endif %}
        else (
            {{ share }} + {{ z }} * {{ z }} / (2 * {{ n }})
            {{ sign }} {{ z }} * sqrt(
                {{ share }} * (1 - {{ share }}) / {{ n }} + {{ z }} * {{ z }} / (4.0 * {{ n }} * {{ n }})
            )
        ) / (1 + {{ z }} * {{ z }} / {{ n }})
    end
{%- endmacro %}
