-- Grain: one row per complaint episode of a subscription: its level, its outcome, and until when that can be known.
-- Built whole every night, because time moves the verdicts; what it costs grows with episodes, not with subscribers.
{{ config(materialized='table', indexes=[{'columns': ['episode_id'], 'unique': true}]) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where is_linked
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

signals as (
    select * from {{ ref('int_episode_signals') }}
),

churn as (
    select * from {{ ref('int_churn_events') }}
    where is_churn
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

churn_rules as (
    select * from {{ ref('churn_rules') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where owner_kind <> 'common_queue'
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

-- What the CRM did not say yet cannot be known. Without any load of it nothing can.
watermarks as (
    select
        run.as_of,
        least(
            run.as_of,
            coalesce(
                max(case when loads.table_name = 'crm.subscription_events' then loads.watermark_to end),
                timestamptz '1970-01-01 00:00:00+00'
            )
        ) as orders_until,
        least(
            run.as_of,
            coalesce(
                max(case when loads.table_name = 'crm.usage_months' then loads.watermark_to end),
                timestamptz '1970-01-01 00:00:00+00'
            )
        ) as usage_until
    from run
    left join loads on true
    group by run.as_of
),

lags as (
    select
        max(case when kind in ('disconnect', 'port_out') then detection_lag_days end) as order_days,
        max(case when kind = 'inactivity' then detection_lag_days end) as inactivity_days
    from churn_rules
),

ranked_owners as (
    select
        owners.*,
        row_number() over (partition by episode_id order by valid_from) as owner_rank
    from owners
),

owned as (
    select distinct
        episode_id,
        agent_id
    from owners
),

-- A helpdesk that names agents only: the first who had the case, with the team of then. A ticket's row may name whoever
-- has it now, so it gives way to the log, unless the log has never heard of that agent: whose team is not known then.
-- Never the agent of one and the team of another.
first_owners as (
    select
        episodes.episode_id,
        ranked_owners.agent_id,
        ranked_owners.team_id
    from episodes
    inner join ranked_owners on episodes.episode_id = ranked_owners.episode_id and ranked_owners.owner_rank = 1
    left join tickets on episodes.first_ticket_id = tickets.ticket_id
    left join owned on episodes.episode_id = owned.episode_id and tickets.first_agent_id = owned.agent_id
    where
        episodes.first_team_id = ranked_owners.team_id
        or (episodes.first_team_id is null and (tickets.first_agent_id is null or owned.agent_id is not null))
),

assigned as (
    select
        episodes.episode_id,
        case
            when episodes.first_team_id is null then coalesce(first_owners.agent_id, episodes.first_agent_id)
            else coalesce(episodes.first_agent_id, first_owners.agent_id)
        end as first_agent_id,
        coalesce(episodes.first_team_id, first_owners.team_id) as first_team_id
    from episodes
    left join first_owners on episodes.episode_id = first_owners.episode_id
),

-- Every end of the subscription, seen from the episode.
seen as (
    select
        episodes.episode_id,
        episodes.started_at,
        churn.kind,
        churn.cause_group,
        churn.resumed_at,
        churn.subscription_id,
        churn.churned_at as ended_at,
        -- Service fails, revenue stops, then they complain: that is not leaving before the complaint.
        churn.kind = 'inactivity'
        and churn.churned_at <= episodes.started_at
        and episodes.started_at < churn.known_at as is_silent_at_complaint,
        -- One of the two is known by its day alone, and both are of one day: nobody knows which came first.
        churn.kind <> 'inactivity'
        and (
            {{ is_same_day_tie('churn.churned_at', 'episodes.started_at', 'subscriptions.time_zone') }}
            or {{ is_same_day_tie('churn.churned_at', 'episodes.started_at', "'Europe/Moscow'") }}
        ) as is_same_day_tie
    from episodes
    inner join churn on episodes.subscription_id = churn.subscription_id
    inner join subscriptions on episodes.subscription_id = subscriptions.subscription_id
),

departures as (
    select
        seen.*,
        case
            when is_silent_at_complaint then {{ add_seconds('started_at', 1) }}
            else ended_at
        end as departed_at
    from seen
),

leavers as (
    select distinct subscription_id from departures
),

-- Only of those who complained and left: usage is the largest table there is.
subscription_events as (
    select staged.*
    from leavers
    inner join {{ ref('stg_crm__subscription_events') }} as staged on leavers.subscription_id = staged.subscription_id
    cross join run
    where {{ is_visible('staged.event_at', 'staged.recorded_at') }}
),

usage_months as (
    select staged.*
    from leavers
    inner join {{ ref('stg_crm__usage_months') }} as staged on leavers.subscription_id = staged.subscription_id
),

-- The last end before the complaint, unless the subscriber was back by then.
earlier as (
    select
        departures.*,
        row_number() over (partition by episode_id order by departed_at desc, kind asc) as latest_rank
    from departures
    where departed_at < started_at
),

left_before as (
    select
        earlier.episode_id,
        earlier.is_same_day_tie
    from earlier
    where
        earlier.latest_rank = 1
        and coalesce(earlier.resumed_at > earlier.started_at, true)
        and {{ never_came_back('earlier', 'departed_at', 'started_at') }}
),

first_departures as (
    select
        episode_id,
        min(departed_at) as departed_at,
        max(case when is_same_day_tie then 1 else 0 end) = 1 as is_same_day_tie
    from departures
    where started_at <= departed_at
    group by episode_id
),

-- The highest level reached before the subscriber left; what is said after leaving does not raise it.
ranked_levels as (
    select
        levels.*,
        first_departures.departed_at,
        row_number() over (
            partition by levels.episode_id
            order by
                case
                    when first_departures.departed_at is null or levels.valid_from <= first_departures.departed_at
                        then 0
                    else 1
                end,
                case
                    when first_departures.departed_at is null or levels.valid_from <= first_departures.departed_at
                        then -levels.level_rank
                    else levels.level_rank
                end
        ) as choice
    from levels
    left join first_departures on levels.episode_id = first_departures.episode_id
),

reached as (
    select
        episode_id,
        level,
        valid_from as level_reached_at,
        coalesce(departed_at < valid_from, false) as is_left_before_level
    from ranked_levels
    where choice = 1
),

after_level as (
    select
        departures.*,
        case
            when departures.is_silent_at_complaint then {{ add_seconds('reached.level_reached_at', 1) }}
            else departures.departed_at
        end as counted_at
    from departures
    inner join reached on departures.episode_id = reached.episode_id
    where reached.level_reached_at <= departures.departed_at
),

ranked_departures as (
    select
        after_level.*,
        row_number() over (
            partition by episode_id, cause_group order by counted_at, kind, ended_at
        ) as departure_rank
    from after_level
),

voluntary as (
    select * from ranked_departures
    where cause_group = 'voluntary' and departure_rank = 1
),

competing as (
    select * from ranked_departures
    where cause_group = 'competing' and departure_rank = 1
),

-- Back: the same subscription by an event or by revenue, or a new one of a party that had none left.
sibling_starts as (
    select
        voluntary.episode_id,
        siblings.subscription_id,
        siblings.activated_at as returned_at
    from voluntary
    cross join run
    inner join subscriptions on voluntary.subscription_id = subscriptions.subscription_id
    inner join subscriptions as siblings
        on
            subscriptions.party_id = siblings.party_id
            and voluntary.subscription_id <> siblings.subscription_id
            and voluntary.ended_at < siblings.activated_at
            and run.as_of > siblings.activated_at
    where
        not exists (
            select 1
            from subscriptions as others
            where
                others.party_id = subscriptions.party_id
                and others.subscription_id <> voluntary.subscription_id
                and others.activated_at <= voluntary.ended_at
                and (others.terminated_at is null or voluntary.ended_at < others.terminated_at)
        )
),

returns as (
    select
        voluntary.episode_id,
        voluntary.subscription_id,
        subscription_events.event_at as returned_at
    from voluntary
    inner join subscription_events
        on
            voluntary.subscription_id = subscription_events.subscription_id
            and subscription_events.kind in ('activation', 'reactivation')
            and voluntary.counted_at < subscription_events.event_at
    union all
    select
        voluntary.episode_id,
        voluntary.subscription_id,
        voluntary.resumed_at as returned_at
    from voluntary
    cross join run
    where voluntary.resumed_at < run.as_of
    union all
    select
        voluntary.episode_id,
        voluntary.subscription_id,
        case
            when {{ add_days('voluntary.counted_at', 1) }} < usage_months.first_revenue_at
                then usage_months.first_revenue_at
            else usage_months.last_revenue_at
        end as returned_at
    from voluntary
    cross join run
    inner join usage_months
        on
            voluntary.subscription_id = usage_months.subscription_id
            and {{ add_days('voluntary.counted_at', 1) }} < usage_months.last_revenue_at
    where voluntary.kind <> 'inactivity'
    union all
    select
        episode_id,
        subscription_id,
        returned_at
    from sibling_starts
),

ranked_returns as (
    select
        returns.*,
        row_number() over (
            partition by returns.episode_id order by returns.returned_at, returns.subscription_id
        ) as return_rank
    from returns
    cross join run
    where returns.returned_at < run.as_of
),

-- The window has an end, so what comes later cannot change a verdict that is old enough. A month's row says its first
-- and its last revenue: with revenue on both sides of the window it counts, silence is never made longer than it was.
first_returns as (
    select
        ranked_returns.episode_id,
        ranked_returns.returned_at,
        count(staged.subscription_id) > 0 as returned_revenue_30d
    from ranked_returns
    cross join run
    left join {{ ref('stg_crm__usage_months') }} as staged
        on
            ranked_returns.subscription_id = staged.subscription_id
            and {{ add_days('ranked_returns.returned_at', 30) }} <= coalesce(
                case when run.as_of > staged.last_revenue_at then staged.last_revenue_at end, staged.first_revenue_at
            )
            and {{ add_days('ranked_returns.returned_at', 60) }} > coalesce(
                staged.first_revenue_at, staged.last_revenue_at
            )
            and run.as_of > coalesce(staged.first_revenue_at, staged.last_revenue_at)
    where ranked_returns.return_rank = 1
    group by ranked_returns.episode_id, ranked_returns.returned_at
),

-- Prepaid with revenue in the 30 days after the level was reached. A month's row says its first and its last revenue:
-- silence is never made longer than it was.
earning as (
    select distinct reached.episode_id
    from reached
    inner join episodes on reached.episode_id = episodes.episode_id and episodes.product = 'prepaid'
    inner join {{ ref('stg_crm__usage_months') }} as staged
        on
            episodes.subscription_id = staged.subscription_id
            and reached.level_reached_at <= coalesce(staged.last_revenue_at, staged.first_revenue_at)
            and {{ add_days('reached.level_reached_at', 30) }} > coalesce(
                staged.first_revenue_at, staged.last_revenue_at
            )
),

own_words as (
    select distinct signals.episode_id
    from signals
    left join first_departures on signals.episode_id = first_departures.episode_id
    where
        signals.is_own_words
        and (first_departures.departed_at is null or signals.fired_at <= first_departures.departed_at)
),

indexed as (
    select
        episode_id,
        row_number() over (
            partition by subscription_id, {{ quarter_start('started_at', "'Europe/Moscow'") }}
            order by started_at, episode_id
        ) as episode_rank
    from episodes
)

select
    episodes.episode_id,
    episodes.subscription_id,
    episodes.party_id,
    episodes.topic,
    episodes.topic_level_1,
    episodes.first_channel,
    episodes.segment,
    episodes.product,
    episodes.region_id,
    assigned.first_agent_id,
    assigned.first_team_id,
    teams.vendor_id as first_vendor_id,
    case
        when teams.team_id is null then 'unknown'
        when teams.vendor_id is null then 'in_house'
        else 'outsourced'
    end as sourcing,
    reached.level,
    episodes.started_at,
    reached.level_reached_at,
    left_before.episode_id is not null or reached.is_left_before_level as is_left_before,
    coalesce(left_before.is_same_day_tie, first_departures.is_same_day_tie, false) as is_same_day_tie,
    voluntary.counted_at as churned_at,
    voluntary.kind as churn_kind,
    competing.counted_at as competing_at,
    competing.kind as competing_kind,
    first_returns.returned_at,
    coalesce(first_returns.returned_revenue_30d, false) as returned_revenue_30d,
    {{ add_days('watermarks.orders_until', '-lags.order_days') }} as knowable_until_order,
    case
        when episodes.product = 'prepaid'
            then {{ add_days('least(watermarks.orders_until, watermarks.usage_until)', '-lags.inactivity_days') }}
        else {{ add_days('watermarks.orders_until', '-lags.order_days') }}
    end as knowable_until_any,
    watermarks.usage_until as knowable_until_usage,
    case when episodes.product = 'prepaid' then earning.episode_id is null end as is_silent_30d,
    indexed.episode_rank = 1 as is_index,
    own_words.episode_id is not null as is_own_words_3b,
    coalesce(voluntary.is_silent_at_complaint, false) as is_silent_at_complaint
from episodes
cross join watermarks
cross join lags
inner join indexed on episodes.episode_id = indexed.episode_id
inner join reached on episodes.episode_id = reached.episode_id
inner join assigned on episodes.episode_id = assigned.episode_id
left join teams on assigned.first_team_id = teams.team_id
left join left_before on episodes.episode_id = left_before.episode_id
left join first_departures on episodes.episode_id = first_departures.episode_id
left join earning on episodes.episode_id = earning.episode_id
left join voluntary on episodes.episode_id = voluntary.episode_id
left join competing on episodes.episode_id = competing.episode_id
left join first_returns on episodes.episode_id = first_returns.episode_id
left join own_words on episodes.episode_id = own_words.episode_id
