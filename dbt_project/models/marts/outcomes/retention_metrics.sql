-- Grain: one row per night, metric, breakdown and its member, level, segment and horizon:
-- tonight's numbers, and earlier ones as published.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

batches as (
    select * from {{ source('books', 'batches') }}
),

measured as (
    select * from {{ source('outcomes', 'retention_metrics') }}
)

select
    measured.as_of,
    measured.as_of = run.as_of as is_latest,
    measured.metric,
    measured.breakdown,
    measured.member,
    measured.level,
    measured.segment,
    measured.horizon_days,
    measured.numerator,
    measured.denominator,
    measured.value,
    measured.ci_low,
    measured.ci_high,
    measured.n,
    measured.maturity_status,
    measured.method,
    measured.refusal_reason,
    run.batch_id as _batch_id
from measured
cross join run
inner join batches on measured.batch_id = batches.batch_id
where
    measured.batch_id = run.batch_id
    -- A night that never passed its checks is not history.
    or (measured.as_of < run.as_of and batches.state = 'published')
