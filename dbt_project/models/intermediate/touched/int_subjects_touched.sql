-- Grain: one row per subject (subscription, or what stands for it) to recompute tonight.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

keys as (
    select * from {{ ref('stg_raw__keys_touched') }}
),

contacts_touched as (
    select * from {{ ref('int_contacts_touched') }}
),

contact_subjects as (
    select * from {{ ref('int_contact_subjects') }}
),

subscriptions as (
    select * from {{ ref('stg_crm__subscriptions') }}
),

parties as (
    select * from {{ ref('stg_crm__parties') }}
),

subscription_events as (
    select * from {{ ref('stg_crm__subscription_events') }}
)

select contact_subjects.subject_id
from contact_subjects
inner join contacts_touched on contact_subjects.contact_id = contacts_touched.contact_id
union
select keys.entity_id as subject_id
from keys
where keys.entity in ('subscription', 'subscription_of_event')
union
select subscription_events.subscription_id as subject_id
from subscription_events
cross join run
where {{ became_visible('subscription_events.event_at', 'subscription_events.recorded_at') }}
union
select subscriptions.subscription_id as subject_id
from subscriptions
inner join keys on subscriptions.party_id = keys.entity_id and keys.entity = 'party'
union
select subscriptions.subscription_id as subject_id
from subscriptions
left join parties on subscriptions.party_id = parties.party_id
inner join keys on coalesce(subscriptions.region_id, parties.region_id) = keys.entity_id and keys.entity = 'region'
