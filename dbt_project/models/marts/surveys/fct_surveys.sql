-- Grain: one row per survey invitation: the answer that counts, or why there is none, and whether the subscriber left.
-- No comments of subscribers.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

answers as (
    select * from {{ ref('int_survey_answers') }}
),

judged as (
    select
        answers.*,
        {{ add_days('window_ends_at', 90) }} as followed_until,
        coalesce(churned_at < {{ add_days('window_ends_at', 90) }}, false)
        and coalesce(churned_at <= competing_at, true) as has_left,
        coalesce(competing_at < {{ add_days('window_ends_at', 90) }}, false) as has_ended
    from answers
)

select
    judged.invitation_id,
    judged.survey_kind,
    judged.subscription_id,
    judged.party_id,
    judged.segment,
    judged.product,
    judged.region_id,
    judged.contact_id,
    judged.ticket_id,
    judged.episode_id,
    judged.level,
    judged.team_id,
    judged.vendor_id,
    judged.sourcing,
    judged.sent_at,
    judged.delivered_at,
    judged.window_ends_at,
    judged.is_on_behalf,
    judged.is_counted,
    cast(judged.response_count as bigint) as response_count,
    judged.answer_status,
    judged.rejected_because,
    judged.response_id,
    judged.scale_version,
    judged.score,
    judged.normalised_score,
    judged.responded_at,
    judged.is_satisfied,
    judged.nps_group,
    -- Judged as complaints are: too young is neither kept nor lost, whatever was seen so far.
    case
        when judged.window_ends_at is null or judged.subscription_id is null then null
        when judged.is_gone_when_window_ends then 'left_before'
        when coalesce(judged.followed_until > judged.knowable_until_any, true) then 'not_yet_known'
        when judged.has_left then 'left'
        when judged.has_ended then 'left_involuntary'
        else 'stayed'
    end as status_90d,
    run.as_of,
    run.batch_id as _batch_id
from judged
cross join run
