{#- What a run may know. `run` is the alias of source('run', 'current_run') in the query. -#}

{#- It happened and was written down before as_of. -#}
{% macro is_visible(event_at, recorded_at) -%}
    ({{ event_at }} < run.as_of and coalesce({{ recorded_at }}, {{ event_at }}) < run.as_of)
{%- endmacro %}

{#- It was not visible to the last transformed batch (whatever the reason) and may be to this one. -#}
{% macro became_visible(event_at, recorded_at) -%}
    ({{ event_at }} >= run.prev_as_of or {{ recorded_at }} >= run.prev_as_of)
{%- endmacro %}

{#- A row of an effective-dated seed was valid when something happened. Seeds' days are Moscow's. -#}
{% macro was_valid(seed, event_at) -%}
    (
        {{ seed }}.valid_from <= {{ local_day(event_at, "'Europe/Moscow'") }}
        and {{ local_day(event_at, "'Europe/Moscow'") }} < coalesce({{ seed }}.valid_to, date '9999-12-31')
    )
{%- endmacro %}
