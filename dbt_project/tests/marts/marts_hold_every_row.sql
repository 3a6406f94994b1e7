-- Rows of each mart against what they are made of. A mart drops nothing silently.
with

counted as (
    select
        'dim_subscription' as mart,
        (select count(*) from {{ ref('dim_subscription') }}) as mart_rows,
        (select count(*) from {{ ref('int_subscriptions') }}) as expected_rows
    union all
    select
        'dim_agent' as mart,
        (select count(*) from {{ ref('dim_agent') }}) as mart_rows,
        (select count(*) from {{ ref('int_agents') }}) as expected_rows
    union all
    select
        'fct_contacts' as mart,
        (select count(*) from {{ ref('fct_contacts') }}) as mart_rows,
        (select count(*) from {{ ref('int_contacts_linked') }}) as expected_rows
    union all
    select
        'fct_tickets' as mart,
        (select count(*) from {{ ref('fct_tickets') }}) as mart_rows,
        (select count(*) from {{ ref('int_tickets_resolved') }}) as expected_rows
    union all
    select
        'fct_complaint_episodes' as mart,
        (select count(*) from {{ ref('fct_complaint_episodes') }}) as mart_rows,
        (select count(distinct episode_id) from {{ ref('int_episode_contacts') }}) as expected_rows
    union all
    select
        'fct_clocks' as mart,
        (select count(*) from {{ ref('fct_clocks') }}) as mart_rows,
        (select count(*) from {{ ref('int_clock_starts') }}) as expected_rows
    union all
    select
        'fct_clock_segments' as mart,
        (select count(*) from {{ ref('fct_clock_segments') }}) as mart_rows,
        (select count(*) from {{ ref('int_clock_segments') }}) as expected_rows
    union all
    select
        'risk_level_history' as mart,
        (select count(*) from {{ ref('risk_level_history') }}) as mart_rows,
        (select count(*) from {{ ref('int_level_history') }}) as expected_rows
    union all
    select
        'risk_level_overrides' as mart,
        (select count(*) from {{ ref('risk_level_overrides') }}) as mart_rows,
        (select count(*) from {{ ref('int_level_overrides') }}) as expected_rows
    union all
    select
        'repeat_signals' as mart,
        (select count(*) from {{ ref('repeat_signals') }}) as mart_rows,
        (
            select count(*)
            from {{ ref('int_contact_repeats') }}
            where is_repeat_30d
        ) as expected_rows
    union all
    select
        'complaint_temperature' as mart,
        (select count(*) from {{ ref('complaint_temperature') }}) as mart_rows,
        (select count(*) from {{ ref('int_episodes') }}) as expected_rows
    union all
    select
        'complaint_temperature_contributions' as mart,
        (select count(*) from {{ ref('complaint_temperature_contributions') }}) as mart_rows,
        (select count(*) from {{ ref('int_episode_contacts') }}) as expected_rows
    union all
    select
        'trust_unknown_topic_codes' as mart,
        (select coalesce(sum(contacts), 0) from {{ ref('trust_unknown_topic_codes') }}) as mart_rows,
        (
            select count(*)
            from {{ ref('int_contacts_linked') }}
            where is_topic_code_unknown
        ) as expected_rows
    union all
    select
        'fct_churn_events' as mart,
        (select count(*) from {{ ref('fct_churn_events') }}) as mart_rows,
        (select count(*) from {{ ref('int_churn_events') }}) as expected_rows
    union all
    select
        'complaint_to_churn' as mart,
        (select count(*) from {{ ref('complaint_to_churn') }}) as mart_rows,
        (
            select count(*)
            from {{ ref('int_episode_outcomes') }} as outcomes
            cross join {{ ref('horizons') }}
            where not outcomes.is_left_before
        ) as expected_rows
    union all
    select
        'metrics' as mart,
        (select count(*) from {{ ref('metrics') }}) as mart_rows,
        (select count(*) from {{ ref('metrics_catalogue') }}) as expected_rows
    union all
    select
        'retention_metrics' as mart,
        (
            select count(*)
            from {{ ref('retention_metrics') }}
            where is_latest
        ) as mart_rows,
        (
            select count(*)
            from {{ source('outcomes', 'retention_metrics') }} as measured
            inner join {{ source('run', 'current_run') }} as run on measured.batch_id = run.batch_id
        ) as expected_rows
    union all
    select
        'trust_calendars' as mart,
        (select count(*) from {{ ref('trust_calendars') }}) as mart_rows,
        (select count(*) from {{ ref('int_calendars_wanted') }}) as expected_rows
    union all
    select
        'survival_curves' as mart,
        (select count(*) from {{ ref('survival_curves') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'survival_curves') }}) as expected_rows
    union all
    select
        'closed_but_lost' as mart,
        (select count(*) from {{ ref('closed_but_lost') }}) as mart_rows,
        (
            select count(*)
            from {{ ref('int_episode_closings') }}
            where is_lost
        ) as expected_rows
    union all
    select
        'case_review_blinded' as mart,
        (select count(*) from {{ ref('case_review_blinded') }}) as mart_rows,
        (select count(*) from {{ ref('case_review') }}) as expected_rows
    union all
    select
        'case_review_findings' as mart,
        (select count(*) from {{ ref('case_review_findings') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'case_review_findings') }}) as expected_rows
    union all
    select
        'fct_surveys' as mart,
        (select count(*) from {{ ref('fct_surveys') }}) as mart_rows,
        (select count(*) from {{ ref('int_survey_answers') }}) as expected_rows
    union all
    select
        'survey_gaps' as mart,
        (select count(*) from {{ ref('survey_gaps') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'survey_gaps') }}) as expected_rows
    union all
    select
        'touchpoints' as mart,
        (select count(*) from {{ ref('touchpoints') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'touchpoints') }}) as expected_rows
    union all
    select
        'action_exposure' as mart,
        (select count(*) from {{ ref('action_exposure') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'action_exposure') }}) as expected_rows
    union all
    select
        'partners' as mart,
        (select count(*) from {{ ref('partners') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'partners') }}) as expected_rows
    union all
    select
        'firefighters' as mart,
        (select count(*) from {{ ref('firefighters') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'firefighters') }}) as expected_rows
    union all
    select
        'stress_replay' as mart,
        (select count(*) from {{ ref('stress_replay') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'stress_replay') }}) as expected_rows
    union all
    select
        'owner_history' as mart,
        (select count(*) from {{ ref('owner_history') }}) as mart_rows,
        (select count(*) from {{ ref('int_episode_owners') }}) as expected_rows
    union all
    select
        'escalations' as mart,
        (select count(*) from {{ ref('escalations') }}) as mart_rows,
        (select count(*) from {{ ref('int_sensitive_rises') }}) as expected_rows
    union all
    select
        'action_audit' as mart,
        (select count(*) from {{ ref('action_audit') }}) as mart_rows,
        (select count(*) from {{ ref('int_audit_steps') }}) as expected_rows
    union all
    select
        'promises' as mart,
        (select count(*) from {{ ref('promises') }}) as mart_rows,
        (select count(*) from {{ ref('int_promises') }}) as expected_rows
    union all
    select
        'service_principles' as mart,
        (select count(*) from {{ ref('service_principles') }}) as mart_rows,
        (select count(*) from {{ source('outcomes', 'service_principles') }}) as expected_rows
    union all
    select
        'private_subscription_contacts' as mart,
        (select count(*) from {{ ref('private_subscription_contacts') }}) as mart_rows,
        (select count(*) from {{ ref('int_subscriptions') }}) as expected_rows
    union all
    select
        'private_contact_texts' as mart,
        (select count(*) from {{ ref('private_contact_texts') }}) as mart_rows,
        (select count(*) from {{ ref('int_contact_texts') }}) as expected_rows
)

select
    mart,
    mart_rows,
    expected_rows
from counted
where mart_rows <> expected_rows
