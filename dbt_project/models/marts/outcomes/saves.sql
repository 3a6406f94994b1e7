-- Grain: one row per index episode, kind of restored subscriber it is a case of, and horizon: the ledger of saves.
-- An episode with an intent is a case of saved_3a or saved_3b; one followed by a churn inside the horizon also of
-- won_back or reactivated. Only one of them can be restored: what counts is the first churn.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

horizons as (
    select * from {{ ref('horizons') }}
),

-- Who left, or was cut off, before complaining is in volumes, not in outcomes.
outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
    where is_index and not is_left_before and (competing_at is null or competing_at >= level_reached_at)
),

levels as (
    select * from {{ ref('int_episode_levels') }}
),

churn as (
    select * from {{ ref('int_churn_events') }}
    where is_churn
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
    where subscription_id is not null
),

followed as (
    select
        outcomes.*,
        outcomes.competing_at is null or outcomes.churned_at <= outcomes.competing_at as is_churn_first,
        lead(outcomes.churned_at) over (
            partition by outcomes.subscription_id, case when outcomes.churned_at is null then 0 else 1 end
            order by outcomes.level_reached_at, outcomes.episode_id
        ) as next_churned_at
    from outcomes
),

-- One churn may follow several index episodes: the latest has it. It is another churn only after a return.
churned as (
    select
        followed.*,
        next_churned_at is null or coalesce(returned_at <= next_churned_at, false) as is_own_churn
    from followed
    where churned_at is not null and is_churn_first and churned_at <= knowable_until_any
),

saves as (
    select
        followed.episode_id,
        case when followed.level = 'L3a' then 'saved_3a' else 'saved_3b' end as kind,
        horizons.horizon_days,
        followed.level_reached_at as case_from,
        {{ add_days('followed.level_reached_at', 'horizons.horizon_days') }} as settled_at,
        followed.knowable_until_any as known_until
    from followed
    cross join horizons
    where followed.level = 'L3a' or (followed.level = 'L3b' and followed.is_own_words_3b)
),

returns as (
    select
        churned.episode_id,
        case when churned.churn_kind = 'inactivity' then 'reactivated' else 'won_back' end as kind,
        horizons.horizon_days,
        churned.level_reached_at as case_from,
        -- 180 days to come back, and revenue 30 to 60 days after.
        {{ add_days('churned.churned_at', 240) }} as settled_at,
        -- Who pays again is known from usage alone: orders may go on while its feed stands still.
        least(churned.knowable_until_order, churned.knowable_until_usage) as known_until
    from churned
    cross join horizons
    where
        churned.is_own_churn
        and churned.churned_at < {{ add_days('churned.level_reached_at', 'horizons.horizon_days') }}
),

cases as (
    select * from saves
    union all
    select * from returns
),

judged as (
    select
        cases.*,
        cases.settled_at <= cases.known_until as is_mature,
        case
            when cases.settled_at > cases.known_until then 'not_yet_known'
            when
                cases.kind in ('won_back', 'reactivated')
                and followed.returned_revenue_30d
                and followed.returned_at < {{ add_days('followed.churned_at', 180) }}
                then cases.kind
            when cases.kind in ('won_back', 'reactivated') then 'not_back'
            when followed.is_churn_first and followed.churned_at < cases.settled_at then 'left'
            when followed.competing_at < cases.settled_at then 'left_involuntary'
            else 'saved'
        end as outcome
    from cases
    inner join followed on cases.episode_id = followed.episode_id
),

instants as (
    select
        judged.*,
        case judged.outcome
            when 'saved' then judged.settled_at
            when 'left' then followed.churned_at
            when 'left_involuntary' then followed.competing_at
            when 'won_back' then followed.returned_at
            when 'reactivated' then followed.returned_at
        end as outcome_at,
        -- Until when something could be done about it.
        least(
            run.as_of,
            judged.settled_at,
            case
                when judged.kind in ('won_back', 'reactivated')
                    then coalesce(followed.returned_at, {{ add_days('followed.churned_at', 180) }})
                else least(
                    coalesce(followed.churned_at, judged.settled_at), coalesce(followed.competing_at, judged.settled_at)
                )
            end
        ) as acted_until
    from judged
    inner join followed on judged.episode_id = followed.episode_id
    cross join run
),

-- Back as the same subscription or as another one of the party: leaving again as either takes it back.
returned_as as (
    select
        followed.episode_id,
        followed.subscription_id,
        followed.returned_at
    from followed
    where followed.returned_at is not null
    union all
    select
        followed.episode_id,
        subscriptions.subscription_id,
        followed.returned_at
    from followed
    inner join subscriptions
        on
            followed.party_id = subscriptions.party_id
            and followed.returned_at = subscriptions.activated_at
            and followed.subscription_id <> subscriptions.subscription_id
),

left_again as (
    select
        returned_as.episode_id,
        case churn.cause_group when 'voluntary' then 'left' else 'left_involuntary' end as reversal_kind,
        churn.churned_at as reversed_at,
        row_number() over (
            partition by returned_as.episode_id
            order by churn.churned_at asc, churn.cause_group desc, churn.churn_event_id asc
        ) as churn_order
    from returned_as
    inner join churn
        on returned_as.subscription_id = churn.subscription_id and returned_as.returned_at < churn.churned_at
),

reversals as (
    select
        instants.episode_id,
        instants.kind,
        instants.horizon_days,
        case
            when instants.outcome <> 'saved' then left_again.reversed_at
            when followed.is_churn_first then followed.churned_at
            else followed.competing_at
        end as reversed_at,
        case
            when instants.outcome <> 'saved' then left_again.reversal_kind
            when followed.is_churn_first then 'left'
            else 'left_involuntary'
        end as reversal_kind
    from instants
    inner join followed on instants.episode_id = followed.episode_id
    left join left_again on instants.episode_id = left_again.episode_id and left_again.churn_order = 1
    where
        (instants.outcome = 'saved' and (followed.churned_at is not null or followed.competing_at is not null))
        or (instants.outcome in ('won_back', 'reactivated') and left_again.reversed_at is not null)
),

taken as (
    select
        instants.episode_id,
        instants.kind,
        instants.horizon_days,
        actions.action_id,
        actions.action_at,
        actions.offer_code,
        actions.cost_rub,
        row_number() over (
            partition by instants.episode_id, instants.kind, instants.horizon_days
            order by actions.action_at, actions.action_id
        ) as action_order
    from instants
    inner join followed on instants.episode_id = followed.episode_id
    inner join actions
        on
            followed.subscription_id = actions.subscription_id
            and instants.case_from <= actions.action_at
            and instants.acted_until > actions.action_at
),

taken_totals as (
    select
        episode_id,
        kind,
        horizon_days,
        count(*) as action_count,
        count(offer_code) as offer_count,
        sum(cost_rub) as cost_rub,
        min(action_at) as first_action_at,
        max(case when action_order = 1 then action_id end) as first_action_id
    from taken
    group by episode_id, kind, horizon_days
),

evidence as (
    select
        levels.*,
        row_number() over (partition by levels.episode_id order by levels.level_rank desc) as level_order
    from levels
    inner join outcomes
        on
            levels.episode_id = outcomes.episode_id
            and levels.level = outcomes.level
            and levels.valid_from = outcomes.level_reached_at
),

departures as (
    select
        followed.episode_id,
        churn.churn_event_id,
        churn.order_id
    from followed
    inner join churn
        on
            followed.subscription_id = churn.subscription_id
            and followed.churn_kind = churn.kind
            and (
                followed.churned_at = churn.churned_at
                -- Silent when they complained: counted from the complaint.
                or (
                    followed.is_silent_at_complaint
                    and followed.level_reached_at >= churn.churned_at
                    and followed.level_reached_at < churn.known_at
                )
            )
)

select
    instants.episode_id,
    instants.kind,
    instants.horizon_days,
    followed.subscription_id,
    followed.party_id,
    followed.segment,
    followed.product,
    followed.topic,
    followed.level,
    followed.level_reached_at,
    followed.first_agent_id,
    followed.first_team_id,
    followed.first_vendor_id,
    followed.sourcing,
    evidence.rule_id,
    evidence.rule_version,
    coalesce(evidence.order_id, departures.order_id) as evidence_order_id,
    evidence.contact_id as evidence_contact_id,
    evidence.phrase_id,
    evidence.starts_at_char as phrase_starts_at_char,
    evidence.ends_at_char as phrase_ends_at_char,
    departures.churn_event_id,
    followed.churned_at,
    followed.churn_kind,
    coalesce(taken_totals.action_count, 0) as action_count,
    coalesce(taken_totals.offer_count, 0) as offer_count,
    taken_totals.first_action_id,
    taken_totals.first_action_at,
    cast(coalesce(taken_totals.cost_rub, 0) as numeric(14, 2)) as cost_rub,
    instants.outcome,
    instants.outcome_at,
    instants.outcome in ('saved', 'won_back', 'reactivated') as is_restored,
    instants.is_mature,
    instants.settled_at,
    reversals.reversed_at,
    reversals.reversal_kind,
    run.as_of,
    run.batch_id as _batch_id
from instants
cross join run
inner join followed on instants.episode_id = followed.episode_id
left join evidence on instants.episode_id = evidence.episode_id and evidence.level_order = 1
left join departures on instants.episode_id = departures.episode_id
left join reversals
    on
        instants.episode_id = reversals.episode_id
        and instants.kind = reversals.kind
        and instants.horizon_days = reversals.horizon_days
left join taken_totals
    on
        instants.episode_id = taken_totals.episode_id
        and instants.kind = taken_totals.kind
        and instants.horizon_days = taken_totals.horizon_days
