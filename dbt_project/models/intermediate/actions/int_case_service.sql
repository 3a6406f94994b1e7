-- Grain: one row per complaint episode: hand-offs, what verified its result, and how a reviewer scored it.
-- Only what happened within 30 days of the start, or of the resolution, so that older cases have no longer to do it in.
{{ config(materialized='table', indexes=[{'columns': ['episode_id'], 'unique': true}]) }}

{%- set never = "timestamptz '9999-12-31 00:00:00+00'" %}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

loads as (
    select * from {{ source('run', 'loads_seen') }}
),

clock_sources as (
    select * from {{ ref('clock_sources') }}
    where clock = 'sensitive_first_contact'
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

-- A review may name a contact instead of a ticket.
audits as (
    select
        staged.audit_id,
        staged.score,
        staged.audited_at,
        staged.contact_id,
        coalesce(staged.ticket_id, contacts.ticket_id) as ticket_id
    from {{ ref('stg_helpdesk__qa_audits') }} as staged
    cross join run
    left join contacts on staged.contact_id = contacts.contact_id
    where {{ is_visible('staged.audited_at', 'staged.recorded_at') }}
),

-- Without a score, off the scale, too late or in another's name they say nothing of the result.
answers as (
    select * from {{ ref('int_survey_answers') }}
    where answer_status = 'answered'
),

watermarks as (
    select
        clock_sources.table_name,
        max(clock_sources.lag_hours) as lag_hours,
        max(loads.snapshot_at) as read_at,
        max(loads.watermark_to) as told_until
    from clock_sources
    inner join loads on clock_sources.table_name = loads.table_name
    group by clock_sources.table_name
),

-- The slowest of the supplied sources decides; what vendors' files do not tell yet they may tell within their lag.
known as (
    select
        min(
            case
                when table_name = 'vendor.call_attempts' and read_at is null
                    then {{ add_hours('told_until', '-lag_hours') }}
                else coalesce(read_at, told_until)
            end
        ) as contacts_known_until
    from watermarks
),

case_tickets as (
    select distinct
        episode_contacts.episode_id,
        contacts.root_ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

-- Of a case's tickets, merged ones with their root.
member_tickets as (
    select
        case_tickets.episode_id,
        tickets.ticket_id
    from case_tickets
    inner join tickets on case_tickets.root_ticket_id = tickets.root_ticket_id
),

followed as (
    select
        owners.*,
        min(case when owner_kind <> 'common_queue' then valid_from end) over (partition by episode_id) as first_owned_at
    from owners
),

-- Who hands a case to the control group or to a manager does as the rules say.
handed as (
    select
        followed.episode_id,
        min(followed.first_owned_at) as first_owned_at,
        sum(
            case
                when
                    followed.valid_from > followed.first_owned_at
                    and followed.source <> 'escalation'
                    and {{ add_days('episodes.started_at', 30) }} > followed.valid_from
                    then 1
                else 0
            end
        ) as hand_offs
    from followed
    inner join episodes on followed.episode_id = episodes.episode_id
    group by followed.episode_id
),

signs as (
    select
        case_tickets.episode_id,
        'follow_up' as verified_by,
        actions.action_at as verified_at
    from case_tickets
    inner join actions on case_tickets.root_ticket_id = actions.root_ticket_id
    left join agents on actions.agent_id = agents.agent_id
    where actions.step = 'follow_up' and coalesce(agents.kind, 'human') <> 'bot'
    union all
    select
        case_tickets.episode_id,
        'customer_contact' as verified_by,
        contacts.started_at as verified_at
    from case_tickets
    inner join contacts on case_tickets.root_ticket_id = contacts.root_ticket_id
    where contacts.is_customer_initiated
    union all
    select
        answers.episode_id,
        'survey' as verified_by,
        answers.responded_at as verified_at
    from answers
    where answers.episode_id is not null
    union all
    -- About a ticket of which no contact is known: a duplicate that was merged.
    select
        member_tickets.episode_id,
        'survey' as verified_by,
        answers.responded_at as verified_at
    from member_tickets
    inner join answers on member_tickets.ticket_id = answers.ticket_id
    where answers.episode_id is null
),

verified as (
    select
        signs.episode_id,
        signs.verified_by,
        signs.verified_at,
        row_number() over (
            partition by signs.episode_id order by signs.verified_at, signs.verified_by
        ) as sign_number
    from signs
    inner join episodes
        on
            signs.episode_id = episodes.episode_id
            and signs.verified_at > episodes.first_resolved_at
            and signs.verified_at < {{ add_days('episodes.first_resolved_at', 30) }}
),

case_audits as (
    select
        member_tickets.episode_id,
        audits.*
    from member_tickets
    inner join audits on member_tickets.ticket_id = audits.ticket_id
    union all
    select
        episode_contacts.episode_id,
        audits.*
    from episode_contacts
    inner join audits on episode_contacts.contact_id = audits.contact_id
    where audits.ticket_id is null
),

reviewed as (
    select
        case_audits.episode_id,
        case_audits.score,
        case_audits.audited_at,
        row_number() over (
            partition by case_audits.episode_id order by case_audits.audited_at, case_audits.audit_id
        ) as audit_number
    from case_audits
    inner join episodes
        on
            case_audits.episode_id = episodes.episode_id
            and case_audits.audited_at >= episodes.started_at
            and case_audits.audited_at < coalesce(episodes.closes_at, {{ never }})
)

select
    episodes.episode_id,
    episodes.started_at,
    episodes.first_team_id,
    teams.vendor_id as first_vendor_id,
    case when teams.team_id is not null then teams.vendor_id is not null end as first_is_outsourced,
    handed.first_owned_at,
    coalesce(handed.hand_offs, 0) as hand_offs,
    episodes.first_resolved_at,
    verified.verified_at,
    verified.verified_by,
    reviewed.score as qa_score,
    reviewed.audited_at as qa_audited_at,
    case
        when known.contacts_known_until is not null then least(run.as_of, known.contacts_known_until)
    end as contacts_known_until
from episodes
cross join run
cross join known
left join teams on episodes.first_team_id = teams.team_id
left join handed on episodes.episode_id = handed.episode_id
left join verified on episodes.episode_id = verified.episode_id and verified.sign_number = 1
left join reviewed on episodes.episode_id = reviewed.episode_id and reviewed.audit_number = 1
