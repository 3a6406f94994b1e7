-- Grain: one row per kind of entity and id that tonight's loads or quarantine name, in any version of the rows.
-- Old versions count: what a row pointed at before must be recomputed too. Those set aside may have been shown before.
{{ config(materialized='table', schema='touched') }}

{%- set mentions = [
    ('crm.parties', ['party_id'], 'party', 'party_id'),
    ('crm.subscriptions', ['subscription_id'], 'subscription', 'subscription_id'),
    ('crm.subscriptions', ['subscription_id'], 'party_of_subscription', 'party_id'),
    ('crm.msisdn_periods', ['msisdn_period_id'], 'msisdn', normalise_msisdn('msisdn')),
    ('crm.subscription_events', ['subscription_event_id'], 'subscription_of_event', 'subscription_id'),
    ('crm.regions', ['region_id'], 'region', 'region_id'),
    ('helpdesk.tickets', ['ticket_id'], 'ticket', 'ticket_id'),
    ('helpdesk.ticket_events', ['ticket_event_id'], 'ticket', 'ticket_id'),
    ('helpdesk.contacts', ['contact_id'], 'contact', 'contact_id'),
    ('helpdesk.contacts', ['contact_id'], 'ticket_of_contact', 'ticket_id'),
    ('web.public_reviews', ['review_id'], 'review', 'review_id'),
    ('vendor.call_attempts', ['attempt_id'], 'ticket', 'ticket_id'),
    ('vendor.call_attempts', ['attempt_id'], 'subscription_of_event', 'subscription_id'),
    ('helpdesk.incident_impacts', ['impact_id'], 'subscription_of_event', 'subscription_id'),
    ('helpdesk.incidents', ['incident_id'], 'incident', 'incident_id'),
    ('helpdesk.agents', ['agent_id'], 'agent', 'agent_id'),
    ('helpdesk.team_memberships', ['membership_id'], 'agent', 'agent_id'),
    ('helpdesk.teams', ['team_id'], 'team', 'team_id'),
    ('helpdesk.retention_actions', ['action_id'], 'ticket_of_action', 'ticket_id'),
    ('helpdesk.retention_actions', ['action_id'], 'subscription_of_event', 'subscription_id'),
] %}

with

mentions as (
    {%- for table, key, entity, column in mentions %}
    select
        '{{ entity }}' as entity,
        {{ column }} as entity_id
    from ({{ versions_of_touched(table, key, with_set_aside=true) }}) as versions
    {{ 'union' if not loop.last }}
    {%- endfor %}
)

select
    entity,
    entity_id
from mentions
where entity_id is not null and {{ is_needed() }}
