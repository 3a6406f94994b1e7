-- Grain: one row per episode and interval of validity of its risk level, half-open and without gaps, from its begin on.
-- Rules raise it; a person's override with a reason sets it, and what comes or becomes known later raises it again.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['episode_id']])) }}

with

signals as (
    select * from {{ ref('int_episode_signals') }}
    where rule_id <> 'override' and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

overrides as (
    select * from {{ ref('int_level_overrides') }}
    where ignored_because is null and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

-- Whoever overrode the level did not know of these yet: they count once more when they become known.
belated as (
    select distinct
        signals.episode_id,
        signals.subject_id,
        signals.level,
        signals.level_rank,
        signals.known_at as in_force_from,
        signals.known_at,
        signals.rule_id,
        signals.rule_version,
        signals.is_own_words,
        signals.contact_id,
        signals.earlier_contact_id,
        signals.phrase_id,
        signals.starts_at_char,
        signals.ends_at_char,
        signals.ticket_event_id,
        signals.subscription_event_id,
        signals.order_id
    from signals
    inner join overrides
        on
            signals.episode_id = overrides.episode_id
            and signals.fired_at <= overrides.in_force_from
            and signals.known_at > overrides.in_force_from
),

happened as (
    -- No rule has fired yet: no complaint. An agent's flag may come hours after the question it was set on.
    select
        episode_id,
        subject_id,
        'L0' as level,
        0 as level_rank,
        started_at as in_force_from,
        started_at as known_at,
        'not_a_complaint' as rule_id,
        cast(null as text) as rule_version,
        false as is_own_words,
        first_contact_id as contact_id,
        cast(null as text) as earlier_contact_id,
        cast(null as text) as phrase_id,
        cast(null as integer) as starts_at_char,
        cast(null as integer) as ends_at_char,
        cast(null as text) as ticket_event_id,
        cast(null as text) as subscription_event_id,
        cast(null as text) as order_id,
        cast(null as text) as override_reason,
        0 as origin,
        started_at as happened_at,
        cast(0 as bigint) as sequence,
        0 as is_set
    from episodes
    union all
    select
        episode_id,
        subject_id,
        level,
        level_rank,
        fired_at as in_force_from,
        known_at,
        rule_id,
        rule_version,
        is_own_words,
        contact_id,
        earlier_contact_id,
        phrase_id,
        starts_at_char,
        ends_at_char,
        ticket_event_id,
        subscription_event_id,
        order_id,
        cast(null as text) as override_reason,
        1 as origin,
        fired_at as happened_at,
        cast(0 as bigint) as sequence,
        0 as is_set
    from signals
    union all
    select
        belated.*,
        cast(null as text) as override_reason,
        1 as origin,
        belated.known_at as happened_at,
        cast(0 as bigint) as sequence,
        0 as is_set
    from belated
    union all
    select
        episode_id,
        subject_id,
        level,
        level_rank,
        in_force_from,
        known_at,
        'override' as rule_id,
        rule_version,
        false as is_own_words,
        cast(null as text) as contact_id,
        cast(null as text) as earlier_contact_id,
        cast(null as text) as phrase_id,
        cast(null as integer) as starts_at_char,
        cast(null as integer) as ends_at_char,
        ticket_event_id,
        cast(null as text) as subscription_event_id,
        cast(null as text) as order_id,
        reason as override_reason,
        -- Of one instant the person's word is the last.
        2 as origin,
        event_at as happened_at,
        sequence,
        -- Level 3 is the top: setting it by hand only raises.
        case when level_rank < 3 then 1 else 0 end as is_set
    from overrides
),

ordered as (
    select
        happened.*,
        row_number() over (
            partition by episode_id
            order by
                in_force_from asc,
                origin asc,
                case when origin = 2 then happened_at end asc,
                sequence asc,
                case when origin = 2 then ticket_event_id else '' end asc,
                level_rank desc,
                known_at asc,
                coalesce(contact_id, '') asc,
                coalesce(subscription_event_id, '') asc,
                coalesce(ticket_event_id, '') asc,
                coalesce(phrase_id, '') asc,
                coalesce(starts_at_char, 0) asc
        ) as position
    from happened
),

-- What is between two overrides is a matter of its own.
stretched as (
    select
        ordered.*,
        sum(is_set) over (
            partition by episode_id order by position rows between unbounded preceding and current row
        ) as stretch
    from ordered
),

compared as (
    select
        stretched.*,
        max(level_rank) over (
            partition by episode_id, stretch order by position rows between unbounded preceding and 1 preceding
        ) as rank_before
    from stretched
),

moves as (
    select
        compared.*,
        lead(in_force_from) over (partition by episode_id order by position) as next_at
    from compared
    where rank_before is null or level_rank > rank_before
),

-- Nothing is in force for no time.
lasting as (
    select
        moves.*,
        lag(level_rank) over (partition by episode_id order by position) as rank_in_force
    from moves
    where next_at is null or in_force_from < next_at
),

-- A level set to what it was is not a change.
changes as (
    select
        lasting.*,
        lead(in_force_from) over (partition by episode_id order by position) as valid_to
    from lasting
    where rank_in_force is null or level_rank <> rank_in_force
)

select
    changes.episode_id,
    changes.subject_id,
    changes.level,
    changes.level_rank,
    changes.level_rank >= 3
    or (changes.level_rank = 2 and episodes.segment in ('vip', 'corporate')) as is_sensitive,
    changes.in_force_from as valid_from,
    changes.valid_to,
    changes.known_at,
    changes.rule_id,
    changes.rule_version,
    changes.is_own_words,
    changes.contact_id,
    changes.earlier_contact_id,
    changes.phrase_id,
    changes.starts_at_char,
    changes.ends_at_char,
    changes.ticket_event_id,
    changes.subscription_event_id,
    changes.order_id,
    changes.override_reason
from changes
inner join episodes on changes.episode_id = episodes.episode_id
