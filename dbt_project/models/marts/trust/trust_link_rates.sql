-- Grain: one row per week (Monday, Moscow) and channel: how many contacts are linked to a subscription, why others are
-- not, and how many the exchange counted.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
),

totals as (
    select * from {{ ref('int_channel_totals') }}
),

judged as (
    select
        contacts.channel,
        contacts.kind,
        contacts.is_linked,
        contacts.link_method,
        contacts.exclusion_reason,
        contacts.unlinked_reason,
        contacts.ticket_id,
        contacts.is_topic_code_unknown,
        contacts.topic_source,
        {{ local_day('contacts.started_at', "'Europe/Moscow'") }} as day_on
    from contacts
),

days as (
    select
        day_on,
        channel,
        count(*) as contacts,
        sum(case when is_linked then 1 else 0 end) as linked,
        sum(case when link_method in ('explicit', 'ticket', 'root_ticket') then 1 else 0 end) as linked_by_subscription,
        sum(case when link_method = 'msisdn' then 1 else 0 end) as linked_by_number,
        sum(case when link_method = 'party' then 1 else 0 end) as linked_by_party,
        sum(case when unlinked_reason = 'subscription_unknown' then 1 else 0 end) as unlinked_subscription_unknown,
        sum(case when unlinked_reason = 'number_unknown' then 1 else 0 end) as unlinked_number_unknown,
        sum(case when unlinked_reason = 'party_not_telling' then 1 else 0 end) as unlinked_party_not_telling,
        sum(case when unlinked_reason = 'nothing_named' then 1 else 0 end) as unlinked_nothing_named,
        sum(case when exclusion_reason is not null then 1 else 0 end) as excluded,
        sum(case when kind = 'contact' and ticket_id is null then 1 else 0 end) as unticketed,
        sum(case when topic_source = 'text' then 1 else 0 end) as topic_from_text,
        sum(case when topic_source = 'unknown' then 1 else 0 end) as topic_unknown,
        sum(case when is_topic_code_unknown then 1 else 0 end) as topic_code_unknown,
        sum(case when kind = 'contact' then 1 else 0 end) as written_by_helpdesk
    from judged
    group by
        day_on,
        channel
),

matched as (
    select
        coalesce(days.day_on, totals.day_on) as day_on,
        coalesce(days.channel, totals.channel, 'unknown') as channel,
        coalesce(days.contacts, 0) as contacts,
        coalesce(days.linked, 0) as linked,
        coalesce(days.linked_by_subscription, 0) as linked_by_subscription,
        coalesce(days.linked_by_number, 0) as linked_by_number,
        coalesce(days.linked_by_party, 0) as linked_by_party,
        coalesce(days.unlinked_subscription_unknown, 0) as unlinked_subscription_unknown,
        coalesce(days.unlinked_number_unknown, 0) as unlinked_number_unknown,
        coalesce(days.unlinked_party_not_telling, 0) as unlinked_party_not_telling,
        coalesce(days.unlinked_nothing_named, 0) as unlinked_nothing_named,
        coalesce(days.excluded, 0) as excluded,
        coalesce(days.unticketed, 0) as unticketed,
        coalesce(days.topic_from_text, 0) as topic_from_text,
        coalesce(days.topic_unknown, 0) as topic_unknown,
        coalesce(days.topic_code_unknown, 0) as topic_code_unknown,
        -- Only days that were counted compare.
        case when totals.contacts is not null then coalesce(days.written_by_helpdesk, 0) end as recorded,
        totals.contacts as counted
    from days
    full outer join totals on days.day_on = totals.day_on and days.channel = totals.channel
)

select
    {{ week_start('matched.day_on') }} as week_on,
    matched.channel,
    cast(sum(matched.contacts) as bigint) as contacts,
    cast(sum(matched.linked) as bigint) as linked,
    cast(sum(matched.linked_by_subscription) as bigint) as linked_by_subscription,
    cast(sum(matched.linked_by_number) as bigint) as linked_by_number,
    cast(sum(matched.linked_by_party) as bigint) as linked_by_party,
    cast(sum(matched.unlinked_subscription_unknown) as bigint) as unlinked_subscription_unknown,
    cast(sum(matched.unlinked_number_unknown) as bigint) as unlinked_number_unknown,
    cast(sum(matched.unlinked_party_not_telling) as bigint) as unlinked_party_not_telling,
    cast(sum(matched.unlinked_nothing_named) as bigint) as unlinked_nothing_named,
    cast(sum(matched.excluded) as bigint) as excluded,
    cast(sum(matched.unticketed) as bigint) as unticketed,
    cast(sum(matched.topic_from_text) as bigint) as topic_from_text,
    cast(sum(matched.topic_unknown) as bigint) as topic_unknown,
    cast(sum(matched.topic_code_unknown) as bigint) as topic_code_unknown,
    cast(sum(matched.linked) as double precision) / nullif(sum(matched.contacts), 0) as linked_share,
    cast(sum(matched.counted) as bigint) as counted_by_exchange,
    cast(sum(matched.recorded) as bigint) as recorded_of_counted,
    cast(sum(matched.recorded) as double precision) / nullif(sum(matched.counted), 0) as recorded_share,
    max(run.batch_id) as _batch_id
from matched
cross join run
group by
    {{ week_start('matched.day_on') }},
    matched.channel
