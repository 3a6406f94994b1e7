{#- Which schema a model is built into. Marts go to the idle slot; seeds are policies and the same for every build;
    everything else goes to its room, prefixed in a rebuild. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name == 'marts' -%}
        {{ env_var('RETENTION_SLOT', 'marts_a') }}
    {%- elif custom_schema_name == 'seeds' -%}
        seeds
    {%- else -%}
        {{ env_var('RETENTION_SCHEMA_PREFIX', '') }}{{ custom_schema_name or target.schema }}
    {%- endif -%}
{%- endmacro %}
