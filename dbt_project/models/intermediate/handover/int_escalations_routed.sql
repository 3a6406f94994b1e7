-- Grain: one row per rise of an episode to a sensitive level: the rule that routes it, and who took it over.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

levels as (
    select * from {{ ref('int_sensitive_rises') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

regions as (
    select * from {{ ref('stg_crm__regions') }}
),

routing_rules as (
    select * from {{ ref('routing_rules') }}
),

policy as (
    select * from {{ ref('escalation_policy') }}
),

triggers as (
    select
        md5(
            levels.episode_id || '|' || levels.level || '|' || levels.rule_id || '|'
            || coalesce(levels.rule_version, '')
            || case when levels.stretch > 0 then '|' || cast(levels.stretch as text) else '' end
        ) as escalation_id,
        levels.episode_id,
        levels.subject_id,
        episodes.subscription_id,
        episodes.segment,
        episodes.region_id,
        episodes.topic,
        levels.level,
        levels.level_rank,
        levels.rule_id,
        levels.rule_version,
        levels.valid_from as triggered_at,
        levels.known_at,
        levels.contact_id,
        levels.earlier_contact_id,
        levels.phrase_id,
        levels.starts_at_char,
        levels.ends_at_char,
        levels.ticket_event_id,
        levels.subscription_event_id,
        levels.order_id,
        owners.vendor_id,
        coalesce(owners.is_outsourced, false) as is_outsourced,
        {{ local_hour('levels.valid_from', "coalesce(regions.time_zone, 'Europe/Moscow')") }} as triggered_hour,
        {{ add_seconds('levels.valid_from', 'policy.handover_target_minutes * 60') }} as policy_due_at,
        policy.contact_target_minutes,
        policy.lost_after_multiple
    from levels
    inner join episodes on levels.episode_id = episodes.episode_id
    left join policy on {{ was_valid('policy', 'levels.valid_from') }}
    left join owners
        on
            levels.episode_id = owners.episode_id
            and levels.valid_from >= owners.valid_from
            and (owners.valid_to is null or levels.valid_from < owners.valid_to)
    left join regions on episodes.region_id = regions.region_id
),

ruled as (
    select
        triggers.escalation_id,
        routing_rules.routing_rule_id,
        routing_rules.version as routing_version,
        routing_rules.is_overflow,
        routing_rules.to_role,
        routing_rules.to_team_id,
        row_number() over (
            partition by triggers.escalation_id order by {{ rule_order('routing_rules') }}
        ) as rule_number
    from triggers
    inner join routing_rules
        on
            {{ was_valid('routing_rules', 'triggers.triggered_at') }}
            and {{ is_ruled(
                'routing_rules', 'triggers.level', 'triggers.segment', 'triggers.region_id', 'triggers.triggered_hour',
                'triggers.vendor_id', 'triggers.is_outsourced'
            ) }}
),

owned as (
    select
        triggers.escalation_id,
        owners.owner_kind,
        owners.agent_id,
        owners.team_id,
        greatest(owners.valid_from, triggers.triggered_at) as owned_at,
        row_number() over (partition by triggers.escalation_id order by owners.valid_from) as owner_number
    from triggers
    inner join owners
        on
            triggers.episode_id = owners.episode_id
            and owners.owner_kind in ('control_group', 'retention_manager')
            and (owners.valid_to is null or triggers.triggered_at < owners.valid_to)
)

select
    triggers.escalation_id,
    triggers.episode_id,
    triggers.subject_id,
    triggers.subscription_id,
    triggers.segment,
    triggers.region_id,
    triggers.topic,
    triggers.level,
    triggers.level_rank,
    triggers.rule_id,
    triggers.rule_version,
    triggers.triggered_at,
    triggers.known_at,
    triggers.contact_id,
    triggers.earlier_contact_id,
    triggers.phrase_id,
    triggers.starts_at_char,
    triggers.ends_at_char,
    triggers.ticket_event_id,
    triggers.subscription_event_id,
    triggers.order_id,
    triggers.triggered_hour,
    triggers.policy_due_at,
    triggers.contact_target_minutes,
    triggers.lost_after_multiple,
    ruled.routing_rule_id,
    ruled.routing_version,
    ruled.is_overflow,
    ruled.to_role,
    ruled.to_team_id,
    owned.owned_at,
    owned.owner_kind,
    owned.agent_id as owner_agent_id,
    owned.team_id as owner_team_id,
    {{ seconds_between('triggers.triggered_at', 'owned.owned_at') }} / 60 as minutes_to_owner
from triggers
left join ruled on triggers.escalation_id = ruled.escalation_id and ruled.rule_number = 1
left join owned on triggers.escalation_id = owned.escalation_id and owned.owner_number = 1
