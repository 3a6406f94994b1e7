-- Grain: one row per customer's contact of an episode in which the case was resolved on the spot: by whom, who might?
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where
        is_customer_initiated
        and agent_id is not null
        and root_ticket_id is not null
        and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

intervals as (
    select * from {{ ref('int_ticket_intervals') }}
),

levels as (
    select * from {{ ref('int_episode_levels') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

agents as (
    select * from {{ ref('stg_helpdesk__agents') }}
),

policy as (
    select * from {{ ref('contact_policy') }}
),

authority as (
    select * from {{ ref('agent_authority') }}
),

resolved as (
    select
        episode_contacts.episode_id,
        contacts.contact_id,
        contacts.subject_id,
        contacts.agent_id,
        contacts.team_id,
        contacts.topic,
        agents.role,
        min(intervals.closed_at) as resolved_at
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    inner join policy on {{ was_valid('policy', 'contacts.started_at') }}
    inner join intervals
        on
            contacts.root_ticket_id = intervals.ticket_id
            and contacts.started_at <= intervals.closed_at
            and {{ add_seconds('contacts.ended_at', 'policy.on_trigger_seconds') }} >= intervals.closed_at
    left join agents on contacts.agent_id = agents.agent_id
    where coalesce(agents.kind, 'human') <> 'bot' and coalesce(contacts.author_kind, 'human') <> 'bot'
    group by
        episode_contacts.episode_id, contacts.contact_id, contacts.subject_id, contacts.agent_id, contacts.team_id,
        contacts.topic, agents.role
),

leveled as (
    select
        resolved.episode_id,
        resolved.contact_id,
        levels.level,
        levels.is_sensitive,
        row_number() over (partition by resolved.contact_id order by levels.level_rank desc) as level_order
    from resolved
    inner join levels on resolved.episode_id = levels.episode_id and resolved.resolved_at >= levels.valid_from
),

authorised as (
    select distinct resolved.contact_id
    from resolved
    inner join leveled on resolved.contact_id = leveled.contact_id and leveled.level_order = 1
    inner join authority
        on {{ may_resolve(
            'authority', 'resolved.resolved_at', 'resolved.agent_id', 'resolved.role', 'resolved.team_id',
            'leveled.level', 'resolved.topic'
        ) }}
)

select
    resolved.contact_id,
    resolved.episode_id,
    resolved.subject_id,
    resolved.agent_id,
    resolved.team_id,
    resolved.resolved_at,
    leveled.level,
    coalesce(leveled.is_sensitive, false) as is_sensitive,
    -- A case that is not sensitive needs no certificate.
    not coalesce(leveled.is_sensitive, false) or authorised.contact_id is not null as is_authorised
from resolved
left join leveled on resolved.contact_id = leveled.contact_id and leveled.level_order = 1
left join authorised on resolved.contact_id = authorised.contact_id
