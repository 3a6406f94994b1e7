{#- Who was on our side of a contact. -#}

{#- Condition, never NULL: a person wrote or spoke it, not a bot, a voice menu or an automatic reply. Where the helpdesk does
    not say who did, a named agent who is not a bot did. `agents` is joined (left) by the contact's agent_id. -#}
{% macro is_human_contact(contacts, agents) -%}
    (
        coalesce({{ contacts }}.author_kind, 'unknown') = 'human'
        or (
            coalesce({{ contacts }}.author_kind, 'unknown') = 'unknown'
            and {{ contacts }}.agent_id is not null
            and coalesce({{ agents }}.kind, 'human') <> 'bot'
        )
    )
{%- endmacro %}

{#- Condition: a row of the seed agent_authority lets somebody resolve a case of that level and topic at that instant. -#}
{% macro may_resolve(authority, instant, agent_id, role, team_id, level, topic) -%}
    (
        {{ was_valid(authority, instant) }}
        and ({{ authority }}.agent_id is null or {{ agent_id }} = {{ authority }}.agent_id)
        and ({{ authority }}.role is null or {{ role }} = {{ authority }}.role)
        and ({{ authority }}.team_id is null or {{ team_id }} = {{ authority }}.team_id)
        and ({{ authority }}.levels is null or ' ' || {{ authority }}.levels || ' ' like '% ' || {{ level }} || ' %')
        and ({{ authority }}.topics is null or ' ' || {{ authority }}.topics || ' ' like '% ' || {{ topic }} || ' %')
    )
{%- endmacro %}
