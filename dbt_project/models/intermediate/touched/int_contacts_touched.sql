-- Grain: one row per contact to match again: it changed, or the CRM did for the subscription, number or party it names.
{{ config(materialized='table') }}

with

keys as (
    select * from {{ ref('stg_raw__keys_touched') }}
),

changed as (
    select * from {{ ref('int_contacts_changed') }}
),

gathered as (
    select * from {{ ref('int_contacts_gathered') }}
),

msisdn_periods as (
    select * from {{ ref('stg_crm__msisdn_periods') }}
),

subscriptions as (
    select entity_id as subscription_id
    from keys
    where entity = 'subscription'
),

numbers as (
    select entity_id as msisdn
    from keys
    where entity = 'msisdn'
    union
    select msisdn_periods.msisdn
    from msisdn_periods
    inner join subscriptions on msisdn_periods.subscription_id = subscriptions.subscription_id
),

parties as (
    select distinct entity_id as party_id
    from keys
    where entity in ('party', 'party_of_subscription')
)

select changed.contact_id
from changed
union
select gathered.contact_id
from gathered
inner join subscriptions on gathered.subscription_named = subscriptions.subscription_id
union
select gathered.contact_id
from gathered
inner join subscriptions on gathered.root_subscription_named = subscriptions.subscription_id
union
select gathered.contact_id
from gathered
inner join numbers on gathered.msisdn_named = numbers.msisdn
union
select gathered.contact_id
from gathered
inner join parties on gathered.party_named = parties.party_id
