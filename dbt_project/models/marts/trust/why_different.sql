-- Grain: one row per month, measure and step from the helpdesk's own count to ours, with the reason of the step.
-- The first step is what the helpdesk says, the last what we say; those between are signed and add up to it.
{% set steps = {
    'complaints': [
        'helpdesk_says', 'test', 'staff', 'spam', 'not_a_complaint', 'merged', 'within_open_complaint',
        'no_complaint_contact', 'complaint_of_another_month', 'ticket_of_another_month', 'further_complaint_of_ticket',
        'contact_without_ticket', 'public_review', 'nobody_known', 'we_say',
    ],
    'solved': [
        'helpdesk_says', 'test', 'staff', 'spam', 'not_a_complaint', 'merged', 'no_complaint_contact', 'nobody_known',
        'left_before', 'reopened', 'came_back', 'too_early', 'left', 'ended_by_operator', 'we_say',
    ],
} -%}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
),

outcomes as (
    select * from {{ ref('int_episode_outcomes') }}
),

repeats as (
    select * from {{ ref('int_contact_repeats') }}
),

-- Complaints, and the ticket in which each began.
begun as (
    select
        episodes.episode_id,
        tickets.ticket_id,
        contacts.kind = 'review' as is_review,
        episodes.is_linked,
        {{ month_start('episodes.started_at', "'Europe/Moscow'") }} as month_on,
        row_number() over (
            partition by tickets.ticket_id order by episodes.started_at, episodes.episode_id
        ) as episode_number
    from episodes
    inner join contacts on episodes.first_contact_id = contacts.contact_id
    left join tickets on contacts.ticket_id = tickets.ticket_id
),

first_begun as (
    select * from begun
    where ticket_id is not null and episode_number = 1
),

told as (
    select
        contacts.ticket_id,
        max(case when contacts.exclusion_reason = 'test' then 1 else 0 end) as tests,
        max(case when contacts.exclusion_reason = 'staff' then 1 else 0 end) as staff,
        max(case when contacts.exclusion_reason = 'spam' then 1 else 0 end) as spam,
        max(case when contacts.exclusion_reason = 'not_a_complaint' then 1 else 0 end) as questions,
        min(case when episode_contacts.episode_id is not null then contacts.started_at end) as complained_at
    from contacts
    left join episode_contacts on contacts.contact_id = episode_contacts.contact_id
    where contacts.ticket_id is not null
    group by contacts.ticket_id
),

-- The complaint of a ticket: that of its first complaint contact.
complaints as (
    select
        contacts.ticket_id,
        contacts.subject_id,
        contacts.topic,
        episode_contacts.episode_id,
        row_number() over (
            partition by contacts.ticket_id order by contacts.started_at, contacts.contact_id
        ) as contact_rank
    from contacts
    inner join told
        on contacts.ticket_id = told.ticket_id and contacts.started_at = told.complained_at
    inner join episode_contacts on contacts.contact_id = episode_contacts.contact_id
),

-- Why a ticket is no complaint of its own; empty when it is one.
sorted as (
    select
        tickets.*,
        complaints.subject_id,
        complaints.topic,
        complaints.episode_id,
        case
            when tickets.is_merged then 'merged'
            when complaints.episode_id is not null then null
            when told.tests = 1 then 'test'
            when told.staff = 1 then 'staff'
            when told.spam = 1 then 'spam'
            when told.questions = 1 then 'not_a_complaint'
            else 'no_complaint_contact'
        end as no_complaint_because
    from tickets
    left join told on tickets.ticket_id = told.ticket_id
    left join complaints on tickets.ticket_id = complaints.ticket_id and complaints.contact_rank = 1
),

-- The customer's next contact on the matter after each first resolution: one pass backwards in time.
stream as (
    select
        subject_id,
        topic,
        started_at as happened_at,
        started_at as contact_at,
        cast(null as text) as ticket_id
    from repeats
    union all
    select
        subject_id,
        topic,
        first_resolved_at as happened_at,
        cast(null as timestamptz) as contact_at,
        ticket_id
    from sorted
    where first_resolved_at is not null and episode_id is not null
),

followed as (
    select
        ticket_id,
        min(contact_at) over (
            partition by subject_id, topic
            order by happened_at desc, case when contact_at is null then 0 else 1 end desc, ticket_id desc
            rows between unbounded preceding and current row
        ) as next_contact_at
    from stream
),

resolved as (
    select
        sorted.ticket_id,
        {{ month_start('sorted.first_resolved_at', "'Europe/Moscow'") }} as month_on,
        case
            when sorted.no_complaint_because is not null then sorted.no_complaint_because
            when outcomes.episode_id is null then 'nobody_known'
            when outcomes.is_left_before or outcomes.competing_at < outcomes.level_reached_at then 'left_before'
            when sorted.is_open or sorted.first_resolved_at < sorted.last_resolved_at then 'reopened'
            when followed.next_contact_at <= {{ add_days('sorted.first_resolved_at', 30) }} then 'came_back'
            when {{ add_days('sorted.first_resolved_at', 90) }} > outcomes.knowable_until_any then 'too_early'
            when
                outcomes.churned_at < {{ add_days('sorted.first_resolved_at', 90) }}
                and coalesce(outcomes.churned_at <= outcomes.competing_at, true) then 'left'
            when outcomes.competing_at < {{ add_days('sorted.first_resolved_at', 90) }} then 'ended_by_operator'
            else 'we_say'
        end as reason
    from sorted
    left join outcomes on sorted.episode_id = outcomes.episode_id
    left join followed on sorted.ticket_id = followed.ticket_id
    where sorted.first_resolved_at is not null
),

opened as (
    select
        sorted.ticket_id,
        {{ month_start('sorted.opened_at', "'Europe/Moscow'") }} as month_on,
        first_begun.month_on as begun_month_on,
        case
            when first_begun.ticket_id is not null then null
            when sorted.no_complaint_because is not null then sorted.no_complaint_because
            else 'within_open_complaint'
        end as reason
    from sorted
    left join first_begun on sorted.ticket_id = first_begun.ticket_id
),

counted as (
    select
        'complaints' as measure,
        month_on,
        'helpdesk_says' as reason,
        count(*) as step_count
    from opened
    group by month_on
    union all
    select
        'complaints' as measure,
        month_on,
        reason,
        -count(*) as step_count
    from opened
    where reason is not null
    group by month_on, reason
    union all
    select
        'complaints' as measure,
        month_on,
        'complaint_of_another_month' as reason,
        -count(*) as step_count
    from opened
    where month_on <> begun_month_on
    group by month_on
    union all
    select
        'complaints' as measure,
        begun_month_on as month_on,
        'ticket_of_another_month' as reason,
        count(*) as step_count
    from opened
    where month_on <> begun_month_on
    group by begun_month_on
    union all
    select
        'complaints' as measure,
        month_on,
        case
            when is_review then 'public_review'
            when ticket_id is null then 'contact_without_ticket'
            else 'further_complaint_of_ticket'
        end as reason,
        count(*) as step_count
    from begun
    where ticket_id is null or episode_number > 1
    group by
        month_on,
        case
            when is_review then 'public_review'
            when ticket_id is null then 'contact_without_ticket'
            else 'further_complaint_of_ticket'
        end
    union all
    select
        'complaints' as measure,
        month_on,
        'nobody_known' as reason,
        -count(*) as step_count
    from begun
    where not is_linked
    group by month_on
    union all
    select
        'complaints' as measure,
        {{ month_start('started_at', "'Europe/Moscow'") }} as month_on,
        'we_say' as reason,
        count(*) as step_count
    from episodes
    where is_linked
    group by {{ month_start('started_at', "'Europe/Moscow'") }}
    union all
    select
        'solved' as measure,
        month_on,
        'helpdesk_says' as reason,
        count(*) as step_count
    from resolved
    group by month_on
    union all
    select
        'solved' as measure,
        month_on,
        reason,
        case when reason = 'we_say' then count(*) else -count(*) end as step_count
    from resolved
    group by month_on, reason
),

steps as (
    {% for measure, reasons in steps.items() -%}
    {%- set last = loop.last -%}
    {%- for reason in reasons -%}
    select
        '{{ measure }}' as measure,
        cast({{ loop.index }} as integer) as step_number,
        '{{ reason }}' as reason
    {%- if not (last and loop.last) %}
    union all
    {% endif %}
    {%- endfor -%}
    {%- endfor %}
),

months as (
    select distinct
        measure,
        month_on
    from counted
)

-- Every month has every step, so that a picture of one is a picture of all.
select
    months.month_on,
    months.measure,
    steps.step_number,
    steps.reason,
    steps.reason in ('helpdesk_says', 'we_say') as is_total,
    coalesce(cast(counted.step_count as bigint), 0) as step_count,
    {{ month_start('run.as_of', "'Europe/Moscow'") }} > months.month_on as is_month_over,
    run.as_of,
    run.batch_id as _batch_id
from months
cross join run
inner join steps on months.measure = steps.measure
left join counted
    on
        months.measure = counted.measure
        and months.month_on = counted.month_on
        and steps.reason = counted.reason
