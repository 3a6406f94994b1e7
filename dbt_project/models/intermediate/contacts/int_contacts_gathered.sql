-- Grain: one row per contact, public review, and ticket without contacts (which stands for the contact that opened it).
-- Only what helpdesks and review sites say; whose contact it is follows in int_contacts_matched.
{{ config(**recomputed('int_contacts_changed', 'contact_id', indexes=[
    ['subscription_named'], ['root_subscription_named'], ['party_named'], ['msisdn_named'], ['root_ticket_id'],
    ['agent_id'], ['team_id'],
])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

-- Three times the same table: a CTE that is read twice is materialised, whole.
tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

root_tickets as (
    select * from {{ ref('int_tickets_resolved') }}
),

tickets_changed as (
    select * from {{ ref('int_tickets_resolved') }}
    where {{ is_touched('int_contacts_changed', 'contact_id', 'ticket_id', prefix='ticket:') }}
),

ticket_numbers as (
    select
        ticket_id,
        msisdn
    from {{ ref('stg_helpdesk__tickets') }}
),

contacts as (
    select staged.*
    from {{ ref('stg_helpdesk__contacts') }} as staged
    cross join run
    where
        {{ is_visible('staged.started_at', 'staged.recorded_at') }}
        and {{ is_touched('int_contacts_changed', 'contact_id', 'staged.contact_id') }}
),

contacts_of_tickets as (
    select staged.ticket_id
    from {{ ref('stg_helpdesk__contacts') }} as staged
    cross join run
    where {{ is_visible('staged.started_at', 'staged.recorded_at') }}
),

reviews as (
    select staged.*
    from {{ ref('stg_web__public_reviews') }} as staged
    cross join run
    where
        {{ is_visible('staged.posted_at', 'staged.recorded_at') }}
        and {{ is_touched('int_contacts_changed', 'contact_id', 'staged.review_id', prefix='review:') }}
),

silent_tickets as (
    select tickets_changed.*
    from tickets_changed
    left join contacts_of_tickets on tickets_changed.ticket_id = contacts_of_tickets.ticket_id
    where contacts_of_tickets.ticket_id is null
),

gathered as (
    select
        contact_id,
        'contact' as kind,
        ticket_id,
        subscription_id,
        party_id,
        msisdn,
        topic_code,
        channel,
        direction,
        initiator,
        author_kind,
        coalesce(is_on_behalf, false) as is_on_behalf,
        agent_id,
        team_id,
        cast(null as text) as region_id,
        is_answered,
        connected_seconds,
        cast(null as numeric(3, 1)) as rating,
        started_at,
        greatest(
            started_at,
            coalesce(ended_at, {{ add_seconds('started_at', 'coalesce(connected_seconds, 0)') }})
        ) as ended_at,
        coalesce(recorded_at, started_at) as recorded_at,
        _load_id
    from contacts
    union all
    select
        'review:' || review_id as contact_id,
        'review' as kind,
        cast(null as text) as ticket_id,
        cast(null as text) as subscription_id,
        cast(null as text) as party_id,
        msisdn,
        cast(null as text) as topic_code,
        'social' as channel,
        'inbound' as direction,
        'customer' as initiator,
        cast(null as text) as author_kind,
        false as is_on_behalf,
        cast(null as text) as agent_id,
        cast(null as text) as team_id,
        region_id,
        cast(null as boolean) as is_answered,
        cast(null as integer) as connected_seconds,
        rating,
        posted_at as started_at,
        posted_at as ended_at,
        coalesce(recorded_at, posted_at) as recorded_at,
        _load_id
    from reviews
    union all
    select
        'ticket:' || ticket_id as contact_id,
        'ticket' as kind,
        ticket_id,
        cast(null as text) as subscription_id,
        cast(null as text) as party_id,
        cast(null as text) as msisdn,
        cast(null as text) as topic_code,
        channel,
        'inbound' as direction,
        'customer' as initiator,
        cast(null as text) as author_kind,
        false as is_on_behalf,
        first_agent_id as agent_id,
        first_team_id as team_id,
        cast(null as text) as region_id,
        cast(null as boolean) as is_answered,
        cast(null as integer) as connected_seconds,
        cast(null as numeric(3, 1)) as rating,
        opened_at as started_at,
        opened_at as ended_at,
        coalesce(recorded_at, opened_at) as recorded_at,
        cast(null as bigint) as _load_id
    from silent_tickets
)

select
    gathered.contact_id,
    gathered.kind,
    gathered.ticket_id,
    coalesce(own.root_ticket_id, gathered.ticket_id) as root_ticket_id,
    coalesce(own.is_merged, false) as is_merged,
    coalesce(gathered.subscription_id, own.subscription_id) as subscription_named,
    coalesce(gathered.msisdn, ticket_numbers.msisdn) as msisdn_named,
    coalesce(gathered.party_id, own.party_id) as party_named,
    case when own.is_merged then root.subscription_id end as root_subscription_named,
    gathered.subscription_id is not null as is_subscription_from_contact,
    -- A merge says that it is the same matter: the root's topic counts.
    coalesce(case when own.is_merged then root.topic_code end, gathered.topic_code, own.topic_code) as topic_code,
    gathered.channel,
    gathered.direction,
    gathered.initiator,
    gathered.author_kind,
    gathered.is_on_behalf,
    gathered.agent_id,
    gathered.team_id,
    gathered.region_id,
    gathered.is_answered,
    gathered.connected_seconds,
    gathered.rating,
    coalesce(own.is_test, false) as is_test,
    coalesce(own.is_spam, false) as is_spam,
    gathered.started_at,
    gathered.ended_at,
    gathered.recorded_at,
    gathered._load_id
from gathered
left join tickets as own on gathered.ticket_id = own.ticket_id
left join root_tickets as root on own.root_ticket_id = root.ticket_id
left join ticket_numbers on gathered.ticket_id = ticket_numbers.ticket_id
