-- Grain: one row per complaint episode, scenario that it came to, and step which that scenario asks for: done or not.
-- Built whole every night, because time moves the verdicts; what it costs grows with episodes and actions.
{{ config(materialized='table', indexes=[
    {'columns': ['audit_step_id'], 'unique': true}, {'columns': ['episode_id']}
]) }}

{%- set never = "timestamptz '9999-12-31 00:00:00+00'" %}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
),

reaches as (
    select * from {{ ref('int_first_contacts') }}
    where is_by_owner
),

escalations as (
    select * from {{ ref('int_escalations') }}
    where owned_at is not null
),

-- Until when actions are known: a table read in a snapshot is known up to it, with or without new rows.
known as (
    select
        least(
            run.as_of,
            coalesce(max(loads.snapshot_at), max(loads.watermark_to), timestamptz '1970-01-01 00:00:00+00')
        ) as known_until
    from run
    left join loads on loads.table_name = 'helpdesk.retention_actions'
    group by run.as_of
),

asked as (
    select
        asked.*,
        coalesce(episodes.closes_at, {{ never }}) as closes_at,
        case
            -- Who had left before complaining is owed nothing by these rules.
            when outcomes.is_left_before then asked.triggered_at
            when outcomes.competing_at < coalesce(outcomes.churned_at, {{ never }}) then outcomes.competing_at
            else outcomes.churned_at
        end as ended_at
    from {{ ref('int_audit_asked') }} as asked
    inner join episodes on asked.episode_id = episodes.episode_id
    left join outcomes on asked.episode_id = outcomes.episode_id
),

case_tickets as (
    select distinct
        episode_contacts.episode_id,
        contacts.root_ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

-- What a machine did is no step of anybody.
by_people as (
    select actions.*
    from actions
    left join agents on actions.agent_id = agents.agent_id
    where coalesce(agents.kind, 'human') <> 'bot'
),

-- By ticket and by subscription apart: what names a ticket is about that ticket's case only.
deeds as (
    select
        case_tickets.episode_id,
        by_people.step,
        by_people.action_at as deed_at,
        by_people.action_id as deed_id,
        by_people.agent_id,
        by_people.team_id,
        by_people.vendor_id,
        by_people.is_outsourced
    from case_tickets
    inner join by_people on case_tickets.root_ticket_id = by_people.root_ticket_id
    union all
    select
        episodes.episode_id,
        by_people.step,
        by_people.action_at as deed_at,
        by_people.action_id as deed_id,
        by_people.agent_id,
        by_people.team_id,
        by_people.vendor_id,
        by_people.is_outsourced
    from episodes
    inner join by_people on episodes.subscription_id = by_people.subscription_id
    where by_people.root_ticket_id is null
    union all
    -- What was said counts whether somebody wrote an action for it or not, and so does who had the case.
    select
        reaches.episode_id,
        'first_contact' as step,
        reaches.reached_at as deed_at,
        reaches.reach_id as deed_id,
        reaches.agent_id,
        reaches.team_id,
        reaches.vendor_id,
        reaches.vendor_id is not null as is_outsourced
    from reaches
    union all
    select
        escalations.episode_id,
        'handover' as step,
        escalations.owned_at as deed_at,
        escalations.escalation_id as deed_id,
        escalations.owner_agent_id as agent_id,
        escalations.owner_team_id as team_id,
        cast(null as text) as vendor_id,
        false as is_outsourced
    from escalations
),

-- The first counts, so whoever acted after the subscriber had left did nothing before.
taken as (
    select
        asked.audit_step_id,
        deeds.deed_id,
        deeds.deed_at,
        deeds.agent_id,
        deeds.team_id,
        deeds.vendor_id,
        deeds.is_outsourced,
        deeds.deed_at >= coalesce(asked.ended_at, {{ never }}) as is_after_churn,
        row_number() over (partition by asked.audit_step_id order by deeds.deed_at, deeds.deed_id) as deed_number
    from asked
    inner join deeds
        on
            asked.episode_id = deeds.episode_id
            and asked.step = deeds.step
            and asked.triggered_at <= deeds.deed_at
            and asked.closes_at > deeds.deed_at
),

judged as (
    select
        asked.*,
        known.known_until,
        run.as_of,
        taken.deed_id,
        taken.agent_id,
        taken.team_id,
        taken.vendor_id,
        taken.is_outsourced,
        taken.deed_at as acted_at,
        case when not taken.is_after_churn then taken.deed_at end as done_at,
        coalesce(taken.is_after_churn, false) as is_after_churn
    from asked
    cross join run
    cross join known
    left join taken on asked.audit_step_id = taken.audit_step_id and taken.deed_number = 1
)

select
    judged.audit_step_id,
    judged.episode_id,
    judged.scenario,
    judged.version,
    judged.step,
    judged.is_required,
    judged.level,
    judged.triggered_at,
    judged.due_at,
    judged.acted_at,
    judged.deed_id,
    judged.ended_at,
    judged.agent_id,
    case when judged.deed_id is null then owners.team_id else judged.team_id end as team_id,
    case when judged.deed_id is null then owners.vendor_id else judged.vendor_id end as vendor_id,
    case when judged.deed_id is null then owners.is_outsourced else judged.is_outsourced end as is_outsourced,
    case
        when judged.due_at is null then 'not_yet_known'
        when {{ whole_second('judged.done_at') }} <= {{ whole_second('judged.due_at') }} then 'done_in_time'
        when judged.done_at is not null then 'done_late'
        when judged.is_after_churn or judged.ended_at <= judged.due_at then 'after_churn'
        when judged.is_resolved_on_trigger then 'resolved_on_trigger'
        when {{ whole_second('judged.as_of') }} <= {{ whole_second('judged.due_at') }} then 'not_yet_due'
        when {{ whole_second('judged.known_until') }} <= {{ whole_second('judged.due_at') }} then 'not_yet_known'
        else 'missing'
    end as status,
    -- Only what fell due while the subscriber was there, done or not: else those who stayed would have done more.
    judged.is_required
    and not judged.is_resolved_on_trigger
    and coalesce({{ whole_second('judged.due_at') }} < {{ whole_second('judged.known_until') }}, false)
    and (judged.ended_at is null or judged.due_at < judged.ended_at) as is_counted
from judged
left join owners
    on
        judged.episode_id = owners.episode_id
        and coalesce(judged.due_at, judged.triggered_at) >= owners.valid_from
        and (owners.valid_to is null or coalesce(judged.due_at, judged.triggered_at) < owners.valid_to)
