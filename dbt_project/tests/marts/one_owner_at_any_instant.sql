-- Intervals of an episode follow each other: none overlaps the next, none is missing, and the last one is open.
with

owners as (
    select
        episode_id,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by episode_id order by valid_from, owner_position) as next_from
    from {{ ref('owner_history') }}
)

select
    episode_id,
    valid_from,
    valid_to,
    next_from
from owners
where
    valid_to <= valid_from
    or (next_from is null and valid_to is not null)
    or (next_from is not null and (valid_to is null or valid_to <> next_from))
