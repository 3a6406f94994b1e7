-- Grain: one row per metric that is published: what it means, and whether its values may be added up.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

catalogue as (
    select * from {{ ref('metrics_catalogue') }}
)

select
    catalogue.metric,
    catalogue.title,
    catalogue.formula,
    catalogue.unit,
    catalogue.owner,
    catalogue.is_additive,
    run.batch_id as _batch_id
from catalogue
cross join run
