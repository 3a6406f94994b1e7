-- Grain: one row per kind of finding, code, level and vendor: how often reviewers saw it in cases that left and stayed.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

found as (
    select * from {{ source('outcomes', 'case_review_findings') }}
),

codes as (
    select * from {{ ref('review_codes') }}
)

select
    found.kind,
    found.code,
    codes.title,
    found.level,
    found.vendor,
    found.left_n,
    found.left_with,
    found.stayed_n,
    found.stayed_with,
    found.difference,
    found.ci_low,
    found.ci_high,
    found.left_n + found.stayed_n as n,
    found.judged_twice,
    found.agreed,
    found.refusal_reason,
    run.as_of,
    run.batch_id as _batch_id
from found
cross join run
left join codes on found.kind = codes.kind and found.code = codes.code
