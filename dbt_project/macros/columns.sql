{#- The adapter asks information_schema, which takes 25 times as long; an incremental model asks twice. -#}
{% macro postgres__get_columns_in_relation(relation) -%}
    {% call statement('get_columns_in_relation', fetch_result=True) %}
        select
            attributes.attname as column_name,
            format_type(attributes.atttypid, null) as data_type,
            information_schema._pg_char_max_length(attributes.atttypid, attributes.atttypmod) as character_maximum_length,
            information_schema._pg_numeric_precision(attributes.atttypid, attributes.atttypmod) as numeric_precision,
            information_schema._pg_numeric_scale(attributes.atttypid, attributes.atttypmod) as numeric_scale
        from pg_catalog.pg_attribute as attributes
        inner join pg_catalog.pg_class as classes on attributes.attrelid = classes.oid
        {%- if relation.schema %}
        inner join pg_catalog.pg_namespace as namespaces on classes.relnamespace = namespaces.oid
        {%- endif %}
        where
            classes.relname = '{{ relation.identifier }}'
            {%- if relation.schema %}
            and namespaces.nspname = '{{ relation.schema }}'
            {%- else %}
            and pg_catalog.pg_table_is_visible(classes.oid)
            {%- endif %}
            and attributes.attnum > 0
            and not attributes.attisdropped
        order by attributes.attnum
    {% endcall %}
    {{ return(sql_convert_columns_in_relation(load_result('get_columns_in_relation').table)) }}
{%- endmacro %}
