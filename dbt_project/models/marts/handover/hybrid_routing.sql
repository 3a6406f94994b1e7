-- Grain: one row per week (Monday, Moscow) of the first assignment and partner (in_house: our own teams): complex cases
-- that went out, and standard ones that stayed in. What a case was counts as known when it was assigned.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

owners as (
    select
        owned.*,
        row_number() over (partition by episode_id order by valid_from) as owner_number
    from {{ ref('int_episode_owners') }} as owned
    where source <> 'routing' and team_id is not null
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

levels as (
    select * from {{ ref('int_level_history') }}
),

rules as (
    select * from {{ ref('hybrid_rules') }}
),

assigned as (
    select
        owners.episode_id,
        owners.valid_from as assigned_at,
        coalesce(owners.vendor_id, 'in_house') as partner,
        coalesce(owners.is_outsourced, false) as is_outsourced,
        episodes.segment,
        episodes.topic,
        levels.level
    from owners
    inner join episodes on owners.episode_id = episodes.episode_id
    left join levels
        on
            owners.episode_id = levels.episode_id
            and owners.valid_from >= levels.valid_from
            and (levels.valid_to is null or owners.valid_from < levels.valid_to)
    where owners.owner_number = 1
),

ruled as (
    select
        assigned.*,
        rules.is_complex,
        row_number() over (
            partition by assigned.episode_id order by rules.priority, rules.hybrid_rule_id
        ) as rule_number
    from assigned
    inner join rules
        on
            {{ was_valid('rules', 'assigned.assigned_at') }}
            and (rules.level is null or assigned.level = rules.level)
            and (rules.segment is null or assigned.segment = rules.segment)
            and (rules.topic is null or assigned.topic = rules.topic)
)

select
    {{ week_start(local_day('ruled.assigned_at', "'Europe/Moscow'")) }} as week_on,
    ruled.partner,
    count(*) as episodes,
    sum(case when ruled.is_complex then 1 else 0 end) as complex_cases,
    sum(case when not ruled.is_complex then 1 else 0 end) as standard_cases,
    sum(case when ruled.is_complex and ruled.is_outsourced then 1 else 0 end) as complex_sent_out,
    sum(case when not ruled.is_complex and not ruled.is_outsourced then 1 else 0 end) as standard_kept_in,
    sum(case when ruled.is_complex = ruled.is_outsourced then 1 else 0 end) as against_the_rule,
    cast(sum(case when ruled.is_complex = ruled.is_outsourced then 1 else 0 end) as double precision)
    / count(*) as against_the_rule_share,
    max(run.batch_id) as _batch_id
from ruled
cross join run
where ruled.rule_number = 1
group by
    {{ week_start(local_day('ruled.assigned_at', "'Europe/Moscow'")) }},
    ruled.partner
