-- Grain: one row per complaint episode of a subscription: when each action first reached it, and when it was decided.
-- A table: what it reads is built anew every night, and a view on it would fall with a night that fails in between.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where is_linked
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

reached as (
    select * from {{ ref('int_first_contacts') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
    where step in ('apology', 'promise', 'offer', 'follow_up')
),

terminations as (
    select * from {{ ref('int_terminations_resolved') }}
    where intent_at is not null
),

clocks as (
    select * from {{ ref('int_clocks') }}
    where clock = 'sensitive_first_contact' and exclusion_reason is null and not coalesce(resolved_on_trigger, false)
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

episode_tickets as (
    select distinct
        episode_contacts.episode_id,
        contacts.root_ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

taken as (
    select
        episode_tickets.episode_id,
        actions.step,
        actions.action_at
    from actions
    inner join episode_tickets on actions.root_ticket_id = episode_tickets.root_ticket_id
    union all
    select
        episodes.episode_id,
        actions.step,
        actions.action_at
    from actions
    inner join episodes on actions.subscription_id = episodes.subscription_id
    where actions.root_ticket_id is null
),

first_taken as (
    select
        taken.episode_id,
        min(case when taken.step = 'apology' then taken.action_at end) as apology_at,
        min(case when taken.step = 'promise' then taken.action_at end) as promise_at,
        min(case when taken.step = 'offer' then taken.action_at end) as offer_at,
        min(case when taken.step = 'follow_up' then taken.action_at end) as follow_up_at
    from taken
    inner join episodes on taken.episode_id = episodes.episode_id
    where episodes.started_at <= taken.action_at
    group by taken.episode_id
),

-- A level asks for a contact anew, so only those after it was reached count.
first_reached as (
    select
        reached.episode_id,
        min(reached.reached_at) as first_contact_at,
        min(case when reached.is_by_owner then reached.reached_at end) as owner_contact_at
    from reached
    inner join outcomes on reached.episode_id = outcomes.episode_id
    where outcomes.level_reached_at < reached.reached_at
    group by reached.episode_id
),

promised as (
    select
        episode_id,
        min(due_at) as contact_due_at,
        max(case when stopped_at <= due_at then 1 else 0 end) as in_time
    from clocks
    where due_at is not null
    group by episode_id
),

-- Leaving is dated to the order that led to it: whoever waits for a port to be carried out is not called any more.
decided as (
    select
        outcomes.episode_id,
        min(terminations.intent_at) as intent_at
    from outcomes
    inner join terminations
        on
            outcomes.subscription_id = terminations.subscription_id
            and outcomes.churn_kind = terminations.kind
            and outcomes.churned_at = terminations.churned_at
    where outcomes.level_reached_at < terminations.intent_at
    group by outcomes.episode_id
),

-- An order that was pending when the level was reached, and came to nothing.
settled as (
    select
        outcomes.episode_id,
        min(terminations.stopped_at) as settled_at
    from outcomes
    inner join terminations
        on
            outcomes.subscription_id = terminations.subscription_id
            and outcomes.level_reached_at >= terminations.intent_at
            and outcomes.level_reached_at < terminations.stopped_at
    where terminations.churned_at is null
    group by outcomes.episode_id
),

last_months as (
    select
        usage_months.subscription_id,
        max(usage_months.revenue_rub) as revenue_rub
    from {{ ref('stg_crm__usage_months') }} as usage_months
    cross join run
    where
        usage_months.month_on = {{ month_start(
            add_days(day_start(month_start('run.as_of', "'Europe/Moscow'"), "'Europe/Moscow'"), -1), "'Europe/Moscow'"
        ) }}
        -- Of those who complained only: usage is the largest table there is.
        and usage_months.subscription_id in (select outcomes.subscription_id from outcomes)
    group by usage_months.subscription_id
)

select
    outcomes.episode_id,
    outcomes.subscription_id,
    outcomes.party_id,
    outcomes.level,
    outcomes.segment,
    outcomes.product,
    -- What the desk thought of the case when it came: today's priority was raised by what happened since.
    coalesce(tickets.first_priority, 'unknown') as first_priority,
    outcomes.is_index,
    outcomes.is_left_before,
    outcomes.is_silent_at_complaint,
    outcomes.level_reached_at,
    coalesce(decided.intent_at, outcomes.churned_at) as decided_at,
    outcomes.competing_at,
    settled.settled_at,
    -- An order is carried out within weeks: before that nobody knows which of them will be.
    case
        when outcomes.knowable_until_any < {{ add_days('outcomes.knowable_until_order', -30) }}
            then outcomes.knowable_until_any
        else {{ add_days('outcomes.knowable_until_order', -30) }}
    end as followed_until,
    first_reached.first_contact_at,
    first_reached.owner_contact_at,
    first_taken.apology_at,
    first_taken.promise_at,
    first_taken.offer_at,
    first_taken.follow_up_at,
    promised.contact_due_at,
    promised.in_time = 1 as is_contacted_in_time,
    last_months.revenue_rub as last_month_revenue_rub
from outcomes
inner join episodes on outcomes.episode_id = episodes.episode_id
left join tickets on episodes.first_ticket_id = tickets.ticket_id
left join first_reached on outcomes.episode_id = first_reached.episode_id
left join first_taken on outcomes.episode_id = first_taken.episode_id
left join promised on outcomes.episode_id = promised.episode_id
left join decided on outcomes.episode_id = decided.episode_id
left join settled on outcomes.episode_id = settled.episode_id
left join last_months on outcomes.subscription_id = last_months.subscription_id
