-- Grain: one row per deed (taking over, action, resolution) in a sensitive case by an agent without authority for it.
-- Whoever had the case before it became sensitive counts only when it is still theirs past the hand-over's due instant.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

escalations as (
    select * from {{ ref('int_escalations') }}
),

levels as (
    select * from {{ ref('int_level_history') }}
    where is_sensitive
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where agent_id is not null
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

actions as (
    select * from {{ ref('int_retention_actions') }}
    where step <> 'handover' and agent_id is not null
),

agents as (
    select * from {{ ref('int_agents') }}
),

authority as (
    select * from {{ ref('agent_authority') }}
),

resolved as (
    select * from {{ ref('int_contacts_resolved') }}
    where is_sensitive and not is_authorised
),

teams as (
    select
        team_id,
        max(vendor_id) as vendor_id
    from agents
    where team_id is not null
    group by team_id
),

first_escalations as (
    select
        episode_id,
        min(triggered_at) as triggered_at,
        min(due_at) as due_at
    from escalations
    group by episode_id
),

case_tickets as (
    select distinct
        first_escalations.episode_id,
        contacts.root_ticket_id
    from first_escalations
    inner join episode_contacts on first_escalations.episode_id = episode_contacts.episode_id
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

deeds as (
    select
        'owner' as deed_kind,
        coalesce(owners.ticket_event_id, owners.agent_id) as deed_id,
        owners.episode_id,
        owners.agent_id,
        owners.team_id,
        owners.vendor_id,
        cast(null as numeric(12, 2)) as cost_rub,
        case
            when owners.valid_from < first_escalations.triggered_at then first_escalations.due_at
            else owners.valid_from
        end as deed_at
    from owners
    inner join first_escalations on owners.episode_id = first_escalations.episode_id
    cross join run
    where
        owners.valid_from >= first_escalations.triggered_at
        or (
            first_escalations.due_at < run.as_of
            and (owners.valid_to is null or first_escalations.due_at < owners.valid_to)
        )
    union all
    select
        'action' as deed_kind,
        actions.action_id as deed_id,
        case_tickets.episode_id,
        actions.agent_id,
        actions.team_id,
        actions.vendor_id,
        actions.cost_rub,
        actions.action_at as deed_at
    from actions
    inner join case_tickets on actions.root_ticket_id = case_tickets.root_ticket_id
    inner join first_escalations
        on
            case_tickets.episode_id = first_escalations.episode_id
            and actions.action_at >= first_escalations.triggered_at
    union all
    -- Resolved on the spot by whoever spoke with the subscriber.
    select
        'resolution' as deed_kind,
        resolved.contact_id as deed_id,
        resolved.episode_id,
        resolved.agent_id,
        resolved.team_id,
        teams.vendor_id,
        cast(null as numeric(12, 2)) as cost_rub,
        resolved.resolved_at as deed_at
    from resolved
    inner join first_escalations
        on
            resolved.episode_id = first_escalations.episode_id
            and resolved.resolved_at >= first_escalations.triggered_at
    left join teams on resolved.team_id = teams.team_id
),

-- The list of staff forgets whom it deletes; the case remembers what they were.
roles_then as (
    select
        episode_id,
        agent_id,
        max(owner_kind) as role
    from owners
    where owner_kind in ('control_group', 'retention_manager')
    group by
        episode_id,
        agent_id
),

-- Only while it was sensitive, at the level of that instant.
sensitive_deeds as (
    select
        deeds.*,
        episodes.segment,
        episodes.topic,
        levels.level,
        case when agents.is_listed then agents.role else coalesce(roles_then.role, 'unknown') end as role
    from deeds
    inner join episodes on deeds.episode_id = episodes.episode_id
    inner join levels
        on
            deeds.episode_id = levels.episode_id
            and deeds.deed_at >= levels.valid_from
            and (levels.valid_to is null or deeds.deed_at < levels.valid_to)
    left join agents on deeds.agent_id = agents.agent_id
    left join roles_then on deeds.episode_id = roles_then.episode_id and deeds.agent_id = roles_then.agent_id
    where deeds.deed_at < coalesce(episodes.closes_at, timestamptz '9999-12-31 00:00:00+00')
),

held as (
    select
        sensitive_deeds.deed_kind,
        sensitive_deeds.deed_id,
        sensitive_deeds.episode_id,
        sensitive_deeds.deed_at,
        case
            when authority.levels is null or ' ' || authority.levels || ' ' like '% ' || sensitive_deeds.level || ' %'
                then 1
            else 0
        end as is_level,
        case
            when authority.topics is null or ' ' || authority.topics || ' ' like '% ' || sensitive_deeds.topic || ' %'
                then 1
            else 0
        end as is_topic,
        authority.credit_limit_rub
    from sensitive_deeds
    inner join authority
        on
            {{ was_valid('authority', 'sensitive_deeds.deed_at') }}
            and (authority.agent_id is null or sensitive_deeds.agent_id = authority.agent_id)
            and (authority.role is null or sensitive_deeds.role = authority.role)
            and (authority.team_id is null or sensitive_deeds.team_id = authority.team_id)
),

best as (
    select
        deed_kind,
        deed_id,
        episode_id,
        deed_at,
        max(is_level) as is_level,
        max(is_level * is_topic) as is_level_and_topic,
        max(case when is_level * is_topic = 1 and credit_limit_rub is null then 1 else 0 end) as is_unlimited,
        max(case when is_level * is_topic = 1 then credit_limit_rub end) as credit_limit_rub
    from held
    group by
        deed_kind,
        deed_id,
        episode_id,
        deed_at
),

judged as (
    select
        sensitive_deeds.*,
        best.credit_limit_rub,
        case
            when best.deed_id is null then 'not_certified'
            when best.is_level = 0 then 'level'
            when best.is_level_and_topic = 0 then 'topic'
            when best.is_unlimited = 0 and sensitive_deeds.cost_rub > best.credit_limit_rub then 'credit'
        end as lacking
    from sensitive_deeds
    left join best
        on
            sensitive_deeds.deed_kind = best.deed_kind
            and sensitive_deeds.deed_id = best.deed_id
            and sensitive_deeds.episode_id = best.episode_id
            and sensitive_deeds.deed_at = best.deed_at
)

select
    md5(
        judged.deed_kind || '|' || judged.episode_id || '|' || judged.deed_id || '|'
        || cast({{ seconds_between("timestamptz '1970-01-01 00:00:00+00'", 'judged.deed_at') }} as text)
    ) as deed_key,
    judged.episode_id,
    judged.deed_kind,
    judged.deed_id,
    judged.deed_at,
    judged.lacking,
    judged.agent_id,
    judged.role,
    judged.team_id,
    judged.vendor_id,
    judged.level,
    judged.segment,
    judged.topic,
    judged.cost_rub,
    cast(judged.credit_limit_rub as numeric(12, 2)) as credit_limit_rub,
    run.batch_id as _batch_id
from judged
cross join run
where judged.lacking is not null
