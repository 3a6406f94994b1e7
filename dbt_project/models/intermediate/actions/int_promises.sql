-- Grain: one row per promise made to a subscriber: when it was due, kept or moved, and in which complaint episode.
-- A promise is kept when that is recorded by the instant it was first due; moving that instant is breaking it.
{{ config(materialized='table', indexes=[{'columns': ['promise_id'], 'unique': true}]) }}

{%- set never = "timestamptz '9999-12-31 00:00:00+00'" %}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

promises as (
    select
        actions.*,
        coalesce(first_dues.first_due_at, actions.promise_due_at) as due_at
    from {{ ref('int_retention_actions') }} as actions
    left join {{ ref('stg_helpdesk__promises_first_due') }} as first_dues on actions.action_id = first_dues.action_id
    where actions.step = 'promise'
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

outcomes as (
    select
        outcomes.*,
        case
            when is_left_before then started_at
            when competing_at < coalesce(churned_at, {{ never }}) then competing_at
            else churned_at
        end as ended_at
    from {{ ref('int_episode_outcomes') }} as outcomes
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

known as (
    select
        least(
            run.as_of,
            coalesce(max(loads.snapshot_at), max(loads.watermark_to), timestamptz '1970-01-01 00:00:00+00')
        ) as known_until
    from run
    left join loads on loads.table_name = 'helpdesk.retention_actions'
    group by run.as_of
),

case_tickets as (
    select distinct
        episode_contacts.episode_id,
        contacts.root_ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

candidates as (
    select
        promises.action_id,
        promises.action_at,
        case_tickets.episode_id
    from promises
    inner join case_tickets on promises.root_ticket_id = case_tickets.root_ticket_id
    union all
    select
        promises.action_id,
        promises.action_at,
        episodes.episode_id
    from promises
    inner join episodes on promises.subscription_id = episodes.subscription_id
    where promises.root_ticket_id is null
),

-- A ticket reopened after the gap is in two episodes: the promise is the latest one's that had begun.
in_episodes as (
    select
        candidates.action_id,
        candidates.episode_id,
        row_number() over (
            partition by candidates.action_id order by episodes.started_at desc, candidates.episode_id asc
        ) as episode_number
    from candidates
    inner join episodes
        on
            candidates.episode_id = episodes.episode_id
            and candidates.action_at >= episodes.started_at
            and candidates.action_at < coalesce(episodes.closes_at, {{ never }})
),

-- Promised again, for later, before it was due.
promised_again as (
    select
        promises.action_id,
        min(later.action_at) as moved_at
    from promises
    inner join promises as later
        on
            coalesce(promises.root_ticket_id, promises.subscription_id)
            = coalesce(later.root_ticket_id, later.subscription_id)
            and promises.action_at < later.action_at
            and promises.due_at >= later.action_at
            and promises.due_at < later.due_at
    group by promises.action_id
),

judged as (
    select
        promises.*,
        in_episodes.episode_id,
        known.known_until,
        promised_again.moved_at,
        outcomes.ended_at,
        outcomes.knowable_until_any,
        outcomes.churned_at,
        outcomes.competing_at,
        case
            when promises.promise_kept_at <= promises.due_at then 'kept'
            when promises.due_at is null and promises.promise_kept_at is not null then 'kept'
            when promised_again.moved_at is not null or promises.promise_due_at > promises.due_at then 'moved'
            when promises.due_at is null or run.as_of <= promises.due_at then 'open'
            when known.known_until <= promises.due_at then 'not_yet_known'
            else 'broken'
        end as status
    from promises
    cross join run
    cross join known
    left join promised_again on promises.action_id = promised_again.action_id
    left join in_episodes on promises.action_id = in_episodes.action_id and in_episodes.episode_number = 1
    left join outcomes on in_episodes.episode_id = outcomes.episode_id
),

-- Counted once it is due, and only when the subscriber was still there then, kept or not.
counted as (
    select
        judged.*,
        coalesce(action_at >= ended_at, false) as is_after_churn,
        coalesce(due_at < known_until, false) and (ended_at is null or due_at < ended_at) as is_counted,
        {{ add_days('due_at', 90) }} as judged_at
    from judged
)

select
    action_id as promise_id,
    episode_id,
    subscription_id,
    root_ticket_id,
    agent_id,
    team_id,
    vendor_id,
    is_outsourced,
    action_at as made_at,
    due_at,
    promise_due_at as latest_due_at,
    promise_kept_at as kept_at,
    moved_at,
    status,
    is_after_churn,
    is_counted,
    is_counted and coalesce(judged_at <= knowable_until_any, false) as is_mature,
    case
        when is_counted and judged_at <= knowable_until_any
            then coalesce(churned_at < judged_at and (competing_at is null or churned_at <= competing_at), false)
    end as is_left_90d
from counted
