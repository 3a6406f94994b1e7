-- Grain: one row per day, kind of clock, level, segment, team and vendor: how many clocks that started then were kept.
-- Overdue clocks that still run are breached and counted with the seconds so far.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

clocks as (
    select
        fct_clocks.*,
        {{ local_day('fct_clocks.started_at', "'Europe/Moscow'") }} as day_on,
        coalesce(fct_clocks.team_id, 'nobody') as team,
        coalesce(fct_clocks.vendor_id, 'in_house') as vendor,
        case when fct_clocks.verdict in ('met', 'breached') then fct_clocks.calendar_seconds end as calendar_judged,
        case when fct_clocks.verdict in ('met', 'breached') then fct_clocks.business_seconds end as business_judged
    from {{ ref('fct_clocks') }} as fct_clocks
),

cells as (
    select
        day_on,
        clock,
        level,
        segment,
        team,
        vendor,
        count(*) as clock_count,
        sum(case when verdict in ('met', 'breached') then 1 else 0 end) as judged_count,
        avg(
            case
                when verdict = 'met' then cast(1 as double precision)
                when verdict = 'breached' then 0
            end
        ) as met_share,
        sum(case when verdict = 'met' then 1 else 0 end) as met_count,
        sum(case when verdict = 'breached' then 1 else 0 end) as breached_count,
        sum(case when verdict = 'breached' and is_open then 1 else 0 end) as open_overdue_count,
        sum(case when verdict = 'open_in_time' then 1 else 0 end) as open_in_time_count,
        sum(case when verdict = 'not_yet_known' then 1 else 0 end) as not_yet_known_count,
        sum(case when verdict = 'resolved_on_trigger' then 1 else 0 end) as resolved_on_trigger_count,
        sum(case when verdict = 'excluded' then 1 else 0 end) as excluded_count,
        percentile_cont(0.50) within group (order by calendar_judged) as calendar_seconds_p50,
        percentile_cont(0.90) within group (order by calendar_judged) as calendar_seconds_p90,
        percentile_cont(0.95) within group (order by calendar_judged) as calendar_seconds_p95,
        percentile_cont(0.50) within group (order by business_judged) as business_seconds_p50,
        percentile_cont(0.90) within group (order by business_judged) as business_seconds_p90,
        percentile_cont(0.95) within group (order by business_judged) as business_seconds_p95
    from clocks
    group by day_on, clock, level, segment, team, vendor
)

select
    cells.day_on,
    cells.clock,
    cells.level,
    cells.segment,
    cells.team as team_id,
    cells.vendor as vendor_id,
    cells.vendor <> 'in_house' as is_outsourced,
    cells.clock_count,
    cast(cells.met_count as bigint) as met_count,
    cast(cells.breached_count as bigint) as breached_count,
    cast(cells.open_overdue_count as bigint) as open_overdue_count,
    cast(cells.open_in_time_count as bigint) as open_in_time_count,
    cast(cells.not_yet_known_count as bigint) as not_yet_known_count,
    cast(cells.resolved_on_trigger_count as bigint) as resolved_on_trigger_count,
    cast(cells.excluded_count as bigint) as excluded_count,
    cast(cells.judged_count as bigint) as n,
    cells.met_share,
    {{ wilson_bound('cells.met_share', 'cells.judged_count', '-') }} as met_share_ci_low,
    {{ wilson_bound('cells.met_share', 'cells.judged_count', '+') }} as met_share_ci_high,
    cells.calendar_seconds_p50,
    cells.calendar_seconds_p90,
    cells.calendar_seconds_p95,
    cells.business_seconds_p50,
    cells.business_seconds_p90,
    cells.business_seconds_p95,
    run.as_of,
    run.batch_id as _batch_id
from cells
cross join run
