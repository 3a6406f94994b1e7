-- Total churn = voluntary after a complaint + voluntary without one + involuntary + technical, to the unit.
-- The total is counted from the endings, the first part from the complaints: two ways that meet here only.
with

total as (
    select count(*) as churns
    from {{ ref('int_churn_events') }}
    where is_churn
),

after_complaint as (
    select coalesce(sum(attributed_churn_count), 0) as churns
    from {{ ref('complaint_to_churn') }}
    -- Churn is laid to a complaint at most 90 days back, so this horizon holds all of it.
    where horizon_days = 90
),

other as (
    select count(*) as churns
    from {{ ref('fct_churn_events') }}
    where churn_group in ('voluntary_without_complaint', 'involuntary', 'technical')
)

select
    total.churns as total_churns,
    after_complaint.churns as after_complaint_churns,
    other.churns as other_churns
from total
cross join after_complaint
cross join other
where total.churns <> after_complaint.churns + other.churns
