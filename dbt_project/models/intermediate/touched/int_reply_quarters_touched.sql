-- Grain: one row per quarter (Moscow) whose replies are compared again: one of them changed, came, went or moved.
{{ config(materialized='table') }}

with

changed as (
    select * from {{ ref('int_contacts_changed') }}
),

reply_quarters as (
    select * from {{ ref('int_reply_quarters') }}
)

select distinct reply_quarters.quarter_on
from reply_quarters
inner join changed on reply_quarters.contact_id = changed.contact_id
