-- Grain: one row per day of the trigger (Moscow), level, segment and routing rule: routed as ruled, and how soon?
with

escalations as (
    select * from {{ ref('escalations') }}
)

select
    {{ local_day('triggered_at', "'Europe/Moscow'") }} as triggered_on,
    level,
    segment,
    routing_rule_id,
    routing_version,
    max(to_role) as to_role,
    count(*) as escalations,
    sum(case when routing_verdict = 'as_ruled' then 1 else 0 end) as as_ruled,
    sum(case when routing_verdict = 'otherwise' then 1 else 0 end) as otherwise,
    sum(case when routing_verdict = 'not_yet' then 1 else 0 end) as not_yet,
    cast(sum(case when routing_verdict = 'as_ruled' then 1 else 0 end) as double precision)
    / nullif(sum(case when routing_verdict <> 'not_yet' then 1 else 0 end), 0) as as_ruled_share,
    sum(case when handover_status = 'owned_in_time' then 1 else 0 end) as owned_in_time,
    cast(
        percentile_cont(0.5) within group (order by minutes_to_owner) as double precision
    ) as minutes_to_owner_p50,
    cast(
        percentile_cont(0.9) within group (order by minutes_to_owner) as double precision
    ) as minutes_to_owner_p90,
    max(_batch_id) as _batch_id
from escalations
group by
    {{ local_day('triggered_at', "'Europe/Moscow'") }},
    level,
    segment,
    routing_rule_id,
    routing_version
