-- Grain: one row per survey invitation: about what it asked, the answer that counts, and when none does, why.
-- Built whole every night, because time closes its windows; what it costs grows with invitations.
{{ config(materialized='table', indexes=[{'columns': ['invitation_id'], 'unique': true}]) }}

with

-- An aggregate has one row, and the planner knows it; of a small table it thinks a thousand, and so of a policy.
run as (
    select max(as_of) as as_of from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

policy as (
    select * from {{ ref('survey_policy') }}
),

scales as (
    select * from {{ ref('survey_scales') }}
),

churn_rules as (
    select * from {{ ref('churn_rules') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

-- An order that takes effect tomorrow is known, too; until then nobody has left by it.
churn as (
    select * from {{ ref('int_churn_events') }}
    where is_churn or outcome = 'pending'
),

waits as (
    select
        staged.invitation_id,
        max(policy.answer_hours) as answer_hours
    from {{ ref('stg_vendor__survey_invitations') }} as staged
    inner join policy on {{ was_valid('policy', 'staged.sent_at') }}
    group by staged.invitation_id
),

invitations as (
    select
        staged.*,
        {{ add_hours('staged.delivered_at', 'waits.answer_hours') }} as window_ends_at
    from {{ ref('stg_vendor__survey_invitations') }} as staged
    cross join run
    inner join waits on staged.invitation_id = waits.invitation_id
    where {{ is_visible('staged.sent_at', 'staged.recorded_at') }}
),

responses as (
    select staged.*
    from {{ ref('stg_vendor__survey_responses') }} as staged
    cross join run
    where {{ is_visible('staged.responded_at', 'staged.recorded_at') }}
),

-- What the sources did not tell yet cannot be known; without any load of one nothing can.
told as (
    select
        table_name,
        max(greatest(coalesce(snapshot_at, watermark_to), coalesce(watermark_to, snapshot_at))) as answers_until,
        max(watermark_to) as events_until
    from loads
    where table_name in ('vendor.survey_responses', 'crm.subscription_events', 'crm.usage_months')
    group by table_name
),

watermarks as (
    select
        run.as_of,
        least(run.as_of, coalesce(answers.answers_until, timestamptz '1970-01-01 00:00:00+00')) as answers_until,
        least(run.as_of, coalesce(orders.events_until, timestamptz '1970-01-01 00:00:00+00')) as orders_until,
        least(run.as_of, coalesce(usage_told.events_until, timestamptz '1970-01-01 00:00:00+00')) as usage_until
    from run
    left join told as answers on answers.table_name = 'vendor.survey_responses'
    left join told as orders on orders.table_name = 'crm.subscription_events'
    left join told as usage_told on usage_told.table_name = 'crm.usage_months'
),

lags as (
    select
        max(case when kind in ('disconnect', 'port_out') then detection_lag_days end) as order_days,
        max(case when kind = 'inactivity' then detection_lag_days end) as inactivity_days
    from churn_rules
),

named as (
    select
        invitations.invitation_id,
        invitations.sent_at,
        invitations.contact_id as named_contact_id,
        coalesce(invitations.ticket_id, contacts.ticket_id) as ticket_id
    from invitations
    left join contacts on invitations.contact_id = contacts.contact_id
    where coalesce(invitations.contact_id, invitations.ticket_id) is not null
),

candidates as (
    select
        invitation_id,
        named_contact_id as contact_id,
        true as is_named
    from named
    where named_contact_id is not null
    union
    select
        named.invitation_id,
        contacts.contact_id,
        contacts.contact_id = coalesce(named.named_contact_id, '') as is_named
    from named
    inner join contacts on named.ticket_id = contacts.ticket_id and named.sent_at >= contacts.started_at
),

-- What the survey is about: the contact it names, else the ticket's last one before it. A call-back of ours is in no
-- episode; then the ticket's complaint says which.
ranked_candidates as (
    select
        candidates.invitation_id,
        candidates.contact_id,
        candidates.is_named,
        episode_contacts.episode_id,
        row_number() over (
            partition by candidates.invitation_id
            order by
                case when candidates.is_named then 0 else 1 end asc,
                case when contacts.is_customer_initiated then 0 else 1 end asc,
                contacts.started_at desc,
                candidates.contact_id asc
        ) as contact_rank,
        row_number() over (
            partition by candidates.invitation_id
            order by
                case when episode_contacts.episode_id is null then 1 else 0 end asc,
                case when candidates.is_named then 0 else 1 end asc,
                contacts.started_at desc,
                candidates.contact_id asc
        ) as episode_rank
    from candidates
    inner join contacts on candidates.contact_id = contacts.contact_id
    left join episode_contacts on candidates.contact_id = episode_contacts.contact_id
),

asked as (
    select
        invitations.invitation_id,
        invitations.survey_kind,
        invitations.sent_at,
        invitations.delivered_at,
        invitations.window_ends_at,
        coalesce(named_subscriptions.subscription_id, contacts.subscription_id) as subscription_id,
        coalesce(named_subscriptions.party_id, contacts.party_id) as party_id,
        coalesce(named_subscriptions.segment, contacts.segment, 'unknown') as segment,
        coalesce(named_subscriptions.product, contacts.product) as product,
        coalesce(named_subscriptions.region_id, contacts.region_id) as region_id,
        contacts.contact_id,
        named.ticket_id,
        of_episode.episode_id,
        coalesce(
            case when of_contact.is_named then contacts.team_id end, tickets.first_team_id, contacts.team_id
        ) as team_id,
        coalesce(contacts.is_on_behalf, false) as is_on_behalf,
        coalesce(named_subscriptions.is_staff or named_subscriptions.is_test, false)
        or coalesce(contacts.exclusion_reason in ('test', 'staff', 'spam'), false) as is_no_customer
    from invitations
    left join named on invitations.invitation_id = named.invitation_id
    left join ranked_candidates as of_contact
        on invitations.invitation_id = of_contact.invitation_id and of_contact.contact_rank = 1
    left join ranked_candidates as of_episode
        on invitations.invitation_id = of_episode.invitation_id and of_episode.episode_rank = 1
    left join contacts on of_contact.contact_id = contacts.contact_id
    left join tickets on named.ticket_id = tickets.ticket_id
    left join subscriptions as named_subscriptions
        on invitations.subscription_id = named_subscriptions.subscription_id
),

-- Every end of the subscription, seen from the invitation. Silence that nobody could see yet counts from the window's
-- end.
seen as (
    select
        asked.invitation_id,
        asked.sent_at,
        asked.window_ends_at,
        churn.subscription_id,
        churn.cause_group,
        churn.churned_at,
        churn.known_at,
        churn.resumed_at,
        case
            when
                churn.kind = 'inactivity'
                and churn.churned_at <= asked.window_ends_at
                and asked.window_ends_at < churn.known_at
                then {{ add_seconds('asked.window_ends_at', 1) }}
            else churn.churned_at
        end as counted_at
    from asked
    inner join churn on asked.subscription_id = churn.subscription_id
),

leavers as (
    select distinct subscription_id from seen
),

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

known_then as (
    select distinct seen.invitation_id
    from seen
    where
        seen.known_at <= seen.sent_at
        and coalesce(seen.sent_at < seen.resumed_at, true)
        and {{ never_came_back('seen', 'churned_at', 'sent_at') }}
),

happened as (
    select seen.*
    from seen
    cross join run
    where seen.counted_at < run.as_of
),

gone as (
    select distinct seen.invitation_id
    from happened as seen
    where
        seen.counted_at < seen.window_ends_at
        and coalesce(seen.window_ends_at < seen.resumed_at, true)
        and {{ never_came_back('seen', 'churned_at', 'window_ends_at') }}
),

ends as (
    select
        invitation_id,
        min(case when cause_group = 'voluntary' then counted_at end) as churned_at,
        min(case when cause_group <> 'voluntary' then counted_at end) as competing_at
    from happened
    where window_ends_at <= counted_at
    group by invitation_id
),

answers as (
    select
        responses.response_id,
        responses.invitation_id,
        responses.scale_version,
        responses.score,
        responses.responded_at,
        scales.top_from,
        scales.promoter_from,
        scales.detractor_to,
        case
            when scales.is_reversed then scales.min_score + scales.max_score - responses.score
            else responses.score
        end as normalised_score,
        case
            when responses.survey_kind <> asked.survey_kind then 'other_kind'
            when responses.score is null then 'no_score'
            when scales.scale_version is null then 'scale_unknown'
            when responses.score < scales.min_score or scales.max_score < responses.score then 'off_scale'
            when responses.responded_at < asked.sent_at then 'before_invitation'
            when asked.window_ends_at is null then 'not_delivered'
            when asked.window_ends_at <= responses.responded_at then 'late'
        end as rejected_because
    from responses
    inner join asked on responses.invitation_id = asked.invitation_id
    left join scales
        on
            responses.survey_kind = scales.survey_kind
            and responses.scale_version = scales.scale_version
            and {{ was_valid('scales', 'responses.responded_at') }}
),

-- The first valid answer comes first; failing that, the first that was rejected says why.
ranked_answers as (
    select
        answers.*,
        count(*) over (partition by invitation_id) as response_count,
        row_number() over (
            partition by invitation_id
            order by case when rejected_because is null then 0 else 1 end, responded_at, response_id
        ) as answer_rank
    from answers
),

judged as (
    select
        asked.*,
        case
            when asked.survey_kind = 'relational_nps' then null
            when asked.contact_id is null then 'unknown'
            when asked.episode_id is null then 'L0'
            else coalesce(levels.level, 'unknown')
        end as level,
        teams.vendor_id,
        case
            when teams.team_id is null then 'unknown'
            when teams.vendor_id is null then 'in_house'
            else 'outsourced'
        end as sourcing,
        ranked_answers.response_id,
        ranked_answers.response_count,
        ranked_answers.rejected_because,
        ranked_answers.scale_version,
        ranked_answers.score,
        ranked_answers.normalised_score,
        ranked_answers.responded_at,
        ranked_answers.top_from,
        ranked_answers.promoter_from,
        ranked_answers.detractor_to,
        coalesce(asked.window_ends_at <= watermarks.answers_until, false) as is_window_elapsed,
        case
            when asked.delivered_at is null then 'not_delivered'
            when asked.is_no_customer then 'no_customer'
            when asked.is_on_behalf then 'on_behalf'
            when known_then.invitation_id is not null then 'churn_known_at_invitation'
        end as excluded_because,
        gone.invitation_id is not null as is_gone_when_window_ends,
        ends.churned_at,
        ends.competing_at,
        case
            when asked.product = 'prepaid'
                then {{ add_days('least(watermarks.orders_until, watermarks.usage_until)', '-lags.inactivity_days') }}
            when asked.subscription_id is not null then {{ add_days('watermarks.orders_until', '-lags.order_days') }}
        end as knowable_until_any
    from asked
    cross join watermarks
    cross join lags
    left join levels
        on
            asked.episode_id = levels.episode_id
            and asked.sent_at >= levels.valid_from
            and (levels.valid_to is null or asked.sent_at < levels.valid_to)
    left join teams on asked.team_id = teams.team_id
    left join ranked_answers on asked.invitation_id = ranked_answers.invitation_id and ranked_answers.answer_rank = 1
    left join known_then on asked.invitation_id = known_then.invitation_id
    left join gone on asked.invitation_id = gone.invitation_id
    left join ends on asked.invitation_id = ends.invitation_id
)

select
    invitation_id,
    survey_kind,
    subscription_id,
    party_id,
    segment,
    product,
    region_id,
    contact_id,
    ticket_id,
    episode_id,
    level,
    team_id,
    vendor_id,
    sourcing,
    sent_at,
    delivered_at,
    window_ends_at,
    is_window_elapsed,
    is_on_behalf,
    excluded_because,
    excluded_because is null and is_window_elapsed as is_counted,
    coalesce(response_count, 0) as response_count,
    case
        when excluded_because is not null then excluded_because
        when response_id is not null and rejected_because is null then 'answered'
        when not is_window_elapsed then 'window_open'
        when response_id is null then 'no_answer'
        else 'rejected'
    end as answer_status,
    rejected_because,
    -- The answer that counts. Of an excluded invitation it is shown, and enters no score.
    case when rejected_because is null then response_id end as response_id,
    case when rejected_because is null then scale_version end as scale_version,
    case when rejected_because is null then score end as score,
    case when rejected_because is null then normalised_score end as normalised_score,
    case when rejected_because is null then responded_at end as responded_at,
    case when rejected_because is null then top_from <= normalised_score end as is_satisfied,
    case
        when rejected_because is not null or promoter_from is null then null
        when promoter_from <= normalised_score then 'promoter'
        when normalised_score <= detractor_to then 'detractor'
        else 'passive'
    end as nps_group,
    is_gone_when_window_ends,
    churned_at,
    competing_at,
    knowable_until_any
from judged
