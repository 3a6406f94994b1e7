{#- Post-hook of staging and intermediate: analysts may read what is not personal (meta.pii) of a relation just made. A grant
    on columns, because dbt makes tables anew, and a default privilege knows whole tables only. -#}
{% macro grant_impersonal_columns() -%}
    {%- set is_new = not is_incremental() -%}
    {%- if execute and is_new and target.name == 'warehouse' and not env_var('RETENTION_SCHEMA_PREFIX', '') -%}
        {%- set readable = [] -%}
        {%- for column in adapter.get_columns_in_relation(this) -%}
            {%- set meta = model.columns.get(column.name, {}).get('config', {}).get('meta', {}) -%}
            {%- if not meta.get('pii') -%}
                {%- do readable.append(adapter.quote(column.name)) -%}
            {%- endif -%}
        {%- endfor -%}
    grant select ({{ readable | join(', ') }}) on {{ this }} to analyst
    {%- endif -%}
{%- endmacro %}
