-- Grain: one row per grouping, member, cause and day since the complaint: the curve to draw, of the latest night.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

curves as (
    select * from {{ source('outcomes', 'survival_curves') }}
)

select
    curves.grouping_name,
    curves.member,
    curves.cause,
    curves.day,
    curves.at_risk,
    curves.events,
    curves.estimate,
    curves.ci_low,
    curves.ci_high,
    curves.n,
    curves.refusal_reason,
    run.as_of,
    run.batch_id as _batch_id
from curves
inner join run on curves.batch_id = run.batch_id
