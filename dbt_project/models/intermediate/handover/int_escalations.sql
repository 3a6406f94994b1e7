-- Grain: one row per rise of an episode to a sensitive level: whom it goes to, who took it over, what became of it.
-- Anchors only: instants such as due_at, contact_due_at and lost_at may lie ahead and are judged in the marts.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['escalation_id'], ['episode_id']])) }}

with

triggers as (
    select * from {{ ref('int_escalations_routed') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

level_history as (
    select * from {{ ref('int_level_history') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
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

hand_overs as (
    select * from {{ ref('int_clocks') }}
    where clock = 'hand_over' and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contact_clocks as (
    select * from {{ ref('int_clocks') }}
    where clock = 'sensitive_first_contact' and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

reaches as (
    select * from {{ ref('int_first_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

resolved_on_trigger as (
    select * from {{ ref('int_contacts_resolved') }}
    where is_authorised and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

deeds as (
    select * from {{ ref('int_escalation_deeds') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

closing_reasons as (
    select * from {{ ref('closing_reasons') }}
),

followed as (
    select
        owners.*,
        lag(owner_kind) over (partition by episode_id order by valid_from) as kind_before
    from owners
),

returned as (
    select
        triggers.escalation_id,
        min(followed.valid_from) as returned_at
    from triggers
    inner join followed
        on
            triggers.episode_id = followed.episode_id
            and triggers.triggered_at < followed.valid_from
            and followed.owner_kind = 'common_queue'
            and followed.kind_before <> 'common_queue'
    group by triggers.escalation_id
),

episode_tickets as (
    select distinct
        episode_contacts.episode_id,
        contacts.root_ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

acted as (
    select
        triggers.escalation_id,
        min(deeds.deed_at) as acted_at
    from triggers
    inner join deeds on triggers.episode_id = deeds.episode_id and triggers.triggered_at <= deeds.deed_at
    inner join owners
        on
            triggers.episode_id = owners.episode_id
            and (deeds.agent_id = owners.agent_id or deeds.vendor_id = owners.vendor_id)
            and deeds.deed_at >= owners.valid_from
            and (owners.valid_to is null or deeds.deed_at < owners.valid_to)
    group by triggers.escalation_id
),

overridden as (
    select
        triggers.escalation_id,
        level_history.valid_from as closed_at,
        'override: ' || level_history.override_reason as closed_reason,
        row_number() over (partition by triggers.escalation_id order by level_history.valid_from) as override_number
    from triggers
    inner join level_history
        on
            triggers.episode_id = level_history.episode_id
            and triggers.triggered_at <= level_history.valid_from
            and level_history.rule_id = 'override'
            and not level_history.is_sensitive
),

-- All tickets of the episode are closed, one of them with a code that says why nobody spoke with the subscriber.
resolved as (
    select
        triggers.escalation_id,
        max(tickets.last_resolved_at) as closed_at,
        'closure: ' || min(closing_reasons.closure_code) as closed_reason
    from triggers
    inner join episode_tickets on triggers.episode_id = episode_tickets.episode_id
    inner join {{ ref('int_tickets_resolved') }} as tickets on episode_tickets.root_ticket_id = tickets.ticket_id
    left join closing_reasons
        on tickets.closure_code = closing_reasons.closure_code and closing_reasons.closes_escalation
    group by triggers.escalation_id, triggers.triggered_at
    having
        max(case when tickets.is_open then 1 else 0 end) = 0
        and count(closing_reasons.closure_code) > 0
        and max(tickets.last_resolved_at) >= triggers.triggered_at
),

reached as (
    select
        triggers.escalation_id,
        min(reaches.reached_at) as first_contact_at
    from triggers
    inner join reaches
        on triggers.episode_id = reaches.episode_id and triggers.triggered_at < reaches.reached_at
    where reaches.is_by_owner
    group by triggers.escalation_id
),

-- The clock of the first contact belongs to the episode; a further rise is given the same time from its own trigger on.
timed as (
    select
        triggers.escalation_id,
        coalesce(hand_overs.due_at, triggers.policy_due_at) as due_at,
        case
            when contact_clocks.is_paused then null
            when contact_clocks.started_at = triggers.triggered_at and contact_clocks.due_at is not null
                then contact_clocks.due_at
            else {{ add_seconds(
                'triggers.triggered_at',
                'coalesce(contact_clocks.target_seconds, triggers.contact_target_minutes * 60)'
            ) }}
        end as contact_due_at
    from triggers
    left join hand_overs
        on
            triggers.episode_id = hand_overs.episode_id
            and triggers.level = hand_overs.level
            and triggers.triggered_at = hand_overs.started_at
    left join contact_clocks on triggers.episode_id = contact_clocks.episode_id
),

closed as (
    select
        triggers.escalation_id,
        case
            when resolved_on_trigger.contact_id is not null then resolved_on_trigger.resolved_at
            when overridden.escalation_id is not null then overridden.closed_at
            when reached.first_contact_at is null or resolved.closed_at < reached.first_contact_at
                then resolved.closed_at
        end as closed_at,
        case
            when resolved_on_trigger.contact_id is not null then 'resolved_on_trigger'
            when overridden.escalation_id is not null then overridden.closed_reason
            when reached.first_contact_at is null or resolved.closed_at < reached.first_contact_at
                then resolved.closed_reason
        end as closed_reason
    from triggers
    left join reached on triggers.escalation_id = reached.escalation_id
    left join resolved_on_trigger
        on
            triggers.episode_id = resolved_on_trigger.episode_id
            and triggers.contact_id = resolved_on_trigger.contact_id
            and triggers.triggered_at <= resolved_on_trigger.resolved_at
    left join overridden on triggers.escalation_id = overridden.escalation_id and overridden.override_number = 1
    left join resolved on triggers.escalation_id = resolved.escalation_id
),

deadlines as (
    select
        triggers.escalation_id,
        returned.returned_at,
        {{ add_seconds(
            'timed.contact_due_at',
            '(triggers.lost_after_multiple - 1) * ' ~ seconds_between('triggers.triggered_at', 'timed.contact_due_at')
        ) }} as past_multiple_at,
        acted.acted_at
    from triggers
    inner join timed on triggers.escalation_id = timed.escalation_id
    left join returned on triggers.escalation_id = returned.escalation_id
    left join acted on triggers.escalation_id = acted.escalation_id
),

ways_to_be_lost as (
    select
        escalation_id,
        returned_at as lost_at,
        'common_queue' as lost_because
    from deadlines
    where returned_at is not null
    union all
    select
        escalation_id,
        past_multiple_at as lost_at,
        'no_action' as lost_because
    from deadlines
    where past_multiple_at is not null and (acted_at is null or past_multiple_at < acted_at)
),

lost as (
    select
        ways_to_be_lost.*,
        row_number() over (partition by escalation_id order by lost_at, lost_because) as way_number
    from ways_to_be_lost
),

-- What was contacted or closed by then is not lost.
judged as (
    select
        lost.escalation_id,
        lost.lost_at,
        lost.lost_because
    from lost
    left join reached on lost.escalation_id = reached.escalation_id
    left join closed on lost.escalation_id = closed.escalation_id
    where
        lost.way_number = 1
        and (reached.first_contact_at is null or lost.lost_at < reached.first_contact_at)
        and (closed.closed_at is null or lost.lost_at < closed.closed_at)
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
    timed.due_at,
    triggers.contact_id,
    triggers.earlier_contact_id,
    triggers.phrase_id,
    triggers.starts_at_char,
    triggers.ends_at_char,
    triggers.ticket_event_id,
    triggers.subscription_event_id,
    triggers.order_id,
    triggers.routing_rule_id,
    triggers.routing_version,
    triggers.is_overflow,
    triggers.to_role,
    triggers.to_team_id,
    triggers.owned_at,
    triggers.owner_kind,
    triggers.owner_agent_id,
    triggers.owner_team_id,
    triggers.minutes_to_owner,
    reached.first_contact_at,
    timed.contact_due_at,
    acted.acted_at,
    deadlines.returned_at,
    deadlines.past_multiple_at,
    closed.closed_at,
    closed.closed_reason,
    judged.lost_at,
    judged.lost_because,
    case when judged.lost_at < reached.first_contact_at then reached.first_contact_at end as recovered_at
from triggers
inner join timed on triggers.escalation_id = timed.escalation_id
inner join deadlines on triggers.escalation_id = deadlines.escalation_id
inner join closed on triggers.escalation_id = closed.escalation_id
left join reached on triggers.escalation_id = reached.escalation_id
left join acted on triggers.escalation_id = acted.escalation_id
left join judged on triggers.escalation_id = judged.escalation_id
