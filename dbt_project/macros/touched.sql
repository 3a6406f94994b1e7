{#- Intermediate's pattern: a model recomputes the rows of the keys that tonight touched (a table of models/intermediate/
    touched) and keeps the others. A first build and a full refresh compute all. -#}

{#- Configuration of such a model: `{{ config(**recomputed('int_subjects_touched', 'subject_id')) }}`;
    `column` is the key's name in the model when it is another one. -#}
{% macro recomputed(touched, key, column=none, indexes=[]) -%}
    {%- set all_indexes = [{'columns': [column or key]}] -%}
    {%- for columns in indexes -%}
        {%- do all_indexes.append({'columns': columns}) -%}
    {%- endfor -%}
    {%- do return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'indexes': all_indexes,
        'pre_hook': "{{ forget_touched('" ~ touched ~ "', '" ~ key ~ "', '" ~ (column or key) ~ "') }}",
    }) -%}
{%- endmacro %}

{#- Pre-hook: delete what is going to be computed again. -#}
{% macro forget_touched(touched, key, column) -%}
    {%- set touched_keys = ref(touched) -%}
    {%- if is_incremental() -%}
    delete from {{ this }} where {{ column }} in (select touched_keys.{{ key }} from {{ touched_keys }} as touched_keys)
    {%- endif -%}
{%- endmacro %}

{#- Condition: the row's key is among tonight's, or everything is computed. `prefix`: what tonight's keys have before the
    row's own; it is taken off them, so that the row's index is used. -#}
{% macro is_touched(touched, key, column=none, prefix=none) -%}
    {%- set touched_keys = ref(touched) -%}
    {%- if is_incremental() and prefix -%}
    {{ column or key }} in (
        select substr(touched_keys.{{ key }}, {{ prefix | length + 1 }})
        from {{ touched_keys }} as touched_keys
        where touched_keys.{{ key }} like '{{ prefix }}%'
    )
    {%- elif is_incremental() -%}
    {{ column or key }} in (select touched_keys.{{ key }} from {{ touched_keys }} as touched_keys)
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#- Condition: somebody asks for touched keys. In a full refresh nobody does: what depends on a model is refreshed with it,
    and on a first night the keys would be all there are. -#}
{% macro is_needed() -%}
    {{ 'false' if flags.FULL_REFRESH else 'true' }}
{%- endmacro %}

{#- Post-hook of every model: statistics for a table that was just created. -#}
{% macro analyze_new_table() -%}
    {%- if not is_incremental() and model.config.materialized in ('table', 'incremental') -%}
    analyze {{ this }}
    {%- endif -%}
{%- endmacro %}
