{#- Which schema a model is built into. Marts go to the idle slot; seeds are policies and the same for every build;
    everything else goes to its room, prefixed in a rebuild. An analyst's target `dev` has one schema of its own. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if target.name == 'dev' -%}
        {%- if not target.schema.startswith('dev_') -%}
            {{ exceptions.raise_compiler_error(
                'target dev builds into schemas named dev_..., RETENTION_DEV_SCHEMA is ' ~ target.schema
            ) }}
        {%- endif -%}
        {{ target.schema }}
    {%- elif custom_schema_name == 'marts' -%}
        {{ env_var('RETENTION_SLOT', 'marts_a') }}
    {%- elif custom_schema_name == 'seeds' -%}
        seeds
    {%- else -%}
        {{ env_var('RETENTION_SCHEMA_PREFIX', '') }}{{ custom_schema_name or target.schema }}
    {%- endif -%}
{%- endmacro %}
