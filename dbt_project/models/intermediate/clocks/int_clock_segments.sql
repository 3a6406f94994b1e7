-- Grain: one row per clock and interval in which one owner had the case while it ran; they add up to the clock.
-- Anchors as in int_clocks for the interval that has not ended.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['clock_id']])) }}

with

all_clocks as (
    select * from {{ ref('int_clocks') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

pausable as (
    select
        clock_id,
        is_pausable
    from {{ ref('int_clock_starts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owned as (
    select
        all_clocks.clock_id,
        all_clocks.subject_id,
        all_clocks.calendar_id,
        case when pausable.is_pausable then all_clocks.ticket_id end as pause_key,
        owners.owner_kind,
        owners.agent_id,
        owners.team_id,
        owners.vendor_id,
        coalesce(owners.is_outsourced, false) as is_outsourced,
        all_clocks.started_at as origin_at,
        greatest(owners.valid_from, all_clocks.started_at) as started_at,
        case
            when owners.valid_to is null then all_clocks.stopped_at
            else least(owners.valid_to, coalesce(all_clocks.stopped_at, owners.valid_to))
        end as stopped_at
    from all_clocks
    inner join pausable on all_clocks.clock_id = pausable.clock_id
    inner join owners
        on
            all_clocks.episode_id = owners.episode_id
            and (owners.valid_to is null or all_clocks.started_at < owners.valid_to)
            and (all_clocks.stopped_at is null or all_clocks.stopped_at > owners.valid_from)
),

segments as (
    select
        owned.*,
        row_number() over (partition by clock_id order by started_at) as segment_number
    from owned
),

clocks as (
    select
        clock_id || '|' || segment_number as clock_id,
        pause_key,
        calendar_id,
        origin_at,
        started_at,
        stopped_at,
        cast(null as bigint) as target_seconds
    from segments
),

tickets as (
    select distinct pause_key from segments
),

pauses as (
    select
        paused.ticket_id as pause_key,
        paused.paused_at,
        paused.resumed_at
    from {{ ref('int_ticket_pauses') }} as paused
    inner join tickets on paused.ticket_id = tickets.pause_key
),

{{ clock_ctes('clocks', 'pauses', origin_at='origin_at') }}

select
    segments.clock_id,
    segments.segment_number,
    segments.subject_id,
    segments.calendar_id,
    segments.owner_kind,
    segments.agent_id,
    segments.team_id,
    segments.vendor_id,
    segments.is_outsourced,
    segments.started_at,
    segments.stopped_at,
    clock_times.calendar_seconds,
    clock_times.business_seconds,
    clock_times.started_open_seconds,
    clock_times.paused_open_seconds,
    clock_times.pausing_open_seconds
from segments
inner join clock_times on segments.clock_id || '|' || segments.segment_number = clock_times.clock_id
