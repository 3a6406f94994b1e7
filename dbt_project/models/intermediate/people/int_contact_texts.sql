-- Grain: one row per contact of the helpdesk with a text: what was written. A view: texts are not stored once more.
{{ config(materialized='view') }}

with

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where kind = 'contact'
),

messages as (
    select * from {{ ref('stg_helpdesk__contacts') }}
    where body is not null
)

select
    contacts.contact_id,
    contacts.subscription_id,
    contacts.party_id,
    contacts.started_at,
    messages.body
from contacts
inner join messages on contacts.contact_id = messages.contact_id
