-- Grain: one row per night, metric, breakdown and its member, level, segment and horizon:
-- tonight's numbers, and earlier ones as published.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

batches as (
    select * from {{ source('books', 'batches') }}
),

-- A night that never passed its checks is not history.
nights as (
    select
        batches.batch_id,
        batches.as_of,
        row_number() over (
            partition by {{ month_start('batches.as_of', "'Europe/Moscow'") }} order by batches.as_of desc
        ) as from_last_of_month
    from batches
    cross join run
    where batches.kind = 'nightly' and batches.state = 'published' and batches.as_of < run.as_of
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
left join nights on measured.batch_id = nights.batch_id
where
    measured.batch_id = run.batch_id
    -- Breakdowns are thousands of rows a night: of earlier ones a month of nights, and the last of each month.
    or (
        nights.batch_id is not null
        and measured.as_of < run.as_of
        and (
            measured.breakdown = 'none'
            or nights.from_last_of_month = 1
            or nights.as_of >= {{ add_days('run.as_of', -31) }}
        )
    )
