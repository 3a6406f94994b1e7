-- Grain: one row per complaint episode, scenario that it came to, and step which that scenario asks for: until when.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

scenario_steps as (
    select * from {{ ref('scenario_steps') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

regions as (
    select * from {{ ref('stg_crm__regions') }}
),

calendars as (
    select * from {{ ref('int_calendars') }}
),

resolved_on_trigger as (
    select * from {{ ref('int_contacts_resolved') }}
    where is_authorised and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

-- Joined before the seed is: its conditions are more than a planner can foresee.
reached as (
    select
        levels.episode_id,
        levels.level,
        levels.level_rank,
        levels.valid_from as triggered_at,
        episodes.subject_id,
        episodes.topic_level_1,
        resolved_on_trigger.contact_id is not null as is_resolved_on_trigger,
        coalesce(regions.time_zone, 'Europe/Moscow') as time_zone
    from levels
    inner join episodes on levels.episode_id = episodes.episode_id
    left join regions on episodes.region_id = regions.region_id
    left join resolved_on_trigger
        on
            levels.episode_id = resolved_on_trigger.episode_id
            and levels.contact_id = resolved_on_trigger.contact_id
            and levels.valid_from <= resolved_on_trigger.resolved_at
),

-- A step may be for fewer levels than its scenario, so an episode that is in it comes to the step later, or never.
matched as (
    select
        reached.*,
        scenario_steps.scenario,
        scenario_steps.version,
        scenario_steps.step,
        scenario_steps.is_required,
        scenario_steps.due_minutes,
        scenario_steps.calendar_code,
        scenario_steps.valid_from,
        scenario_steps.valid_to,
        min(case when {{ was_valid('scenario_steps', 'reached.triggered_at') }} then reached.triggered_at end) over (
            partition by reached.episode_id, scenario_steps.scenario
        ) as came_to_scenario_at
    from reached
    inner join scenario_steps
        on {{ is_in_scenario('scenario_steps', 'reached.level', 'reached.topic_level_1') }}
),

numbered as (
    select
        matched.*,
        row_number() over (
            partition by matched.episode_id, matched.scenario, matched.step
            order by matched.triggered_at asc, matched.level_rank desc, matched.valid_from desc
        ) as level_number
    from matched
    where
        matched.came_to_scenario_at <= matched.triggered_at
        and {{ was_valid('matched', 'matched.came_to_scenario_at') }}
),

asked as (
    select
        md5(
            numbered.episode_id || '|' || numbered.scenario || '|' || numbered.version || '|' || numbered.step
        ) as audit_step_id,
        numbered.subject_id,
        numbered.episode_id,
        numbered.scenario,
        numbered.version,
        numbered.step,
        numbered.is_required,
        numbered.level,
        numbered.triggered_at,
        numbered.is_resolved_on_trigger,
        numbered.due_minutes,
        numbered.calendar_code,
        calendars.calendar_id
    from numbered
    left join calendars
        on numbered.calendar_code = calendars.calendar_code and numbered.time_zone = calendars.time_zone
    where numbered.level_number = 1
),

started as (
    {{ with_open_seconds('asked', ['triggered_at']) }}
),

targeted as (
    select
        started.*,
        triggered_at_open_seconds + due_minutes * 60 as due_open_seconds
    from started
),

dued as (
    {{ with_due('targeted', 'due_open_seconds', 'due_in_hours_at') }}
)

select
    audit_step_id,
    subject_id,
    episode_id,
    scenario,
    version,
    step,
    is_required,
    level,
    triggered_at,
    case
        when calendar_code is null then {{ add_seconds('triggered_at', 'due_minutes * 60') }} else due_in_hours_at
    end as due_at,
    is_resolved_on_trigger
from dued
