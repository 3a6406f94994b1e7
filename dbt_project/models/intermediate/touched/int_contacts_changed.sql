-- Grain: one row per contact whose facts or ticket changed or became visible; also reviews, tickets without contacts.
{{ config(materialized='table') }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

keys as (
    select * from {{ ref('stg_raw__keys_touched') }}
),

tickets_touched as (
    select * from {{ ref('int_tickets_touched') }}
),

contacts as (
    select * from {{ ref('stg_helpdesk__contacts') }}
),

reviews as (
    select * from {{ ref('stg_web__public_reviews') }}
),

contacts_now_visible as (
    select
        contacts.contact_id,
        contacts.ticket_id
    from contacts
    cross join run
    where {{ became_visible('contacts.started_at', 'contacts.recorded_at') }}
)

select
    case
        when keys.entity = 'contact' then keys.entity_id
        when keys.entity = 'review' then 'review:' || keys.entity_id
        else 'ticket:' || keys.entity_id
    end as contact_id
from keys
where keys.entity in ('contact', 'review', 'ticket_of_contact')
union
select contacts.contact_id
from contacts
inner join tickets_touched on contacts.ticket_id = tickets_touched.ticket_id
union
select 'ticket:' || tickets_touched.ticket_id as contact_id
from tickets_touched
union
select contacts_now_visible.contact_id
from contacts_now_visible
union
select 'ticket:' || contacts_now_visible.ticket_id as contact_id
from contacts_now_visible
where contacts_now_visible.ticket_id is not null
union
select 'review:' || reviews.review_id as contact_id
from reviews
cross join run
where {{ became_visible('reviews.posted_at', 'reviews.recorded_at') }}
