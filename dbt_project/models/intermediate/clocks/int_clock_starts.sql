-- Grain: one row per clock with the level, the team in charge and the policy in force when it started.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

{%- set kinds = ['int_sensitive_clocks', 'int_vendor_clocks', 'int_case_clocks', 'int_fix_clocks'] %}

with

starts as (
    {%- for kind in kinds %}
    select * from {{ ref(kind) }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

levels as (
    select * from {{ ref('int_level_history') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where team_id is not null and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

sla_policies as (
    select * from {{ ref('sla_policies') }}
),

-- In charge: whoever was named by then, else the first to be named afterwards, else the queue it lay in.
in_charge as (
    select
        starts.clock,
        starts.clock_of,
        owners.team_id,
        row_number() over (
            partition by starts.clock, starts.clock_of
            order by
                case
                    when owners.source = 'routing' then 3
                    when owners.valid_from <= starts.started_at then 1
                    else 2
                end,
                case
                    when owners.valid_from <= starts.started_at
                        then {{ seconds_between('owners.valid_from', 'starts.started_at') }}
                    else {{ seconds_between('starts.started_at', 'owners.valid_from') }}
                end asc
        ) as choice
    from starts
    inner join owners on starts.episode_id = owners.episode_id
),

described as (
    select
        starts.clock,
        starts.clock_of,
        starts.subject_id,
        starts.episode_id,
        starts.ticket_id,
        starts.contact_id,
        coalesce(starts.level, levels.level, 'L0') as level,
        coalesce(starts.level_rank, levels.level_rank, 0) as level_rank,
        episodes.segment,
        episodes.region_id,
        coalesce(starts.team_id, in_charge.team_id, episodes.first_team_id) as team_id,
        starts.vendor_id,
        starts.started_at,
        starts.detected_at,
        starts.stopped_at,
        starts.stop_contact_id,
        starts.stop_attempt_id,
        starts.exclusion_reason,
        starts.resolved_on_trigger,
        starts.is_skewed
    from starts
    inner join episodes on starts.episode_id = episodes.episode_id
    left join levels
        on
            starts.episode_id = levels.episode_id
            and starts.started_at >= levels.valid_from
            and (levels.valid_to is null or starts.started_at < levels.valid_to)
    left join in_charge
        on starts.clock = in_charge.clock and starts.clock_of = in_charge.clock_of and in_charge.choice = 1
),

placed as (
    select
        described.clock,
        described.clock_of,
        described.subject_id,
        described.episode_id,
        described.ticket_id,
        described.contact_id,
        described.level,
        described.level_rank,
        described.segment,
        described.region_id,
        described.team_id,
        coalesce(described.vendor_id, teams.vendor_id) as vendor_id,
        coalesce(teams.calendar_code, '24x7') as team_calendar_code,
        coalesce(teams.time_zone, 'Europe/Moscow') as team_time_zone,
        described.started_at,
        described.detected_at,
        described.stopped_at,
        described.stop_contact_id,
        described.stop_attempt_id,
        described.exclusion_reason,
        described.resolved_on_trigger,
        described.is_skewed
    from described
    left join teams on described.team_id = teams.team_id
),

-- The most particular policy of those that were in force at the start.
ruled as (
    select
        placed.clock,
        placed.clock_of,
        sla_policies.policy_id,
        sla_policies.policy_version,
        sla_policies.target_seconds,
        sla_policies.calendar_code,
        sla_policies.is_pausable,
        sla_policies.due_rule,
        row_number() over (
            partition by placed.clock, placed.clock_of
            order by
                case when sla_policies.level is null then 0 else 1 end
                + case when sla_policies.segment is null then 0 else 1 end
                + case when sla_policies.vendor is null then 0 else 1 end desc,
                case when sla_policies.level is null then 1 else 0 end asc,
                -- L3b says more than L3.
                case when sla_policies.level = placed.level then 0 else 1 end asc,
                case when sla_policies.segment is null then 1 else 0 end asc,
                case when sla_policies.vendor = placed.vendor_id then 0 else 1 end asc,
                sla_policies.policy_id asc
        ) as choice
    from placed
    inner join sla_policies
        on
            placed.clock = sla_policies.clock
            and {{ was_valid('sla_policies', 'placed.started_at') }}
            and (
                sla_policies.level is null
                or placed.level = sla_policies.level
                or (placed.level like 'L3%' and sla_policies.level = 'L3')
            )
            and (sla_policies.segment is null or placed.segment = sla_policies.segment)
            and (
                sla_policies.vendor is null
                or placed.vendor_id = sla_policies.vendor
                or case when placed.vendor_id is null then 'in_house' else 'outsourced' end = sla_policies.vendor
            )
)

select
    md5(placed.clock || '|' || placed.clock_of) as clock_id,
    placed.clock,
    placed.subject_id,
    placed.episode_id,
    placed.ticket_id,
    placed.contact_id,
    placed.level,
    placed.level_rank,
    placed.segment,
    placed.region_id,
    placed.team_id,
    placed.vendor_id,
    placed.started_at,
    placed.detected_at,
    placed.stopped_at,
    placed.stop_contact_id,
    placed.stop_attempt_id,
    -- A policy's own calendar is Moscow's; the team's is read on the team's wall.
    case
        when coalesce(ruled.calendar_code, 'team') = 'team' then placed.team_calendar_code
        else ruled.calendar_code
    end as calendar_code,
    case
        when coalesce(ruled.calendar_code, 'team') = 'team' then placed.team_time_zone
        else 'Europe/Moscow'
    end as time_zone,
    case when ruled.calendar_code is null then 'calendar' else 'business' end as time_basis,
    ruled.policy_id,
    ruled.policy_version,
    ruled.target_seconds,
    coalesce(ruled.is_pausable, false) as is_pausable,
    ruled.due_rule,
    coalesce(placed.exclusion_reason, case when ruled.policy_id is null then 'no_policy' end) as exclusion_reason,
    placed.resolved_on_trigger,
    placed.is_skewed
from placed
left join ruled on placed.clock = ruled.clock and placed.clock_of = ruled.clock_of and ruled.choice = 1
