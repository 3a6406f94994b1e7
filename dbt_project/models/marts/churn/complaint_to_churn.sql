-- Grain: one row per complaint episode of a subscription and horizon. Did the subscription leave within it?
-- The horizon is half-open and starts when the level was first reached. Who had left before complaining is not here.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('fct_complaint_episodes') }}
    where is_linked and not is_left_before
),

horizons as (
    select * from {{ ref('horizons') }}
),

churn as (
    select * from {{ ref('fct_churn_events') }}
    where is_churn
),

episode_horizons as (
    select
        episodes.*,
        horizons.horizon_days,
        {{ add_days('episodes.outcome_level_reached_at', 'horizons.horizon_days') }} as ends_at,
        case when episodes.churn_kind <> 'inactivity' then episodes.churned_at end as left_by_order_at
    from episodes
    cross join horizons
),

attributions as (
    select
        churn_event_id,
        churned_at,
        attributed_episode_id as episode_id,
        1 as is_latest,
        0 as is_earliest
    from churn
    union all
    select
        churn_event_id,
        churned_at,
        attributed_first_episode_id as episode_id,
        0 as is_latest,
        1 as is_earliest
    from churn
),

attributed as (
    select
        episode_horizons.episode_id,
        episode_horizons.horizon_days,
        sum(attributions.is_latest) as latest_count,
        sum(attributions.is_earliest) as earliest_count
    from episode_horizons
    inner join attributions on episode_horizons.episode_id = attributions.episode_id
    -- A churn dated before the complaint is one by silence; it counts from the complaint, inside every horizon.
    where attributions.churned_at < episode_horizons.ends_at
    group by episode_horizons.episode_id, episode_horizons.horizon_days
),

judged as (
    select
        episode_horizons.*,
        ends_at <= knowable_until_order as is_mature_by_order,
        ends_at <= knowable_until_any as is_mature_any,
        coalesce(churned_at < ends_at and (competing_at is null or churned_at <= competing_at), false) as has_left,
        coalesce(
            left_by_order_at < ends_at and (competing_at is null or left_by_order_at <= competing_at), false
        ) as has_left_by_order,
        coalesce(competing_at < ends_at, false) as has_ended,
        coalesce(returned_at < ends_at, false) as has_returned
    from episode_horizons
)

select
    judged.episode_id,
    judged.horizon_days,
    judged.subscription_id,
    judged.party_id,
    judged.segment,
    judged.product,
    judged.region_id,
    judged.topic,
    judged.topic_level_1,
    judged.first_agent_id,
    judged.first_team_id,
    judged.first_vendor_id,
    judged.sourcing,
    judged.outcome_level as level,
    judged.outcome_level_reached_at as level_reached_at,
    judged.started_at,
    judged.ends_at,
    -- Too young to judge is neither kept nor lost, whatever was seen so far: else leavers would count before stayers.
    case
        when not judged.is_mature_any then 'not_yet_known'
        when judged.has_left and judged.has_returned then 'returned'
        when judged.has_left then 'left'
        when judged.has_ended then 'left_involuntary'
        else 'stayed'
    end as status_any,
    case
        when not judged.is_mature_by_order then 'not_yet_known'
        when judged.has_left_by_order and judged.has_returned then 'returned'
        when judged.has_left_by_order then 'left'
        when judged.has_ended then 'left_involuntary'
        else 'stayed'
    end as status_by_order,
    judged.is_mature_any,
    judged.is_mature_by_order,
    case when judged.has_left then judged.churned_at end as left_at,
    case when judged.has_left then judged.churn_kind end as left_kind,
    case when judged.has_left and judged.has_returned then judged.returned_at end as returned_at,
    judged.is_silent_at_complaint,
    judged.is_silent_30d,
    judged.is_same_day_tie,
    judged.is_index,
    coalesce(attributed.latest_count, 0) > 0 as is_attributed,
    coalesce(attributed.earliest_count, 0) > 0 as is_attributed_first,
    cast(coalesce(attributed.latest_count, 0) as bigint) as attributed_churn_count,
    run.as_of,
    run.batch_id as _batch_id
from judged
cross join run
left join attributed
    on judged.episode_id = attributed.episode_id and judged.horizon_days = attributed.horizon_days
