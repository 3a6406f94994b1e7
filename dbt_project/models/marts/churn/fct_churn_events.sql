-- Grain: one row per ending of a subscription known by as_of, intents that came to nothing included (is_churn = false).
-- Every churn is in exactly one group, so the groups add up to total churn.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

endings as (
    select * from {{ ref('int_churn_events') }}
),

-- Complaints of somebody who had already left are volume: no churn is laid to them.
episodes as (
    select * from {{ ref('fct_complaint_episodes') }}
    where is_linked and not is_left_before
),

level_rules as (
    select * from {{ ref('level_rules') }}
),

ranks as (
    select
        level,
        max(level_rank) as level_rank
    from level_rules
    group by level
),

candidates as (
    select
        endings.churn_event_id,
        episodes.episode_id,
        row_number() over (
            partition by endings.churn_event_id
            order by episodes.started_at desc, ranks.level_rank desc, episodes.episode_id asc
        ) as latest_rank,
        row_number() over (
            partition by endings.churn_event_id
            order by episodes.started_at asc, ranks.level_rank desc, episodes.episode_id asc
        ) as earliest_rank
    from endings
    inner join episodes
        on
            endings.subscription_id = episodes.subscription_id
            and (
                (
                    endings.churned_at >= episodes.started_at
                    and endings.churned_at < {{ add_days('episodes.started_at', 90) }}
                )
                -- Revenue had stopped and nobody knew yet: the churn counts from the complaint.
                or (
                    endings.kind = 'inactivity'
                    and endings.churned_at <= episodes.started_at
                    and endings.known_at > episodes.started_at
                )
            )
    inner join ranks on episodes.outcome_level = ranks.level
    where endings.is_churn and endings.cause_group = 'voluntary'
)

select
    endings.churn_event_id,
    endings.subscription_id,
    endings.party_id,
    endings.segment,
    endings.product,
    endings.region_id,
    endings.kind,
    endings.cause_group,
    endings.outcome,
    endings.is_churn,
    case
        when not endings.is_churn then null
        when endings.kind = 'technical' then 'technical'
        when endings.cause_group = 'competing' then 'involuntary'
        when latest.episode_id is not null then 'voluntary_after_complaint'
        else 'voluntary_without_complaint'
    end as churn_group,
    latest.episode_id as attributed_episode_id,
    earliest.episode_id as attributed_first_episode_id,
    endings.order_id,
    endings.intent_at,
    endings.planned_at,
    endings.churned_at,
    endings.known_at,
    run.as_of,
    run.batch_id as _batch_id
from endings
cross join run
left join candidates as latest on endings.churn_event_id = latest.churn_event_id and latest.latest_rank = 1
left join candidates as earliest on endings.churn_event_id = earliest.churn_event_id and earliest.earliest_rank = 1
