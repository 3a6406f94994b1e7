-- Grain: one row per complaint contact that a customer started: did the customer come back on the same topic?
-- A later contact is a repeat when it begins 4 hours or more after this one ended and at most W days after a resolution
-- that was known by then, or after this contact's end. Our own call-backs are not here, so they are no repeats.
{{ config(**recomputed('int_subjects_touched', 'subject_id', indexes=[['contact_id']])) }}

with

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where
        is_customer_initiated
        and exclusion_reason is null
        and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

intervals as (
    select * from {{ ref('int_ticket_intervals') }}
),

policy as (
    select * from {{ ref('episode_policy') }}
),

resolutions as (
    select
        contacts.contact_id,
        intervals.closed_at as resolved_at
    from contacts
    inner join intervals
        on contacts.root_ticket_id = intervals.ticket_id and contacts.started_at <= intervals.closed_at
),

anchors as (
    select
        contacts.contact_id,
        greatest(contacts.ended_at, coalesce(max(resolutions.resolved_at), contacts.ended_at)) as anchor_at
    from contacts
    left join resolutions on contacts.contact_id = resolutions.contact_id
    group by contacts.contact_id, contacts.ended_at
),

pairs as (
    select
        earlier.contact_id as earlier_contact_id,
        earlier.started_at as earlier_started_at,
        later.contact_id as later_contact_id,
        later.started_at as later_started_at,
        policy.repeat_short_days,
        policy.repeat_long_days,
        greatest(
            earlier.ended_at,
            coalesce(
                max(case when resolutions.resolved_at <= later.started_at then resolutions.resolved_at end),
                earlier.ended_at
            )
        ) as known_anchor_at
    from contacts as earlier
    inner join contacts as later
        on
            earlier.subject_id = later.subject_id
            and earlier.topic = later.topic
            and earlier.ended_at < later.started_at
    inner join policy
        on
            {{ was_valid('policy', 'later.started_at') }}
            and {{ add_hours('earlier.ended_at', 'policy.repeat_min_hours') }} <= later.started_at
    left join resolutions on earlier.contact_id = resolutions.contact_id
    group by
        earlier.contact_id, earlier.started_at, earlier.ended_at, later.contact_id, later.started_at,
        policy.repeat_short_days, policy.repeat_long_days
),

repeats as (
    select
        pairs.*,
        later_started_at <= {{ add_days('known_anchor_at', 'repeat_short_days') }} as is_within_short,
        row_number() over (
            partition by later_contact_id order by earlier_started_at desc, earlier_contact_id desc
        ) as earlier_rank,
        row_number() over (
            partition by earlier_contact_id order by later_started_at, later_contact_id
        ) as later_rank
    from pairs
    where later_started_at <= {{ add_days('known_anchor_at', 'repeat_long_days') }}
),

followed as (
    select
        earlier_contact_id as contact_id,
        max(case when is_within_short then 1 else 0 end) as within_short,
        max(case when later_rank = 1 then later_contact_id end) as next_contact_id
    from repeats
    group by earlier_contact_id
),

following as (
    select
        later_contact_id as contact_id,
        max(case when is_within_short then 1 else 0 end) as within_short,
        max(case when earlier_rank = 1 then earlier_contact_id end) as earlier_contact_id
    from repeats
    group by later_contact_id
)

select
    contacts.contact_id,
    contacts.subject_id,
    contacts.topic,
    contacts.started_at,
    contacts.ended_at,
    anchors.anchor_at,
    coalesce(followed.within_short, 0) = 1 as has_repeat_7d,
    followed.contact_id is not null as has_repeat_30d,
    followed.next_contact_id,
    coalesce(following.within_short, 0) = 1 as is_repeat_7d,
    following.contact_id is not null as is_repeat_30d,
    following.earlier_contact_id
from contacts
inner join anchors on contacts.contact_id = anchors.contact_id
left join followed on contacts.contact_id = followed.contact_id
left join following on contacts.contact_id = following.contact_id
