{#- NULL, '' and N/A are one missing value. -#}
{% macro nullify(value) -%}
    case when lower(trim({{ value }})) not in ('', 'n/a', 'null') then {{ value }} end
{%- endmacro %}

{#- A word of a code list: one that is not on it is `unknown` (the gate at raw warns of it), a missing one is missing. -#}
{% macro known_word(value, words) -%}
    case
        when {{ value }} in ('{{ words | join("', '") }}') then {{ value }}
        when lower(trim({{ value }})) not in ('', 'n/a', 'null') then 'unknown'
    end
{%- endmacro %}

{#- One key for a phone number: digits with the country code. Letters that look like digits (Cyrillic included) are read as
    digits; 8 and a missing code are Russia's trunk prefix and habit; a number with + keeps its own country. -#}
{% macro normalise_msisdn(value) -%}
    {%- set digits -%}
    regexp_replace(translate({{ value }}, 'оОoOзЗбlIiіІ', '000033611111'), '[^0-9]', '', 'g')
    {%- endset -%}
    case
        when length({{ digits }}) = 0 then null
        when length({{ digits }}) = 11 and substr({{ digits }}, 1, 1) = '8' and trim({{ value }}) not like '+%'
            then '7' || substr({{ digits }}, 2)
        when length({{ digits }}) = 10 and trim({{ value }}) not like '+%' then '7' || {{ digits }}
        else {{ digits }}
    end
{%- endmacro %}
