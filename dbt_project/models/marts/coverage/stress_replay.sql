-- Grain: one row per scenario, segment and band of hours: would the agents we have cope?
with

run as (
    select * from {{ source('run', 'current_run') }}
),

scenarios as (
    select * from {{ ref('stress_scenarios') }}
),

replayed as (
    select * from {{ source('outcomes', 'stress_replay') }}
)

select
    replayed.scenario,
    scenarios.title,
    replayed.segment,
    replayed.hour_band,
    scenarios.arrivals_factor,
    replayed.peak_factor,
    replayed.weeks,
    replayed.arrivals,
    replayed.answered,
    replayed.still_waiting,
    replayed.n,
    replayed.answered_in_time,
    replayed.in_time_share,
    replayed.ci_low,
    replayed.ci_high,
    replayed.wait_p50_seconds,
    replayed.wait_p90_seconds,
    replayed.max_backlog,
    replayed.utilisation,
    replayed.observed_n,
    replayed.observed_in_time_share,
    replayed.refusal_reason,
    run.as_of,
    run.batch_id as _batch_id
from replayed
inner join run on replayed.batch_id = run.batch_id
inner join scenarios on replayed.scenario = scenarios.scenario and {{ was_valid('scenarios', 'run.as_of') }}
