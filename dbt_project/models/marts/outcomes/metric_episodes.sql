-- Grain: one row per metric and episode or contact that it counts at some horizon: what the cells of retention_metrics
-- are made of. Computed from the events' instants, apart from the figures themselves.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

horizons as (
    select * from {{ ref('horizons') }}
),

outcomes as (
    select
        episode_id,
        subscription_id,
        coalesce(level, 'unknown') as level,
        coalesce(segment, 'unknown') as segment,
        coalesce(topic, 'unknown') as topic,
        coalesce(region_id, 'unknown') as region,
        coalesce(product, 'unknown') as product,
        coalesce(first_team_id, 'unknown') as team,
        coalesce(first_vendor_id, sourcing) as vendor,
        sourcing,
        started_at,
        level_reached_at,
        churned_at,
        churn_kind in ('disconnect', 'port_out') as is_order_churn,
        competing_at,
        knowable_until_any,
        knowable_until_order,
        knowable_until_usage,
        coalesce(is_silent_30d, false) as is_silent_30d,
        coalesce(is_silent_at_complaint, false) as is_silent_at_complaint,
        is_index and not is_left_before and (competing_at is null or competing_at >= level_reached_at) as is_measured
    from {{ ref('int_episode_outcomes') }}
),

repeat_contacts as (
    select * from {{ ref('int_repeat_contacts') }}
),

-- By whom and at which level a case was closed, not what became of it.
closings as (
    select
        episode_id,
        coalesce(level, 'unknown') as level,
        coalesce(segment, 'unknown') as segment,
        coalesce(team_id, 'unknown') as team,
        coalesce(vendor_id, sourcing) as vendor,
        sourcing,
        is_lost
    from {{ ref('int_episode_closings') }}
    where is_index and is_mature
),

-- What comes first, as far as it can be known: a churn and a competing event of one instant count as the churn.
episode_metrics as (
    select
        'share_left_any' as metric,
        outcomes.*,
        knowable_until_any as known_until,
        case
            when churned_at <= knowable_until_any and (competing_at is null or churned_at <= competing_at)
                then churned_at
        end as numerator_at
    from outcomes
    where is_measured and level_reached_at < knowable_until_any
    union all
    select
        'share_left_by_order' as metric,
        outcomes.*,
        knowable_until_order as known_until,
        case
            when
                is_order_churn
                and churned_at <= knowable_until_order
                and (competing_at is null or churned_at <= competing_at)
                then churned_at
        end as numerator_at
    from outcomes
    where is_measured and level_reached_at < knowable_until_order
),

left_horizons as (
    select
        episode_metrics.metric,
        episode_metrics.episode_id,
        min(horizons.horizon_days) as counted_from_days,
        max(horizons.horizon_days) as counted_to_days,
        min(
            case
                when
                    episode_metrics.numerator_at
                    < {{ add_days('episode_metrics.level_reached_at', 'horizons.horizon_days') }}
                    then horizons.horizon_days
            end
        ) as left_from_days,
        max(
            case
                when
                    {{ add_days('episode_metrics.level_reached_at', 'horizons.horizon_days') }}
                    <= episode_metrics.known_until
                    and (
                        episode_metrics.churned_at is null
                        or {{ add_days('episode_metrics.level_reached_at', 'horizons.horizon_days') }}
                        <= episode_metrics.churned_at
                    )
                    and (
                        episode_metrics.competing_at is null
                        or {{ add_days('episode_metrics.level_reached_at', 'horizons.horizon_days') }}
                        <= episode_metrics.competing_at
                    )
                    then horizons.horizon_days
            end
        ) as stayed_to_days
    from episode_metrics
    cross join horizons
    group by episode_metrics.metric, episode_metrics.episode_id
),

-- Prepaid whose 30 days of usage are loaded: whom the operator cut off within them earns nothing for another reason.
heard as (
    select * from outcomes
    where
        is_measured
        and product = 'prepaid'
        and {{ add_days('level_reached_at', '30') }} <= knowable_until_usage
        and (competing_at is null or {{ add_days('level_reached_at', '30') }} <= competing_at)
),

silent_horizons as (
    select
        heard.episode_id,
        min(horizons.horizon_days) as counted_from_days,
        max(horizons.horizon_days) as counted_to_days,
        min(
            case
                when
                    heard.churned_at < {{ add_days('heard.level_reached_at', 'horizons.horizon_days') }}
                    and (heard.competing_at is null or heard.churned_at <= heard.competing_at)
                    then horizons.horizon_days
            end
        ) as left_from_days
    from heard
    cross join horizons
    where
        heard.is_silent_30d
        and horizons.horizon_days >= 90
        and {{ add_days('heard.level_reached_at', 'horizons.horizon_days') }} <= heard.knowable_until_any
    group by heard.episode_id
),

units as (
    select
        metric,
        'episode' as unit,
        episode_id as unit_id,
        episode_id,
        counted_from_days,
        counted_to_days,
        left_from_days as numerator_from_days,
        case when left_from_days is not null then counted_to_days end as numerator_to_days
    from left_horizons
    union all
    select
        'survival' as metric,
        'episode' as unit,
        episode_id as unit_id,
        episode_id,
        counted_from_days,
        counted_to_days,
        case when stayed_to_days is not null then counted_from_days end as numerator_from_days,
        stayed_to_days as numerator_to_days
    from left_horizons
    where metric = 'share_left_any'
    union all
    select
        'share_left_any_not_silent' as metric,
        'episode' as unit,
        left_horizons.episode_id as unit_id,
        left_horizons.episode_id,
        left_horizons.counted_from_days,
        left_horizons.counted_to_days,
        left_horizons.left_from_days as numerator_from_days,
        case when left_horizons.left_from_days is not null then left_horizons.counted_to_days end as numerator_to_days
    from left_horizons
    inner join outcomes on left_horizons.episode_id = outcomes.episode_id
    where left_horizons.metric = 'share_left_any' and not outcomes.is_silent_at_complaint
    union all
    select
        'silent_30d' as metric,
        'episode' as unit,
        episode_id as unit_id,
        episode_id,
        30 as counted_from_days,
        30 as counted_to_days,
        case when is_silent_30d then 30 end as numerator_from_days,
        case when is_silent_30d then 30 end as numerator_to_days
    from heard
    union all
    select
        'silent_30d_conversion' as metric,
        'episode' as unit,
        episode_id as unit_id,
        episode_id,
        counted_from_days,
        counted_to_days,
        left_from_days as numerator_from_days,
        case when left_from_days is not null then counted_to_days end as numerator_to_days
    from silent_horizons
    union all
    select
        'silent_at_complaint' as metric,
        'episode' as unit,
        episode_id as unit_id,
        episode_id,
        90 as counted_from_days,
        90 as counted_to_days,
        case when is_silent_at_complaint then 90 end as numerator_from_days,
        case when is_silent_at_complaint then 90 end as numerator_to_days
    from outcomes
    where is_measured and product = 'prepaid' and level_reached_at < knowable_until_any
    union all
    select
        'closed_but_lost' as metric,
        'episode' as unit,
        episode_id as unit_id,
        episode_id,
        90 as counted_from_days,
        90 as counted_to_days,
        case when is_lost then 90 end as numerator_from_days,
        case when is_lost then 90 end as numerator_to_days
    from closings
    union all
    select
        'repeat_contact_rate' as metric,
        'contact' as unit,
        contact_id as unit_id,
        episode_id,
        7 as counted_from_days,
        case when is_window_30d_elapsed then 30 else 7 end as counted_to_days,
        case
            when has_repeat_7d then 7
            when has_repeat_30d and is_window_30d_elapsed then 30
        end as numerator_from_days,
        case
            when has_repeat_30d and is_window_30d_elapsed then 30
            when has_repeat_7d then 7
        end as numerator_to_days
    from repeat_contacts
    where is_window_7d_elapsed
    union all
    select
        'first_contact_resolution' as metric,
        'contact' as unit,
        contact_id as unit_id,
        episode_id,
        30 as counted_from_days,
        30 as counted_to_days,
        case when coalesce(has_repeat_30d, false) then null else 30 end as numerator_from_days,
        case when coalesce(has_repeat_30d, false) then null else 30 end as numerator_to_days
    from repeat_contacts
    where is_first_contact and is_window_30d_elapsed
)

select
    units.metric,
    units.unit,
    units.unit_id,
    units.episode_id,
    coalesce(repeat_contacts.subscription_id, outcomes.subscription_id) as subscription_id,
    case
        when units.unit = 'contact' then coalesce(repeat_contacts.level, 'unknown')
        else coalesce(closings.level, outcomes.level)
    end as level,
    case
        when units.unit = 'contact' then coalesce(repeat_contacts.segment, 'unknown')
        else coalesce(closings.segment, outcomes.segment)
    end as segment,
    case
        when units.unit = 'contact' then coalesce(repeat_contacts.topic, 'unknown') else outcomes.topic
    end as topic,
    coalesce(outcomes.region, 'unknown') as region,
    coalesce(outcomes.product, 'unknown') as product,
    coalesce(closings.team, outcomes.team, 'unknown') as team,
    coalesce(closings.vendor, outcomes.vendor, 'unknown') as vendor,
    coalesce(closings.sourcing, outcomes.sourcing, 'unknown') as sourcing,
    {{ month_code('coalesce(repeat_contacts.started_at, outcomes.started_at)', "'Europe/Moscow'") }} as month,
    cast(units.counted_from_days as integer) as counted_from_days,
    cast(units.counted_to_days as integer) as counted_to_days,
    cast(units.numerator_from_days as integer) as numerator_from_days,
    cast(units.numerator_to_days as integer) as numerator_to_days,
    run.batch_id as _batch_id
from units
cross join run
left join outcomes on units.episode_id = outcomes.episode_id
left join repeat_contacts on units.unit = 'contact' and units.unit_id = repeat_contacts.contact_id
left join closings on units.metric = 'closed_but_lost' and units.unit_id = closings.episode_id
