-- Grain: one row per topic code of a source that the topic tree did not have when its contacts happened.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where is_topic_code_unknown
)

select
    contacts.topic_code,
    count(*) as contacts,
    cast(sum(case when contacts.topic_source = 'text' then 1 else 0 end) as bigint) as placed_by_text,
    min(contacts.started_at) as first_seen_at,
    max(contacts.started_at) as last_seen_at,
    max(run.batch_id) as _batch_id
from contacts
cross join run
group by contacts.topic_code
