-- Grain: one row per incident that had begun, and was known, by as_of.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

incidents as (
    select * from {{ ref('stg_helpdesk__incidents') }}
)

select
    incidents.incident_id,
    incidents.kind,
    incidents.region_id,
    incidents.started_at,
    incidents.restored_at
from incidents
cross join run
where {{ is_visible('incidents.started_at', 'incidents.updated_at') }}
