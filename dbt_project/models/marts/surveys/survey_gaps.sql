-- Grain: one row per sign of a good case and vendor (or all): were good cases asked more often than bad ones?
with

run as (
    select * from {{ source('run', 'current_run') }}
),

measured as (
    select * from {{ source('outcomes', 'survey_gaps') }}
)

select
    measured.good_sign,
    measured.vendor,
    measured.good_invited,
    measured.good_n,
    measured.bad_invited,
    measured.bad_n,
    measured.good_share,
    measured.bad_share,
    measured.gap,
    measured.ci_low,
    measured.ci_high,
    measured.max_gap,
    coalesce(measured.ci_low > measured.max_gap, false) as is_alarm,
    measured.refusal_reason,
    run.as_of,
    run.batch_id as _batch_id
from measured
inner join run on measured.batch_id = run.batch_id
