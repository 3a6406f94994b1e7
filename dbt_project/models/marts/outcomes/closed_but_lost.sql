-- Grain: one row per complaint episode that was resolved and whose subscriber then left of their own will.
-- With it what was said when the case was closed.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

lost as (
    select * from {{ ref('int_episode_closings') }}
    where is_lost
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

replies as (
    select * from {{ ref('int_reply_substance') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
),

-- Replies in the episode, on its contacts or on their tickets.
said as (
    select
        lost.episode_id,
        episode_contacts.contact_id
    from lost
    inner join episode_contacts on lost.episode_id = episode_contacts.episode_id
    union
    select
        lost.episode_id,
        contacts.contact_id
    from lost
    inner join episodes on lost.episode_id = episodes.episode_id
    inner join contacts
        on
            episodes.first_ticket_id = contacts.root_ticket_id
            and episodes.subject_id = contacts.subject_id
            and episodes.started_at <= contacts.started_at
),

last_replies as (
    select
        lost.episode_id,
        contacts.contact_id,
        contacts.started_at,
        replies.is_boilerplate,
        replies.gives_reason,
        replies.states_result,
        row_number() over (
            partition by lost.episode_id order by contacts.started_at desc, contacts.contact_id desc
        ) as reply_order
    from lost
    inner join said on lost.episode_id = said.episode_id
    inner join contacts on said.contact_id = contacts.contact_id and lost.closed_at >= contacts.started_at
    inner join replies on contacts.contact_id = replies.contact_id
),

promises as (
    select
        lost.episode_id,
        count(*) as open_count
    from lost
    inner join episodes on lost.episode_id = episodes.episode_id
    inner join actions
        on
            lost.subscription_id = actions.subscription_id
            and episodes.started_at <= actions.action_at
            and lost.closed_at >= actions.action_at
            and (actions.promise_kept_at is null or lost.closed_at < actions.promise_kept_at)
    where actions.promise_due_at is not null
    group by lost.episode_id
)

select
    lost.episode_id,
    lost.subscription_id,
    lost.party_id,
    lost.segment,
    outcomes.product,
    outcomes.topic,
    lost.level as level_at_closing,
    outcomes.level,
    lost.closed_at,
    lost.closure_code,
    lost.agent_id as closed_by_agent_id,
    lost.team_id as closed_by_team_id,
    lost.vendor_id as closed_by_vendor_id,
    lost.sourcing as closed_by_sourcing,
    outcomes.churned_at,
    outcomes.churn_kind,
    {{ seconds_between('lost.closed_at', 'outcomes.churned_at') }} / 86400 as days_to_leaving,
    last_replies.contact_id as last_reply_contact_id,
    last_replies.started_at as last_reply_at,
    last_replies.is_boilerplate as last_reply_is_boilerplate,
    last_replies.gives_reason as last_reply_gives_reason,
    last_replies.states_result as last_reply_states_result,
    coalesce(promises.open_count, 0) > 0 as had_open_promise,
    lost.is_index,
    lost.is_mature,
    run.as_of,
    run.batch_id as _batch_id
from lost
cross join run
inner join outcomes on lost.episode_id = outcomes.episode_id
left join last_replies on lost.episode_id = last_replies.episode_id and last_replies.reply_order = 1
left join promises on lost.episode_id = promises.episode_id
