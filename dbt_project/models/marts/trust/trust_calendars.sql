-- Grain: one row per calendar code and IANA zone that a team or region asks for. Do the seeds know it, and how far?
with

run as (
    select * from {{ source('run', 'current_run') }}
),

wanted as (
    select * from {{ ref('int_calendars_wanted') }}
),

calendars as (
    select * from {{ ref('int_calendars') }}
)

select
    wanted.calendar_code,
    wanted.time_zone,
    calendars.calendar_id is not null as is_known,
    cast(wanted.team_count as bigint) as team_count,
    calendars.covered_from,
    calendars.covered_until,
    calendars.decreed_until,
    {{ seconds_between('run.as_of', 'calendars.covered_until') }} / 86400 as covered_days_ahead,
    {{ seconds_between('run.as_of', 'calendars.decreed_until') }} / 86400 as decreed_days_ahead,
    run.batch_id as _batch_id
from wanted
cross join run
left join calendars
    on
        wanted.calendar_code = calendars.calendar_code
        and wanted.time_zone = calendars.time_zone
