-- Grain: one row per topic, channel, stage of the customer's path and region (or all regions), over the last 90 days.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

policy as (
    select * from {{ ref('touchpoint_policy') }}
),

measured as (
    select * from {{ source('outcomes', 'touchpoints') }}
),

departed as (
    select * from {{ source('outcomes', 'touchpoint_outcomes') }}
)

select
    measured.topic,
    measured.channel,
    measured.stage,
    measured.region_id,
    -- What is hidden must not be computed from the counts either.
    case when coalesce(measured.refusal_reason, '') <> 'small_cell' then measured.complaints end as complaints,
    case when coalesce(measured.refusal_reason, '') <> 'small_cell' then measured.contacts end as contacts,
    measured.n,
    case
        when coalesce(measured.refusal_reason, '') <> 'small_cell' then measured.exposure_days / policy.period_days
    end as average_subscriptions,
    measured.rate_per_1000,
    measured.rate_per_1000 * 100 as rate_per_100000,
    measured.shrunken_rate_per_1000,
    measured.ci_low,
    measured.ci_high,
    measured.touchpoint_rank,
    measured.refusal_reason,
    departed.n_mature,
    case when coalesce(departed.refusal_reason, '') <> 'small_cell' then departed.left_after end as left_after,
    departed.share_left,
    departed.shrunken_share_left,
    departed.ci_low as share_left_ci_low,
    departed.ci_high as share_left_ci_high,
    departed.q_value,
    departed.is_above_others,
    departed.refusal_reason as outcome_refusal_reason,
    departed.n_earning,
    departed.revenue_at_risk_rub,
    departed.revenue_refusal as revenue_refusal_reason,
    {{ day_start(shift_day(local_day('run.as_of', "'Europe/Moscow'"), '-policy.period_days'), "'Europe/Moscow'") }}
        as period_from,
    {{ day_start(local_day('run.as_of', "'Europe/Moscow'"), "'Europe/Moscow'") }} as period_to,
    run.as_of,
    run.batch_id as _batch_id
from measured
inner join run on measured.batch_id = run.batch_id
inner join policy on {{ was_valid('policy', 'run.as_of') }}
left join departed
    on
        measured.batch_id = departed.batch_id
        and measured.topic = departed.topic
        and measured.channel = departed.channel
        and measured.stage = departed.stage
        and measured.region_id = departed.region_id
