-- A reader recognises one whole publication by _batch_id: it is the same in every row of every mart.
{% set marts = ['dim_subscription', 'dim_agent', 'fct_contacts', 'fct_tickets', 'fct_complaint_episodes',
    'fct_churn_events', 'complaint_to_churn', 'metrics', 'retention_metrics',
    'metric_episodes', 'restatements', 'trust_link_rates', 'trust_calendars',
    'saves', 'closed_but_lost', 'case_review', 'case_review_blinded', 'case_review_findings',
    'coverage', 'touchpoints', 'stress_replay', 'action_exposure',
    'fct_clocks', 'fct_clock_segments', 'sla_compliance', 'sla_gaming',
    'escalations', 'owner_history', 'routing_compliance', 'risky_in_common_queue', 'hybrid_routing',
    'lost_escalations', 'escalation_leakage', 'episode_replay', 'sensitive_without_authority',
    'risk_level_history', 'risk_level_overrides', 'repeat_signals', 'complaint_temperature',
    'complaint_temperature_contributions', 'trust_unknown_topic_codes', 'trust_conflicts', 'survival_curves',
    'action_audit', 'promises', 'service_principles',
    'fct_surveys', 'survey_gaps', 'why_different', 'partners', 'firefighters',
    'private_subscription_contacts', 'private_contact_texts'] -%}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

found as (
    {% for mart in marts -%}
    select distinct
        '{{ mart }}' as mart,
        _batch_id
    from {{ ref(mart) }}
    {% if not loop.last -%} union all {%- endif %}
    {% endfor -%}
)

select
    found.mart,
    found._batch_id
from found
cross join run
where found._batch_id <> run.batch_id
