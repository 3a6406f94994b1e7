-- Grain: one row per complaint contact that a customer started: did the customer come back on the same topic?
-- A later contact is a repeat when it begins 4 hours or more after this one ended and at most W days after a resolution
-- that was known by then, or after this contact's end. Our own call-backs are not here, so they are no repeats.
-- Each contact opens windows (from its end, from each resolution); one pass over windows and contacts in order of time
-- finds them, so that a subject with thousands of contacts costs no pairs.
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
        contacts.ended_at,
        intervals.closed_at as resolved_at
    from contacts
    inner join intervals
        on contacts.root_ticket_id = intervals.ticket_id and contacts.started_at <= intervals.closed_at
),

resolved as (
    select
        contact_id,
        max(resolved_at) as last_resolved_at,
        max(case when resolved_at <= ended_at then resolved_at end) as resolved_within_at
    from resolutions
    group by contact_id
),

-- Most come once: nothing to look for.
several as (
    select
        subject_id,
        topic
    from contacts
    group by subject_id, topic
    having count(*) > 1
),

series as (
    select contacts.*
    from contacts
    inner join several on contacts.subject_id = several.subject_id and contacts.topic = several.topic
),

-- From when on it counts how long ago: the contact's end, and every resolution after it.
anchors as (
    select
        series.contact_id,
        series.ended_at as counted_from,
        resolved.resolved_within_at as resolved_at
    from series
    left join resolved on series.contact_id = resolved.contact_id
    union
    select
        contact_id,
        resolved_at as counted_from,
        resolved_at
    from resolutions
    where resolved_at > ended_at
),

-- The thresholds are those in force when the later contact begins: one pass for each version.
windows as (
    select
        series.contact_id,
        series.subject_id,
        series.topic,
        policy.valid_from as policy_from,
        greatest(
            anchors.counted_from, {{ add_hours('series.ended_at', 'policy.repeat_min_hours') }}
        ) as opens_at,
        anchors.counted_from,
        anchors.resolved_at,
        policy.repeat_short_days,
        policy.repeat_long_days,
        -- Of all windows that are open, the one counted from the latest instant is open longest.
        row_number() over (
            partition by series.subject_id, series.topic, policy.valid_from
            order by anchors.counted_from, series.started_at, series.contact_id
        ) as window_number
    from series
    inner join anchors on series.contact_id = anchors.contact_id
    inner join policy
        on policy.valid_to is null or {{ local_day('series.ended_at', "'Europe/Moscow'") }} < policy.valid_to
),

arrivals as (
    select
        series.contact_id,
        series.subject_id,
        series.topic,
        series.started_at,
        policy.valid_from as policy_from,
        row_number() over (
            partition by series.subject_id, series.topic, policy.valid_from
            order by series.started_at, series.contact_id
        ) as arrival_number
    from series
    inner join policy on {{ was_valid('policy', 'series.started_at') }}
),

stream as (
    select
        contact_id,
        subject_id,
        topic,
        policy_from,
        opens_at as happens_at,
        counted_from,
        repeat_short_days,
        repeat_long_days,
        0 as is_arrival,
        window_number,
        cast(null as bigint) as arrival_number
    from windows
    union all
    select
        contact_id,
        subject_id,
        topic,
        policy_from,
        started_at as happens_at,
        cast(null as timestamptz) as counted_from,
        cast(null as integer) as repeat_short_days,
        cast(null as integer) as repeat_long_days,
        1 as is_arrival,
        cast(null as bigint) as window_number,
        arrival_number
    from arrivals
),

passed as (
    select
        stream.*,
        max(window_number) over (
            partition by subject_id, topic, policy_from
            order by happens_at, is_arrival, coalesce(arrival_number, window_number)
            rows between unbounded preceding and current row
        ) as longest_window,
        -- Backwards in time: a frame up to the last row would be read again for each row.
        min(arrival_number) over (
            partition by subject_id, topic, policy_from
            order by happens_at desc, is_arrival desc, coalesce(arrival_number, window_number) desc
            rows between unbounded preceding and current row
        ) as next_arrival
    from stream
),

following as (
    select
        passed.contact_id,
        windows.contact_id as earlier_contact_id,
        windows.resolved_at as earlier_resolved_at,
        windows.counted_from,
        passed.happens_at <= {{ add_days('windows.counted_from', 'windows.repeat_short_days') }} as is_within_short
    from passed
    inner join windows
        on
            passed.subject_id = windows.subject_id
            and passed.topic = windows.topic
            and passed.policy_from = windows.policy_from
            and passed.longest_window = windows.window_number
    where
        passed.is_arrival = 1
        and passed.happens_at <= {{ add_days('windows.counted_from', 'windows.repeat_long_days') }}
),

followed as (
    select
        passed.contact_id,
        arrivals.contact_id as next_contact_id,
        max(
            case
                when arrivals.started_at <= {{ add_days('passed.counted_from', 'passed.repeat_short_days') }} then 1
                else 0
            end
        ) over (partition by passed.contact_id) as within_short,
        row_number() over (
            partition by passed.contact_id order by arrivals.started_at, arrivals.contact_id, passed.counted_from
        ) as next_rank
    from passed
    inner join arrivals
        on
            passed.subject_id = arrivals.subject_id
            and passed.topic = arrivals.topic
            and passed.policy_from = arrivals.policy_from
            and passed.next_arrival = arrivals.arrival_number
    where
        passed.is_arrival = 0
        and arrivals.started_at <= {{ add_days('passed.counted_from', 'passed.repeat_long_days') }}
)

select
    contacts.contact_id,
    contacts.subject_id,
    contacts.topic,
    contacts.started_at,
    contacts.ended_at,
    greatest(contacts.ended_at, coalesce(resolved.last_resolved_at, contacts.ended_at)) as anchor_at,
    coalesce(followed.within_short, 0) = 1 as has_repeat_7d,
    followed.contact_id is not null as has_repeat_30d,
    followed.next_contact_id,
    coalesce(following.is_within_short, false) as is_repeat_7d,
    following.contact_id is not null as is_repeat_30d,
    following.earlier_contact_id,
    following.earlier_resolved_at,
    following.counted_from
from contacts
left join resolved on contacts.contact_id = resolved.contact_id
left join followed on contacts.contact_id = followed.contact_id and followed.next_rank = 1
left join following on contacts.contact_id = following.contact_id
