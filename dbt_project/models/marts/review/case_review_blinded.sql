-- Grain: one row per week and case drawn for review, as far as a reviewer may see it before judging.
-- Both cases of a pair are seen for as long as the one that left was still there; nothing later is in any column.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

cases as (
    select * from {{ ref('case_review') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

repeats as (
    select * from {{ ref('int_contact_repeats') }}
    where is_repeat_30d
),

replies as (
    select * from {{ ref('int_reply_substance') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where agent_id is not null
),

clocks as (
    select * from {{ ref('int_clocks') }}
    where clock in ('first_reply', 'sensitive_first_contact', 'resolution') and due_at is not null
),

seen as (
    select
        cases.*,
        episodes.subject_id,
        episodes.subscription_id,
        episodes.topic,
        episodes.first_channel,
        episodes.first_ticket_id,
        episodes.started_at,
        coalesce(episodes.first_resolved_at < cases.seen_until, false) as was_resolved
    from cases
    -- Late data may have given the episode another id since: the case stays, empty.
    left join episodes on cases.episode_id = episodes.episode_id
),

own_contacts as (
    select
        seen.episode_id,
        count(*) as contact_count,
        count(repeats.contact_id) as repeat_count
    from seen
    inner join episode_contacts on seen.episode_id = episode_contacts.episode_id
    inner join contacts
        on
            episode_contacts.contact_id = contacts.contact_id
            and contacts.is_customer_initiated
            and seen.seen_until > contacts.started_at
    left join repeats on contacts.contact_id = repeats.contact_id
    group by seen.episode_id
),

said as (
    select
        seen.episode_id,
        episode_contacts.contact_id
    from seen
    inner join episode_contacts on seen.episode_id = episode_contacts.episode_id
    union
    select
        seen.episode_id,
        contacts.contact_id
    from seen
    inner join contacts
        on seen.first_ticket_id = contacts.root_ticket_id and seen.subject_id = contacts.subject_id
),

answered as (
    select
        seen.episode_id,
        count(*) as reply_count,
        sum(case when replies.is_boilerplate then 1 else 0 end) as boilerplate_count,
        sum(case when replies.gives_reason then 1 else 0 end) as reason_count,
        sum(case when replies.states_result then 1 else 0 end) as result_count
    from seen
    inner join said on seen.episode_id = said.episode_id
    inner join contacts
        on
            said.contact_id = contacts.contact_id
            and seen.started_at <= contacts.started_at
            and seen.seen_until > contacts.started_at
    inner join replies on contacts.contact_id = replies.contact_id
    group by seen.episode_id
),

acted as (
    select
        seen.episode_id,
        count(*) as action_count,
        count(actions.offer_code) as offer_count,
        count(actions.promise_due_at) as promise_count,
        -- A promise due later could not be broken yet.
        sum(
            case
                when
                    actions.promise_due_at < seen.seen_until
                    and (actions.promise_kept_at is null or actions.promise_due_at < actions.promise_kept_at) then 1
                else 0
            end
        ) as broken_promise_count
    from seen
    inner join actions
        on
            seen.subscription_id = actions.subscription_id
            and seen.started_at <= actions.action_at
            and seen.seen_until > actions.action_at
    group by seen.episode_id
),

owned as (
    select
        seen.episode_id,
        count(*) as owner_count
    from seen
    inner join owners on seen.episode_id = owners.episode_id and seen.seen_until > owners.valid_from
    group by seen.episode_id
),

timed as (
    select
        seen.episode_id,
        clocks.clock,
        case
            when clocks.stopped_at <= clocks.due_at and clocks.stopped_at < seen.seen_until then 'met'
            when clocks.due_at < seen.seen_until then 'breached'
            else 'open'
        end as verdict,
        row_number() over (
            partition by seen.episode_id, clocks.clock order by clocks.started_at, clocks.clock_id
        ) as clock_order
    from seen
    inner join clocks on seen.episode_id = clocks.episode_id and seen.seen_until > clocks.started_at
),

verdicts as (
    select
        episode_id,
        max(case when clock = 'first_reply' then verdict end) as first_reply_verdict,
        max(case when clock = 'sensitive_first_contact' then verdict end) as first_contact_verdict,
        max(case when clock = 'resolution' then verdict end) as resolution_verdict
    from timed
    where clock_order = 1
    group by episode_id
)

select
    seen.week_on,
    seen.case_number,
    seen.episode_id,
    seen.level,
    seen.segment,
    seen.month_on,
    seen.topic,
    seen.first_channel,
    verdicts.first_reply_verdict,
    verdicts.first_contact_verdict,
    verdicts.resolution_verdict,
    seen.was_resolved,
    coalesce(own_contacts.contact_count, 0) as contact_count,
    coalesce(own_contacts.repeat_count, 0) as repeat_count,
    coalesce(owned.owner_count, 0) as owner_count,
    coalesce(answered.reply_count, 0) as reply_count,
    answered.boilerplate_count as boilerplate_reply_count,
    answered.reason_count as reply_with_reason_count,
    answered.result_count as reply_with_result_count,
    coalesce(acted.action_count, 0) as action_count,
    coalesce(acted.offer_count, 0) as offer_count,
    coalesce(acted.promise_count, 0) as promise_count,
    coalesce(acted.broken_promise_count, 0) as broken_promise_count,
    run.batch_id as _batch_id
from seen
cross join run
left join own_contacts on seen.episode_id = own_contacts.episode_id
left join answered on seen.episode_id = answered.episode_id
left join acted on seen.episode_id = acted.episode_id
left join owned on seen.episode_id = owned.episode_id
left join verdicts on seen.episode_id = verdicts.episode_id
