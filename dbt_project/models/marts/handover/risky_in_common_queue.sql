-- Grain: one row per sensitive open episode that lies in a common queue now. An alert, never a stop.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where valid_to is null and owner_kind = 'common_queue'
),

-- Sensitive in one piece since then.
levels as (
    select
        episode_id,
        max(case when valid_to is null and is_sensitive then level end) as level,
        max(case when not is_sensitive then valid_to end) as sensitive_at,
        min(valid_from) as begun_at
    from {{ ref('int_level_history') }}
    group by episode_id
),

escalations as (
    select
        episode_id,
        min(case when first_contact_at is not null or closed_at is not null then 1 else 0 end) as is_done
    from {{ ref('int_escalations') }}
    group by episode_id
),

allowed as (
    select * from {{ ref('queue_allow_list') }}
),

lying as (
    select
        episodes.episode_id,
        episodes.segment,
        episodes.region_id,
        episodes.topic,
        levels.level,
        owners.team_id,
        owners.vendor_id,
        owners.valid_from as in_queue_at,
        coalesce(levels.sensitive_at, levels.begun_at) as sensitive_at
    from owners
    inner join episodes on owners.episode_id = episodes.episode_id
    inner join levels on owners.episode_id = levels.episode_id
    left join escalations on owners.episode_id = escalations.episode_id
    cross join run
    where
        levels.level is not null
        and (
            -- Its ticket is open, or it has none and nobody has spoken with the subscriber.
            episodes.closes_at is null
            or (episodes.ticket_count = 0 and run.as_of < episodes.closes_at and coalesce(escalations.is_done, 0) = 0)
        )
),

excused as (
    select
        lying.episode_id,
        allowed.allow_id,
        allowed.reason,
        allowed.owner,
        row_number() over (partition by lying.episode_id order by allowed.allow_id) as choice
    from lying
    cross join run
    inner join allowed
        on
            {{ was_valid('allowed', 'run.as_of') }}
            and (allowed.team_id is null or lying.team_id = allowed.team_id)
            and (allowed.level is null or lying.level = allowed.level)
            and (allowed.segment is null or lying.segment = allowed.segment)
)

select
    lying.episode_id,
    lying.level,
    lying.segment,
    lying.region_id,
    lying.topic,
    lying.team_id,
    lying.vendor_id,
    lying.sensitive_at,
    lying.in_queue_at,
    {{ seconds_between('greatest(lying.in_queue_at, lying.sensitive_at)', 'run.as_of') }} / 60 as minutes_in_queue,
    excused.allow_id is not null as is_allowed,
    excused.allow_id,
    excused.reason as allowed_because,
    excused.owner as allowed_by,
    run.as_of,
    run.batch_id as _batch_id
from lying
left join excused on lying.episode_id = excused.episode_id and excused.choice = 1
cross join run
