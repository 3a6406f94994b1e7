-- Grain: one row per day of the trigger (Moscow): what became of its escalations, to the unit.
with

escalations as (
    select * from {{ ref('escalations') }}
)

select
    {{ local_day('triggered_at', "'Europe/Moscow'") }} as triggered_on,
    count(*) as escalations,
    sum(case when status = 'closed_with_reason' then 1 else 0 end) as closed_with_reason,
    sum(case when status = 'contacted_in_time' then 1 else 0 end) as contacted_in_time,
    sum(case when status = 'contacted_late' then 1 else 0 end) as contacted_late,
    sum(case when status = 'lost' then 1 else 0 end) as lost,
    sum(case when status = 'open_late' then 1 else 0 end) as open_late,
    sum(case when status = 'open_in_time' then 1 else 0 end) as open_in_time,
    sum(case when status = 'lost' and is_recovered then 1 else 0 end) as lost_and_recovered,
    sum(case when status = 'lost' and lost_because = 'common_queue' then 1 else 0 end) as lost_to_common_queue,
    max(as_of) as as_of,
    max(_batch_id) as _batch_id
from escalations
group by {{ local_day('triggered_at', "'Europe/Moscow'") }}
