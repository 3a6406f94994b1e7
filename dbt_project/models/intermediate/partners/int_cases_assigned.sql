-- Grain: one row per index complaint episode with an outcome to come: who had the case first, what was known of it
-- then, and what it has cost since its level was reached.
{{ config(materialized='table') }}

with

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
    where is_index and not is_left_before and (competing_at is null or level_reached_at <= competing_at)
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

dials as (
    select * from {{ ref('int_first_contacts') }}
    where attempt_id is not null
),

episode_policy as (
    select * from {{ ref('episode_policy') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
    where cost_rub is not null
),

regions as (
    select * from {{ ref('stg_crm__regions') }}
),

policy as (
    select * from {{ ref('coverage_policy') }}
),

prices as (
    select * from {{ ref('partner_costs') }}
),

-- The first level of the episode, before anybody had handled it; what it rose to may be the handling's doing.
first_levels as (
    select
        episode_id,
        level,
        row_number() over (partition by episode_id order by valid_from asc, level_rank desc) as level_position
    from levels
),

located as (
    select
        outcomes.episode_id,
        {{ local_hour('outcomes.started_at', "coalesce(regions.time_zone, 'Europe/Moscow')") }} as local_hour
    from outcomes
    left join regions on outcomes.region_id = regions.region_id
),

case_tickets as (
    select distinct
        contacts.root_ticket_id,
        episodes.episode_id,
        episodes.started_at
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    inner join episodes on episode_contacts.episode_id = episodes.episode_id
    where contacts.root_ticket_id is not null
),

-- What a person said to the subscriber, or heard, without its being a complaint itself: on a ticket of the case, or on
-- none when it was us who began.
spoken as (
    select contacts.*
    from contacts
    left join episode_contacts on contacts.contact_id = episode_contacts.contact_id
    where
        contacts.author_kind = 'human'
        and coalesce(contacts.is_answered, true)
        and episode_contacts.contact_id is null
        and (contacts.root_ticket_id is not null or contacts.direction = 'outbound')
),

undertaken as (
    select
        action_id as deed_id,
        false as is_contact,
        root_ticket_id,
        subscription_id,
        action_at as deed_at,
        cost_rub
    from actions
    union all
    select
        contact_id as deed_id,
        true as is_contact,
        root_ticket_id,
        subscription_id,
        started_at as deed_at,
        0 as cost_rub
    from spoken
),

candidates as (
    select
        undertaken.*,
        false as is_dial,
        case_tickets.episode_id,
        case_tickets.started_at
    from undertaken
    inner join case_tickets on undertaken.root_ticket_id = case_tickets.root_ticket_id
    union all
    select
        undertaken.*,
        false as is_dial,
        episodes.episode_id,
        episodes.started_at
    from undertaken
    inner join episodes on undertaken.subscription_id = episodes.subscription_id
    where undertaken.root_ticket_id is null
    union all
    select
        dials.reach_id as deed_id,
        true as is_contact,
        dials.ticket_id as root_ticket_id,
        episodes.subscription_id,
        dials.reached_at as deed_at,
        0 as cost_rub,
        true as is_dial,
        episodes.episode_id,
        episodes.started_at
    from dials
    inner join episodes on dials.episode_id = episodes.episode_id
),

-- A ticket, or a subscription, may have several episodes: what is done belongs to the latest that had begun.
of_episodes as (
    select
        candidates.*,
        row_number() over (
            partition by deed_id, is_contact order by started_at desc, episode_id asc
        ) as latest_rank
    from candidates
    where started_at <= deed_at
),

recorded as (
    select
        episode_id,
        deed_id,
        is_contact,
        deed_at,
        cost_rub,
        is_dial
    from of_episodes
    where latest_rank = 1
    union all
    select
        episode_contacts.episode_id,
        contacts.contact_id as deed_id,
        true as is_contact,
        contacts.started_at as deed_at,
        0 as cost_rub,
        false as is_dial
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.author_kind = 'human' and coalesce(contacts.is_answered, true)
),

-- A vendor's dial that reached the subscriber is the same talk as a contact that the helpdesk has within minutes.
twice_told as (
    select distinct dials.reach_id
    from dials
    inner join recorded
        on
            dials.episode_id = recorded.episode_id
            and recorded.is_contact
            and not recorded.is_dial
    inner join episode_policy on {{ was_valid('episode_policy', 'dials.reached_at') }}
    where
        {{ seconds_between('dials.reached_at', 'recorded.deed_at') }} <= episode_policy.duplicate_seconds
        and {{ seconds_between('recorded.deed_at', 'dials.reached_at') }} <= episode_policy.duplicate_seconds
),

deeds as (
    select recorded.*
    from recorded
    left join twice_told on recorded.is_dial and recorded.deed_id = twice_told.reach_id
    where twice_told.reach_id is null
),

spent as (
    select
        outcomes.episode_id,
        sum(deeds.cost_rub) as actions_rub,
        sum(case when deeds.is_contact then 1 else 0 end) as contact_count
    from outcomes
    inner join deeds
        on
            outcomes.episode_id = deeds.episode_id
            and outcomes.level_reached_at <= deeds.deed_at
            and {{ add_days('outcomes.level_reached_at', 180) }} > deeds.deed_at
    group by outcomes.episode_id
)

select
    outcomes.episode_id,
    outcomes.subscription_id,
    outcomes.party_id,
    outcomes.started_at,
    outcomes.level_reached_at,
    {{ quarter_start('outcomes.level_reached_at', "'Europe/Moscow'") }} as period_on,
    outcomes.level,
    first_levels.level as first_level,
    outcomes.segment,
    outcomes.product,
    coalesce(tickets.first_priority, 'none') as first_priority,
    outcomes.sourcing,
    outcomes.first_vendor_id,
    outcomes.first_team_id,
    outcomes.first_agent_id,
    located.local_hour >= policy.night_from_hour or located.local_hour < policy.night_to_hour as is_night,
    outcomes.churned_at,
    outcomes.competing_at,
    outcomes.knowable_until_any,
    coalesce(spent.actions_rub, 0)
    + coalesce(spent.contact_count, 0)
    * coalesce(own_prices.cost_per_contact_rub, prices.cost_per_contact_rub) as cost_180d_rub
from outcomes
inner join episodes on outcomes.episode_id = episodes.episode_id
inner join first_levels on outcomes.episode_id = first_levels.episode_id and first_levels.level_position = 1
inner join located on outcomes.episode_id = located.episode_id
left join policy on {{ was_valid('policy', 'outcomes.started_at') }}
left join tickets on episodes.first_ticket_id = tickets.ticket_id
left join spent on outcomes.episode_id = spent.episode_id
-- A vendor's own price before that of all vendors.
left join prices as own_prices
    on outcomes.first_vendor_id = own_prices.partner and {{ was_valid('own_prices', 'outcomes.started_at') }}
left join prices on outcomes.sourcing = prices.partner and {{ was_valid('prices', 'outcomes.started_at') }}
