-- Grain: one row per contact: whose it is. The first way that finds a subscription we know wins.
{{ config(**recomputed('int_contacts_touched', 'contact_id', indexes=[['subject_id']])) }}

with

contacts as (
    select * from {{ ref('int_contacts_gathered') }}
    where {{ is_touched('int_contacts_touched', 'contact_id') }}
),

subscriptions as (
    select * from {{ ref('stg_crm__subscriptions') }}
),

msisdn_periods as (
    select * from {{ ref('stg_crm__msisdn_periods') }}
),

parties as (
    select * from {{ ref('stg_crm__parties') }}
),

by_party as (
    select
        contacts.contact_id,
        min(subscriptions.subscription_id) as subscription_id
    from contacts
    inner join subscriptions
        on
            contacts.party_named = subscriptions.party_id
            and contacts.started_at >= subscriptions.activated_at
            and (subscriptions.terminated_at is null or contacts.started_at < subscriptions.terminated_at)
    group by contacts.contact_id
    -- Of several active subscriptions we cannot know which one is meant.
    having count(*) = 1
),

candidates as (
    select
        contacts.contact_id,
        subscriptions.subscription_id,
        case when contacts.is_subscription_from_contact then 'explicit' else 'ticket' end as link_method,
        1 as method_rank,
        contacts.started_at as held_from
    from contacts
    inner join subscriptions on contacts.subscription_named = subscriptions.subscription_id
    union all
    -- A number belongs to its holder at that time.
    select
        contacts.contact_id,
        subscriptions.subscription_id,
        'msisdn' as link_method,
        2 as method_rank,
        msisdn_periods.valid_from as held_from
    from contacts
    inner join msisdn_periods
        on
            contacts.msisdn_named = msisdn_periods.msisdn
            and contacts.started_at >= msisdn_periods.valid_from
            and (msisdn_periods.valid_to is null or contacts.started_at < msisdn_periods.valid_to)
    inner join subscriptions on msisdn_periods.subscription_id = subscriptions.subscription_id
    union all
    select
        contacts.contact_id,
        by_party.subscription_id,
        'party' as link_method,
        3 as method_rank,
        contacts.started_at as held_from
    from contacts
    inner join by_party on contacts.contact_id = by_party.contact_id
    union all
    select
        contacts.contact_id,
        subscriptions.subscription_id,
        'root_ticket' as link_method,
        4 as method_rank,
        contacts.started_at as held_from
    from contacts
    inner join subscriptions on contacts.root_subscription_named = subscriptions.subscription_id
),

ranked as (
    select
        contact_id,
        subscription_id,
        link_method,
        row_number() over (
            partition by contact_id order by method_rank asc, held_from desc, subscription_id asc
        ) as choice
    from candidates
)

select
    contacts.contact_id,
    coalesce(
        ranked.subscription_id,
        -- Somebody with several lines: what they say is one matter of theirs, however many lines it is about.
        'party:' || parties.party_id,
        case
            when contacts.root_ticket_id is not null then 'ticket:' || contacts.root_ticket_id
            when contacts.kind = 'review' then contacts.contact_id
            else 'contact:' || contacts.contact_id
        end
    ) as subject_id,
    ranked.subscription_id,
    ranked.link_method
from contacts
left join ranked on contacts.contact_id = ranked.contact_id and ranked.choice = 1
left join parties on contacts.party_named = parties.party_id
