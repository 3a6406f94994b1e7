-- Cells of sla_compliance against fct_clocks, by kind: every clock is in one cell, and in one count of it.
with

cells as (
    select
        clock,
        sum(clock_count) as clocks,
        sum(
            n + open_in_time_count + not_yet_known_count + resolved_on_trigger_count + excluded_count
        ) as clocks_by_verdict
    from {{ ref('sla_compliance') }}
    group by clock
),

clocks as (
    select
        clock,
        count(*) as clocks
    from {{ ref('fct_clocks') }}
    group by clock
)

select
    coalesce(cells.clock, clocks.clock) as clock,
    cells.clocks as clocks_in_cells,
    cells.clocks_by_verdict,
    clocks.clocks
from cells
full outer join clocks on cells.clock = clocks.clock
where
    coalesce(cells.clocks, 0) <> coalesce(clocks.clocks, 0)
    or coalesce(cells.clocks_by_verdict, 0) <> coalesce(clocks.clocks, 0)
