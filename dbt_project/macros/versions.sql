{#- Staging's pattern. raw holds versions; staging holds the latest one of each key that is not set aside, or none when
    that is a tombstone. A night replaces the keys that its loads name, and those whose versions were set aside or let
    back: delete them, insert their latest versions. A first build, a full refresh and a rebuild of a past night take
    every key. -#}

{% macro raw_table(table) -%}
    {{ source('raw', table | replace('.', '__')) }}
{%- endmacro %}

{#- Numbers of a table's loads, read from the books when the statement is made, '' when there is none. `pending`: this
    batch consumes them; `set_aside`: they brought versions that are not shown; `changed`: they are not pending and
    brought versions set aside or let back since staging was last built. Numbers, because a planner that sees them reads
    a load's blocks, and one that sees a subquery reads the table. -#}
{% macro loads_of(table, what) -%}
    {%- set pending -%}
    select load_id from {{ source('run', 'loads_to_stage') }} where table_name = '{{ table }}'
    {%- endset -%}
    {%- set booked -%}
    select load_id from {{ source('run', 'set_aside') }} where table_name = '{{ table }}'
    {%- endset -%}
    {%- if execute -%}
        {%- if what == 'pending' -%}
            {%- set found = run_query(pending) -%}
        {%- elif what == 'set_aside' -%}
            {%- set found = run_query(booked ~ ' and is_set_aside group by load_id') -%}
        {%- else -%}
            {%- set found = run_query(booked ~ ' and is_changed except ' ~ pending) -%}
        {%- endif -%}
        {{- found.columns[0].values() | sort | join(', ') -}}
    {%- endif -%}
{%- endmacro %}

{#- Loads of a table that the run may see: a rebuild of a past night sees none of later ones. -#}
{% macro visible_loads(table) -%}
    select loads.load_id
    from {{ source('run', 'loads_seen') }} as loads
    where loads.table_name = '{{ table }}'
{%- endmacro %}

{#- The key of a row as the books of quarantine spell it. -#}
{% macro key_object(row, key) -%}
    jsonb_build_object(
        {%- for column in key %}'{{ column }}', {{ row }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
    )
{%- endmacro %}

{#- Condition: some version of the row's key and load stands in the books with that flag. -#}
{% macro is_booked(flag, table, key, row) -%}
    exists (
        select 1
        from {{ source('run', 'set_aside') }} as booked
        where
            booked.table_name = '{{ table }}'
            and booked.{{ flag }}
            and booked.load_id = {{ row }}._load_id
            and booked.key = {{ key_object(row, key) }}
    )
{%- endmacro %}

{#- Keys that staging has to replace: `select` body. -#}
{% macro touched_keys(table, key) -%}
    {%- set changed = loads_of(table, 'changed') | trim -%}
    select distinct {{ key | join(', ') }}
    from {{ raw_table(table) }}
    where _load_id in ({{ loads_of(table, 'pending') | trim or 'null' }})
    {%- if changed %}
    union
    select {{ key | join(', ') }}
    from {{ raw_table(table) }} as versions
    where versions._load_id in ({{ changed }}) and {{ is_booked('is_changed', table, key, 'versions') }}
    {%- endif %}
{%- endmacro %}

{#- Every visible version of the keys that tonight touches (or of all keys): `select` body for a CTE. Versions that are
    set aside only on demand. -#}
{% macro versions_of_touched(table, key, is_all=false, with_set_aside=false) -%}
    select versions.*
    from {{ raw_table(table) }} as versions
    {% if not is_all -%}
    inner join ({{ touched_keys(table, key) }}) as touched
        on
            {% for column in key -%}
            {{ 'and ' if not loop.first }}versions.{{ column }} = touched.{{ column }}
            {% endfor %}
    {% endif -%}
    where
        versions._load_id in ({{ visible_loads(table) }})
        {% if not with_set_aside and loads_of(table, 'set_aside') | trim -%}
        and not {{ is_booked('is_set_aside', table, key, 'versions') }}
        {%- endif %}
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

{#- Pre-hook of a staging model: forget the keys that tonight touches. -#}
{% macro forget_touched_keys(table, key) -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as staged
    using ({{ touched_keys(table, key) }}) as touched
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
