-- Grain: one row per vendor: the last call that its files tell of. One vendor's files may be behind another's.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

attempts as (
    select * from {{ ref('stg_vendor__call_attempts') }}
)

select
    attempts.vendor_id,
    max(attempts.attempted_at) as told_until
from attempts
cross join run
where {{ is_visible('attempts.attempted_at', 'attempts.recorded_at') }}
group by attempts.vendor_id
