-- Every clock's segments add up to it, to the second, around the clock and in working time.
with

summed as (
    select
        clock_id,
        sum(calendar_seconds) as calendar_seconds,
        sum(business_seconds) as business_seconds
    from {{ ref('fct_clock_segments') }}
    group by clock_id
)

select
    clocks.clock_id,
    clocks.calendar_seconds,
    summed.calendar_seconds as summed_calendar_seconds,
    clocks.business_seconds,
    summed.business_seconds as summed_business_seconds
from {{ ref('fct_clocks') }} as clocks
left join summed on clocks.clock_id = summed.clock_id
where
    clocks.calendar_seconds <> coalesce(summed.calendar_seconds, 0)
    or (clocks.business_seconds is not null and clocks.business_seconds <> coalesce(summed.business_seconds, 0))
