-- Grain: one row per week and case drawn for review, with what became of it. Not for those who judge it.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

batches as (
    select * from {{ source('books', 'batches') }}
),

packs as (
    select * from {{ source('outcomes', 'case_review') }}
)

select
    packs.week_on,
    packs.case_number,
    packs.pair_number,
    packs.episode_id,
    packs.level,
    packs.segment,
    packs.vendor,
    packs.month_on,
    packs.outcome,
    packs.level_reached_at,
    packs.seen_until,
    packs.unmatched_left as unmatched_left_count,
    packs.unmatched_stayed as unmatched_stayed_count,
    packs.as_of as drawn_as_of,
    run.batch_id as _batch_id
from packs
cross join run
inner join batches on packs.batch_id = batches.batch_id
where
    packs.batch_id = run.batch_id
    -- What a night drew that never passed its checks is drawn again.
    or (packs.as_of < run.as_of and batches.state = 'published')
