-- Grain: one row per quarter (Moscow), principle of service, kind of unit and unit; the unit's outcome beside it.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

measured as (
    select measured.*
    from {{ source('outcomes', 'service_principles') }} as measured
    inner join run on measured.batch_id = run.batch_id
),

outcomes as (
    select * from measured
    where principle = 'share_left_90d'
)

select
    measured.quarter_on,
    measured.principle,
    measured.unit_kind,
    measured.unit,
    measured.numerator,
    measured.denominator,
    measured.value,
    measured.ci_low,
    measured.ci_high,
    measured.n,
    measured.method,
    measured.refusal_reason,
    outcomes.value as share_left_90d,
    outcomes.ci_low as share_left_90d_ci_low,
    outcomes.ci_high as share_left_90d_ci_high,
    coalesce(outcomes.n, 0) as share_left_90d_n,
    outcomes.refusal_reason as share_left_90d_refusal_reason,
    run.as_of,
    run.batch_id as _batch_id
from measured
cross join run
left join outcomes
    on
        measured.quarter_on = outcomes.quarter_on
        and measured.unit_kind = outcomes.unit_kind
        and measured.unit = outcomes.unit
