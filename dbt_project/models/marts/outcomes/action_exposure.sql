-- Grain: one row per retention step and risk level (or all levels): days and departures before and after the step.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

measured as (
    select * from {{ source('outcomes', 'action_exposure') }}
)

select
    measured.step,
    measured.level,
    measured.method,
    measured.label,
    measured.n,
    measured.n_exposed,
    measured.unexposed_days,
    measured.exposed_days,
    measured.unexposed_events,
    measured.exposed_events,
    measured.rate_ratio,
    measured.rate_ratio_low,
    measured.rate_ratio_high,
    measured.hazard_ratio,
    measured.hazard_ratio_low,
    measured.hazard_ratio_high,
    measured.maturity_status,
    measured.refusal_reason,
    run.as_of,
    run.batch_id as _batch_id
from measured
inner join run on measured.batch_id = run.batch_id
