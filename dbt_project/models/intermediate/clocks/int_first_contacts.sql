-- Grain: one row per complaint episode and contact of ours that reached the subscriber about it: what may stop a clock.
-- A call connected long enough, or what a person wrote; never bots, voice menus, automatic replies or vain dials. About
-- it: under a ticket of the episode, without any ticket on its topic, or a vendor's call on the subscription's case.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

teams as (
    select * from {{ ref('stg_helpdesk__teams') }}
),

policy as (
    select * from {{ ref('contact_policy') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_tickets as (
    select distinct
        episode_contacts.episode_id,
        episode_contacts.subject_id,
        contacts.root_ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

-- Calls under a ticket that is merged by now are about the root's case.
member_tickets as (
    select
        episode_id,
        subject_id,
        root_ticket_id as ticket_id
    from episode_tickets
    union
    select
        episode_tickets.episode_id,
        episode_tickets.subject_id,
        contacts.ticket_id
    from episode_tickets
    inner join contacts
        on episode_tickets.subject_id = contacts.subject_id and episode_tickets.root_ticket_id = contacts.root_ticket_id
),

-- Dials by ticket and by subscription apart: each is looked up by an index.
tickets_dialled as (
    select
        member_tickets.episode_id,
        member_tickets.subject_id,
        staged.*
    from member_tickets
    inner join {{ ref('stg_vendor__call_attempts') }} as staged on member_tickets.ticket_id = staged.ticket_id
),

subscriptions_dialled as (
    select
        episodes.episode_id,
        episodes.subject_id,
        staged.*
    from episodes
    inner join {{ ref('stg_vendor__call_attempts') }} as staged on episodes.subscription_id = staged.subscription_id
    -- Without a ticket it counts only when the vendor says that it had received the case.
    where staged.ticket_id is null and staged.received_at is not null
),

dialled as (
    select * from tickets_dialled
    union all
    select * from subscriptions_dialled
),

attempts as (
    select dialled.*
    from dialled
    cross join run
    inner join policy on {{ was_valid('policy', 'dialled.attempted_at') }}
    where
        dialled.is_answered
        and dialled.connected_seconds >= policy.connected_seconds
        and {{ is_visible('dialled.attempted_at', 'dialled.recorded_at') }}
),

reached as (
    select
        contacts.*,
        teams.vendor_id,
        contacts.channel <> 'call' as is_written
    from contacts
    inner join policy on {{ was_valid('policy', 'contacts.started_at') }}
    left join agents on contacts.agent_id = agents.agent_id
    left join teams on contacts.team_id = teams.team_id
    where
        contacts.kind = 'contact'
        and contacts.direction = 'outbound'
        and {{ is_human_contact('contacts', 'agents') }}
        and (
            contacts.channel <> 'call'
            or (coalesce(contacts.is_answered, true) and contacts.connected_seconds >= policy.connected_seconds)
        )
),

matched as (
    select
        episode_tickets.episode_id,
        reached.subject_id,
        reached.contact_id as reach_id,
        reached.contact_id,
        cast(null as text) as attempt_id,
        reached.root_ticket_id,
        reached.started_at as reached_at,
        reached.is_written,
        reached.agent_id,
        reached.team_id,
        reached.vendor_id
    from reached
    inner join episode_tickets
        on reached.subject_id = episode_tickets.subject_id and reached.root_ticket_id = episode_tickets.root_ticket_id
    union all
    select
        episodes.episode_id,
        reached.subject_id,
        reached.contact_id as reach_id,
        reached.contact_id,
        cast(null as text) as attempt_id,
        reached.root_ticket_id,
        reached.started_at as reached_at,
        reached.is_written,
        reached.agent_id,
        reached.team_id,
        reached.vendor_id
    from reached
    inner join episodes on reached.subject_id = episodes.subject_id and reached.topic = episodes.topic
    where reached.root_ticket_id is null
    union all
    select
        episode_id,
        subject_id,
        'attempt:' || attempt_id as reach_id,
        cast(null as text) as contact_id,
        attempt_id,
        ticket_id as root_ticket_id,
        attempted_at as reached_at,
        false as is_written,
        cast(null as text) as agent_id,
        cast(null as text) as team_id,
        vendor_id
    from attempts
)

select
    matched.episode_id,
    matched.subject_id,
    matched.reach_id,
    matched.contact_id,
    matched.attempt_id,
    matched.root_ticket_id as ticket_id,
    matched.reached_at,
    matched.is_written,
    matched.agent_id,
    matched.team_id,
    matched.vendor_id,
    -- What nobody owns is done by whoever of us reaches the subscriber; what a vendor has, by anybody of that vendor.
    coalesce(
        coalesce(owners.owner_kind, 'common_queue') = 'common_queue'
        or owners.agent_id = matched.agent_id
        or owners.vendor_id = matched.vendor_id
        or agents.role in ('control_group', 'retention_manager'),
        false
    ) as is_by_owner
from matched
left join agents on matched.agent_id = agents.agent_id
left join owners
    on
        matched.episode_id = owners.episode_id
        and matched.reached_at >= owners.valid_from
        and (owners.valid_to is null or matched.reached_at < owners.valid_to)
where matched.reached_at is not null
