-- Grain: one row per contact of the helpdesk with a text: what was written. Personal data.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

texts as (
    select * from {{ ref('int_contact_texts') }}
)

select
    texts.contact_id,
    texts.subscription_id,
    texts.party_id,
    texts.started_at,
    texts.body,
    run.batch_id as _batch_id
from texts
cross join run
