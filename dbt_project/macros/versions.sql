{#- Staging's pattern. raw holds versions; staging holds the latest one of each key, or none when that is a tombstone.
    A night replaces the keys that its loads name: delete them, insert their latest versions. A first build, a full refresh
    and a rebuild of a past night take every key. -#}

{% macro raw_table(table) -%}
    {{ source('raw', table | replace('.', '__')) }}
{%- endmacro %}

{#- Loads of a table that this batch consumes. -#}
{% macro pending_loads(table) -%}
    select load_id from {{ source('run', 'loads_to_stage') }} where table_name = '{{ table }}'
{%- endmacro %}

{#- Loads of a table that the run may see: a rebuild of a past night sees none of later ones. -#}
{% macro visible_loads(table) -%}
    select loads.load_id
    from {{ source('ops', 'loads') }} as loads
    cross join {{ source('run', 'current_run') }} as run
    where loads.table_name = '{{ table }}' and loads.batch_id <= run.batch_id
{%- endmacro %}

{#- Every visible version of the keys that tonight's loads name (or of all keys): `select` body for a CTE. -#}
{% macro versions_of_touched(table, key, is_all=false) -%}
    select versions.*
    from {{ raw_table(table) }} as versions
    {% if not is_all -%}
    inner join (
        select distinct {{ key | join(', ') }}
        from {{ raw_table(table) }}
        where _load_id in ({{ pending_loads(table) }})
    ) as touched
        on
            {% for column in key -%}
            {{ 'and ' if not loop.first }}versions.{{ column }} = touched.{{ column }}
            {% endfor %}
    {% endif -%}
    where versions._load_id in ({{ visible_loads(table) }})
{%- endmacro %}

{#- The latest version of each key, tombstones included, with its rank of 1 already applied. -#}
{% macro latest_versions(table, key) -%}
    select ranked.*
    from (
        select
            versions.*,
            row_number() over (partition by {{ key | join(', ') }} order by _load_id desc) as version_rank
        from ({{ versions_of_touched(table, key, is_all=not is_incremental()) }}) as versions
    ) as ranked
    where ranked.version_rank = 1
{%- endmacro %}

{#- Pre-hook of a staging model: forget the keys that tonight's loads name. -#}
{% macro forget_touched_keys(table, key) -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as staged
    using (
        select distinct {{ key | join(', ') }}
        from {{ raw_table(table) }}
        where _load_id in ({{ pending_loads(table) }})
    ) as touched
    where
        {% for column in key -%}
        {{ 'and ' if not loop.first }}staged.{{ column }} = touched.{{ column }}
        {% endfor %}
    {%- endif -%}
{%- endmacro %}

{#- Configuration of a staging model: `{{ config(**staged('crm.parties', ['party_id'])) }}`. -#}
{% macro staged(table, key, indexes=[]) -%}
    {%- set all_indexes = [{'columns': key, 'unique': true}] -%}
    {%- for columns in indexes -%}
        {%- do all_indexes.append({'columns': columns}) -%}
    {%- endfor -%}
    {%- do return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'indexes': all_indexes,
        'pre_hook': "{{ forget_touched_keys('" ~ table ~ "', " ~ key ~ ") }}",
    }) -%}
{%- endmacro %}
