-- Grain: one row per quarter (or all) and team, and per agent: of their cases, how many left against the expected.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

measured as (
    select * from {{ source('outcomes', 'firefighters') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
    where is_index and not is_left_before and sourcing <> 'unknown'
),

escalations as (
    select distinct episode_id from {{ ref('int_escalations') }}
),

deeds as (
    select * from {{ ref('sensitive_without_authority') }}
),

agents as (
    select * from {{ ref('int_agents') }}
),

small_cells as (
    select * from {{ ref('small_cells') }}
    where output = 'firefighters'
),

teams as (
    select
        team_id,
        max(team_name) as team_name
    from agents
    where team_id is not null
    group by team_id
),

-- Cases that became sensitive, by who had them first, and whether that unit itself did there what it may not do.
sensitive as (
    select
        outcomes.episode_id,
        coalesce(outcomes.party_id, outcomes.subscription_id) as party,
        outcomes.first_agent_id,
        outcomes.first_team_id,
        cast(extract(year from {{ quarter_start('outcomes.level_reached_at', "'Europe/Moscow'") }}) as integer)
        || '-Q'
        || cast(extract(quarter from {{ quarter_start('outcomes.level_reached_at', "'Europe/Moscow'") }}) as integer)
            as period,
        max(case when deeds.agent_id = outcomes.first_agent_id then 1 else 0 end) as agent_lacked,
        max(case when deeds.team_id = outcomes.first_team_id then 1 else 0 end) as team_lacked
    from outcomes
    inner join escalations on outcomes.episode_id = escalations.episode_id
    left join deeds on outcomes.episode_id = deeds.episode_id
    group by
        outcomes.episode_id, coalesce(outcomes.party_id, outcomes.subscription_id), outcomes.first_agent_id,
        outcomes.first_team_id, outcomes.level_reached_at
),

periods as (
    select distinct period from measured
    where period <> 'all'
),

by_unit as (
    select
        'team' as unit_kind,
        sensitive.first_team_id as unit,
        sensitive.first_team_id as team_id,
        sensitive.party,
        1 - sensitive.team_lacked as is_within
    from sensitive
    inner join periods on sensitive.period = periods.period
    union all
    select
        'agent' as unit_kind,
        sensitive.first_agent_id as unit,
        sensitive.first_team_id as team_id,
        sensitive.party,
        1 - sensitive.agent_lacked as is_within
    from sensitive
    inner join periods on sensitive.period = periods.period
),

authority as (
    select
        unit_kind,
        unit,
        count(*) as sensitive_cases,
        count(distinct party) as parties,
        cast(sum(is_within) as double precision) / count(*) as within_authority_share
    from by_unit
    group by unit_kind, unit
),

homes as (
    select
        unit_kind,
        unit,
        team_id,
        row_number() over (partition by unit_kind, unit order by count(*) desc, team_id asc) as home_rank
    from by_unit
    group by unit_kind, unit, team_id
),

-- Quarters have none: with them a small one could be taken from the rest.
judged as (
    select
        measured.unit_kind,
        measured.unit,
        homes.team_id,
        authority.within_authority_share,
        coalesce(authority.sensitive_cases, 0) as sensitive_cases,
        coalesce(measured.refusal_reason = 'small_cell', false)
        or coalesce(authority.sensitive_cases < small_cells.min_cell_n or authority.parties < 2, false) as is_small
    from measured
    inner join run on measured.batch_id = run.batch_id
    inner join small_cells on {{ was_valid('small_cells', 'run.as_of') }}
    left join authority on measured.unit_kind = authority.unit_kind and measured.unit = authority.unit
    left join homes on measured.unit_kind = homes.unit_kind and measured.unit = homes.unit and homes.home_rank = 1
    where measured.period = 'all'
),

-- Agents add up to their team: where one is hidden alone, the next smallest is hidden as well. Nothing is told of what
-- teams add up to.
beside as (
    select
        judged.*,
        sum(case when is_small and sensitive_cases > 0 then 1 else 0 end) over (
            partition by unit_kind, team_id
        ) as small_units,
        row_number() over (
            partition by
                unit_kind, team_id, case when sensitive_cases = 0 then 0 when is_small then 1 else 2 end
            order by sensitive_cases, unit
        ) as size_rank
    from judged
),

refused as (
    select
        beside.*,
        case
            when is_small then 'small_cell'
            when sensitive_cases = 0 then 'zero_denominator'
            when unit_kind = 'agent' and small_units = 1 and size_rank = 1 then 'small_cell'
        end as authority_refusal
    from beside
),

shown as (
    select
        unit_kind,
        unit,
        'all' as period,
        authority_refusal,
        case when coalesce(authority_refusal, '') <> 'small_cell' then sensitive_cases end as sensitive_cases,
        case when authority_refusal is null then within_authority_share end as within_authority_share
    from refused
)

select
    measured.period,
    measured.unit_kind,
    measured.unit,
    teams.team_name as unit_name,
    measured.horizon_days,
    measured.cases,
    measured.n,
    measured.left_count,
    measured.kept_share,
    measured.kept_ci_low,
    measured.kept_ci_high,
    measured.dropped_share,
    measured.compared_left,
    measured.expected_left,
    measured.ratio,
    measured.shrunken_ratio,
    measured.ci_low,
    measured.ci_high,
    measured.reading,
    measured.unit_rank,
    measured.refusal_reason,
    shown.sensitive_cases,
    shown.within_authority_share,
    {{ wilson_bound('shown.within_authority_share', 'shown.sensitive_cases', '-') }} as within_authority_ci_low,
    {{ wilson_bound('shown.within_authority_share', 'shown.sensitive_cases', '+') }} as within_authority_ci_high,
    case when measured.period = 'all' then shown.authority_refusal else 'other_period' end as authority_refusal,
    measured.maturity_status,
    run.as_of,
    run.batch_id as _batch_id
from measured
inner join run on measured.batch_id = run.batch_id
left join shown
    on
        measured.unit_kind = shown.unit_kind
        and measured.unit = shown.unit
        and measured.period = shown.period
left join teams on measured.unit_kind = 'team' and measured.unit = teams.team_id
