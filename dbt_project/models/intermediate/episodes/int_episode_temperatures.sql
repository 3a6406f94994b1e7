-- Grain: one row per complaint episode: its temperature at its last contact, from which it only cools.
-- The half-life is the one in force at the last contact. Sums are of decimals: their order does not matter.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

contributions as (
    select * from {{ ref('int_temperature_contributions') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

weights as (
    select * from {{ ref('temperature_weights') }}
    where factor = 'half_life_days'
),

last_contacts as (
    select
        episode_id,
        max(started_at) as anchor_at
    from contributions
    group by episode_id
),

anchored as (
    select
        last_contacts.episode_id,
        last_contacts.anchor_at,
        weights.weight as half_life_days
    from last_contacts
    inner join weights on {{ was_valid('weights', 'last_contacts.anchor_at') }}
)

select
    contributions.episode_id,
    contributions.subject_id,
    anchored.anchor_at,
    anchored.half_life_days,
    count(*) as contribution_count,
    sum(
        cast(
            contributions.weight
            * {{ decay('contributions.started_at', 'anchored.anchor_at', 'anchored.half_life_days') }}
            as numeric(24, 12)
        )
    ) as anchor_score
from contributions
inner join anchored on contributions.episode_id = anchored.episode_id
group by contributions.episode_id, contributions.subject_id, anchored.anchor_at, anchored.half_life_days
