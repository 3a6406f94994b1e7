-- Grain: one row per subscription with its party, segment, region and zone as they are known now.
{{ config(**recomputed('int_subjects_touched', 'subject_id', column='subscription_id', indexes=[['party_id']])) }}

with

subscriptions as (
    select * from {{ ref('stg_crm__subscriptions') }}
    where {{ is_touched('int_subjects_touched', 'subject_id', 'subscription_id') }}
),

parties as (
    select * from {{ ref('stg_crm__parties') }}
),

regions as (
    select * from {{ ref('stg_crm__regions') }}
)

select
    subscriptions.subscription_id,
    subscriptions.party_id,
    parties.kind as party_kind,
    subscriptions.product,
    subscriptions.plan_id,
    coalesce(parties.segment, 'unknown') as segment,
    coalesce(subscriptions.region_id, parties.region_id) as region_id,
    coalesce(regions.time_zone, 'Europe/Moscow') as time_zone,
    parties.language,
    subscriptions.status,
    subscriptions.activated_at,
    subscriptions.terminated_at,
    coalesce(parties.is_staff, false) as is_staff,
    coalesce(parties.is_test, false) as is_test
from subscriptions
left join parties on subscriptions.party_id = parties.party_id
left join regions on coalesce(subscriptions.region_id, parties.region_id) = regions.region_id
