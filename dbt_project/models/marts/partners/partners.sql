-- Grain: one row per quarter (or all of them), unit (in-house, outsourced, a vendor, a team), use case and horizon.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

measured as (
    select * from {{ source('outcomes', 'partners') }}
),

agents as (
    select * from {{ ref('int_agents') }}
),

names as (
    select
        'team' as unit_kind,
        team_id as unit,
        max(team_name) as unit_name
    from agents
    where team_id is not null
    group by team_id
    union all
    select
        'vendor' as unit_kind,
        vendor_id as unit,
        max(vendor_name) as unit_name
    from agents
    where vendor_id is not null
    group by vendor_id
)

select
    measured.period,
    measured.unit_kind,
    measured.unit,
    coalesce(names.unit_name, measured.unit) as unit_name,
    measured.use_case,
    measured.horizon_days,
    measured.cases,
    measured.n,
    measured.left_count,
    measured.crude_share,
    measured.crude_ci_low,
    measured.crude_ci_high,
    measured.refusal_reason,
    measured.reference,
    measured.reference_n,
    measured.dropped_share,
    measured.reference_dropped_share,
    measured.standardised_share,
    measured.standardised_ci_low,
    measured.standardised_ci_high,
    measured.reference_share,
    measured.difference,
    measured.difference_ci_low,
    measured.difference_ci_high,
    measured.verdict,
    measured.comparison_refusal,
    measured.cost_rub,
    measured.retained_months,
    measured.cost_per_retained_month_rub,
    measured.cost_ci_low,
    measured.cost_ci_high,
    measured.standardised_cost_rub,
    measured.standardised_cost_ci_low,
    measured.standardised_cost_ci_high,
    measured.reference_cost_rub,
    measured.cost_refusal,
    measured.maturity_status,
    run.as_of,
    run.batch_id as _batch_id
from measured
inner join run on measured.batch_id = run.batch_id
left join names on measured.unit_kind = names.unit_kind and measured.unit = names.unit
