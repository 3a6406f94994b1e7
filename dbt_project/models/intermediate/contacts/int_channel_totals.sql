-- Grain: one row per whole day (Moscow) before the night and channel: contacts as the exchange counted them.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

totals as (
    select * from {{ ref('stg_helpdesk__channel_totals') }}
)

select
    totals.day_on,
    totals.channel,
    totals.contacts
from totals
cross join run
where totals.day_on < {{ local_day('run.as_of', "'Europe/Moscow'") }}
