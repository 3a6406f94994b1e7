-- Grain: one row per complaint episode, scenario that it came to, and step which that scenario asks for.
-- The case's score, the substance of its answers, its review by a person and its outcome stand beside each step.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

steps as (
    select * from {{ ref('int_audit_steps') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

service as (
    select * from {{ ref('int_case_service') }}
),

reaches as (
    select * from {{ ref('int_first_contacts') }}
),

substance as (
    select * from {{ ref('int_reply_substance') }}
),

churn as (
    select * from {{ ref('complaint_to_churn') }}
    where horizon_days = 90
),

sensitive as (
    select
        episode_id,
        max(case when is_sensitive then 1 else 0 end) as is_sensitive
    from levels
    group by episode_id
),

scores as (
    select
        episode_id,
        scenario,
        sum(case when is_counted then 1 else 0 end) as due_steps,
        sum(case when is_counted and status = 'done_in_time' then 1 else 0 end) as in_time_steps
    from steps
    group by episode_id, scenario
),

-- What the reader of texts did not see is missing, not false.
answers as (
    select
        reaches.episode_id,
        count(*) as replies,
        cast(sum(case when substance.is_boilerplate then 1 else 0 end) as double precision)
        / nullif(count(substance.is_boilerplate), 0) as boilerplate_share,
        cast(sum(case when substance.gives_reason then 1 else 0 end) as double precision)
        / nullif(count(substance.gives_reason), 0) as gives_reason_share,
        cast(sum(case when substance.states_result then 1 else 0 end) as double precision)
        / nullif(count(substance.states_result), 0) as states_result_share
    from reaches
    inner join substance on reaches.contact_id = substance.contact_id
    group by reaches.episode_id
)

select
    steps.audit_step_id,
    steps.episode_id,
    steps.scenario,
    steps.version,
    steps.step,
    steps.is_required,
    steps.level,
    sensitive.is_sensitive = 1 as is_sensitive,
    episodes.segment,
    episodes.topic,
    steps.triggered_at,
    steps.due_at,
    steps.acted_at,
    steps.deed_id,
    steps.status,
    steps.is_counted,
    -- What bands of audit scores go by: known two days after the level that the outcome is counted from.
    steps.is_counted
    and coalesce(steps.due_at <= {{ add_days('churn.level_reached_at', 2) }}, false) as is_in_band_score,
    steps.agent_id,
    steps.team_id,
    steps.vendor_id,
    steps.is_outsourced,
    scores.due_steps as case_due_steps,
    scores.in_time_steps as case_in_time_steps,
    cast(scores.in_time_steps as double precision) / nullif(scores.due_steps, 0) as audit_score,
    coalesce(answers.replies, 0) as case_replies,
    answers.boilerplate_share as case_boilerplate_share,
    answers.gives_reason_share as case_gives_reason_share,
    answers.states_result_share as case_states_result_share,
    service.qa_score,
    service.qa_audited_at,
    churn.status_any as outcome_90d,
    run.as_of,
    run.batch_id as _batch_id
from steps
cross join run
inner join episodes on steps.episode_id = episodes.episode_id
inner join sensitive on steps.episode_id = sensitive.episode_id
inner join scores on steps.episode_id = scores.episode_id and steps.scenario = scores.scenario
inner join service on steps.episode_id = service.episode_id
left join answers on steps.episode_id = answers.episode_id
left join churn on steps.episode_id = churn.episode_id
