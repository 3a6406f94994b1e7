-- Grain: one row per subscription, the churn unit, as it is known now. Its complaints and churn are in the facts.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
)

select
    subscriptions.subscription_id,
    subscriptions.party_id,
    subscriptions.party_kind,
    subscriptions.segment,
    subscriptions.product,
    subscriptions.plan_id,
    subscriptions.region_id,
    subscriptions.time_zone,
    subscriptions.language,
    subscriptions.status,
    subscriptions.activated_at,
    subscriptions.terminated_at,
    subscriptions.activated_at < run.as_of
    and (subscriptions.terminated_at is null or run.as_of <= subscriptions.terminated_at) as is_active,
    cast(
        floor({{ seconds_between(
            'subscriptions.activated_at',
            'least(run.as_of, coalesce(subscriptions.terminated_at, run.as_of))'
        ) }} / 86400) as integer
    ) as tenure_days,
    subscriptions.is_staff,
    subscriptions.is_test,
    run.as_of,
    run.batch_id as _batch_id
from subscriptions
cross join run
