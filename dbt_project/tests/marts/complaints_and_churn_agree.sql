-- What is laid to a complaint in one mart is laid to it in the other, within every horizon that has room for it.
with

by_complaint as (
    select
        episode_id,
        attributed_churn_count
    from {{ ref('complaint_to_churn') }}
    where horizon_days = 90 and is_attributed
),

by_churn as (
    select
        attributed_episode_id as episode_id,
        count(*) as churns
    from {{ ref('fct_churn_events') }}
    where churn_group = 'voluntary_after_complaint'
    group by attributed_episode_id
)

select
    coalesce(by_complaint.episode_id, by_churn.episode_id) as episode_id,
    by_complaint.attributed_churn_count,
    by_churn.churns
from by_complaint
full outer join by_churn on by_complaint.episode_id = by_churn.episode_id
where coalesce(by_complaint.attributed_churn_count, 0) <> coalesce(by_churn.churns, 0)
