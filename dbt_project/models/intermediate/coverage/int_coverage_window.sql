-- Grain: one row: the whole days (Moscow) before the night that coverage looks at, and since when there is something.
{{ config(materialized='view') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

policy as (
    select * from {{ ref('coverage_policy') }}
),

first_arrival as (
    select min(started_at) as started_at
    from {{ ref('int_arrivals') }}
),

bounds as (
    select
        run.as_of,
        policy.policy_version,
        policy.queue_hours,
        policy.shift_gap_hours,
        {{ day_start(shift_day(local_day('run.as_of', "'Europe/Moscow'"), '-policy.window_days'), "'Europe/Moscow'") }}
            as window_from,
        {{ day_start(local_day('run.as_of', "'Europe/Moscow'"), "'Europe/Moscow'") }} as window_to
    from run
    inner join policy on {{ was_valid('policy', 'run.as_of') }}
)

select
    bounds.as_of,
    bounds.policy_version,
    bounds.queue_hours,
    bounds.shift_gap_hours,
    bounds.window_from,
    bounds.window_to,
    -- Weeks before the first contact were not quiet, they were not recorded. Without contacts nothing is observed.
    greatest(
        bounds.window_from,
        least(
            bounds.window_to,
            {{ day_start(
                local_day('coalesce(first_arrival.started_at, bounds.window_to)', "'Europe/Moscow'"), "'Europe/Moscow'"
            ) }}
        )
    ) as observed_from
from bounds
cross join first_arrival
