-- Grain: one row per escalation: an episode that rose to a sensitive level, judged as of the run.
-- Of the statuses the first that holds counts; a contact after it was lost only makes it recovered.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

escalations as (
    select * from {{ ref('int_escalations') }}
),

role_teams as (
    select * from {{ ref('int_role_teams') }}
)

select
    escalations.escalation_id,
    escalations.episode_id,
    escalations.subscription_id,
    escalations.segment,
    escalations.region_id,
    escalations.topic,
    escalations.level,
    escalations.rule_id,
    escalations.rule_version,
    escalations.triggered_at,
    escalations.known_at,
    escalations.contact_id as evidence_contact_id,
    escalations.earlier_contact_id as evidence_earlier_contact_id,
    escalations.phrase_id,
    escalations.starts_at_char as phrase_starts_at_char,
    escalations.ends_at_char as phrase_ends_at_char,
    escalations.ticket_event_id as evidence_ticket_event_id,
    escalations.subscription_event_id as evidence_subscription_event_id,
    escalations.order_id as evidence_order_id,
    escalations.routing_rule_id,
    escalations.routing_version,
    escalations.is_overflow,
    escalations.to_role,
    coalesce(escalations.to_team_id, role_teams.team_id) as to_team_id,
    escalations.due_at as owner_due_at,
    escalations.owned_at,
    escalations.owner_kind,
    escalations.owner_agent_id,
    escalations.owner_team_id,
    escalations.minutes_to_owner,
    case
        when {{ whole_second('escalations.owned_at') }} <= {{ whole_second('escalations.due_at') }} then 'owned_in_time'
        when escalations.owned_at is not null then 'owned_late'
        when {{ whole_second('escalations.due_at') }} < {{ whole_second('run.as_of') }} then 'open_late'
        else 'open_in_time'
    end as handover_status,
    case
        when escalations.owned_at is null then 'not_yet'
        when
            escalations.owner_kind = escalations.to_role
            and (escalations.to_team_id is null or escalations.to_team_id = escalations.owner_team_id)
            then 'as_ruled'
        else 'otherwise'
    end as routing_verdict,
    escalations.contact_due_at,
    escalations.first_contact_at,
    escalations.acted_at as owner_acted_at,
    escalations.closed_at,
    escalations.closed_reason,
    case when escalations.lost_at <= run.as_of then escalations.lost_at end as lost_at,
    case when escalations.lost_at <= run.as_of then escalations.lost_because end as lost_because,
    case
        -- Whoever closes what is lost already finds it lost.
        when
            escalations.closed_at <= run.as_of
            and (escalations.lost_at is null or escalations.closed_at <= escalations.lost_at)
            then 'closed_with_reason'
        when escalations.first_contact_at > escalations.lost_at then 'lost'
        when {{ whole_second('escalations.first_contact_at') }} > {{ whole_second('escalations.contact_due_at') }}
            then 'contacted_late'
        when escalations.first_contact_at is not null then 'contacted_in_time'
        when escalations.lost_at <= run.as_of then 'lost'
        when {{ whole_second('escalations.contact_due_at') }} < {{ whole_second('run.as_of') }} then 'open_late'
        else 'open_in_time'
    end as status,
    escalations.recovered_at is not null as is_recovered,
    escalations.recovered_at,
    run.as_of,
    run.batch_id as _batch_id
from escalations
cross join run
left join role_teams on escalations.to_role = role_teams.role
