-- Grain: one row per subscription: who holds it, how to reach them, and what they agreed to.
-- A view: personal data are not stored once more.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

parties as (
    select * from {{ ref('stg_crm__parties') }}
),

msisdn_periods as (
    select * from {{ ref('stg_crm__msisdn_periods') }}
),

consents as (
    select * from {{ ref('stg_crm__consents') }}
),

numbers_held as (
    select
        msisdn_periods.subscription_id,
        msisdn_periods.msisdn,
        row_number() over (
            partition by msisdn_periods.subscription_id
            order by msisdn_periods.valid_from desc, msisdn_periods.msisdn_period_id desc
        ) as latest_rank
    from msisdn_periods
    cross join run
    where
        msisdn_periods.valid_from < run.as_of
        and (msisdn_periods.valid_to is null or run.as_of <= msisdn_periods.valid_to)
        -- What stands for the number of an erased person is no number.
        and msisdn_periods.msisdn not like '000%'
),

last_words as (
    select
        consents.party_id,
        consents.kind,
        max(consents.granted_at) as granted_at,
        max(case when consents.withdrawn_at < run.as_of then consents.withdrawn_at end) as withdrawn_at
    from consents
    cross join run
    where consents.granted_at < run.as_of
    group by
        consents.party_id,
        consents.kind
),

-- Whoever withdrew after granting last does not want to be called, whatever else was granted before.
-- One row per party: two joins of the same rows, one by kind, were planned as nested loops.
agreed as (
    select
        party_id,
        max(case when kind = 'marketing_calls' then 1 else 0 end) = 1 as is_to_calls,
        max(case when kind = 'surveys' then 1 else 0 end) = 1 as is_to_surveys
    from last_words
    where withdrawn_at is null or withdrawn_at < granted_at
    group by party_id
)

select
    subscriptions.subscription_id,
    subscriptions.party_id,
    parties.full_name,
    numbers_held.msisdn,
    parties.email,
    subscriptions.language,
    subscriptions.region_id,
    subscriptions.time_zone,
    coalesce(agreed.is_to_calls, false) as has_consent_to_calls,
    coalesce(agreed.is_to_surveys, false) as has_consent_to_surveys
from subscriptions
left join parties on subscriptions.party_id = parties.party_id
left join numbers_held
    on subscriptions.subscription_id = numbers_held.subscription_id and numbers_held.latest_rank = 1
left join agreed on subscriptions.party_id = agreed.party_id
