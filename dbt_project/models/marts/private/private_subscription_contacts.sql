-- Grain: one row per subscription: whom to call or write to, and whether they agreed. Personal data.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

people as (
    select * from {{ ref('int_subscription_people') }}
)

select
    people.subscription_id,
    people.party_id,
    people.full_name,
    people.msisdn,
    people.email,
    people.language,
    people.region_id,
    people.time_zone,
    people.has_consent_to_calls,
    people.has_consent_to_surveys,
    run.batch_id as _batch_id
from people
cross join run
