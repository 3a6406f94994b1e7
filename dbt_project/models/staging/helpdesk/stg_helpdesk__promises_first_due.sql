-- Grain: one row per promise: the due instant that it was first recorded with, whatever an agent made of it since.
-- From the versions in raw: the latest version does not say that a promise was moved.
{{ config(materialized='view') }}

with

versions as (
    {{ versions_of_touched('helpdesk.retention_actions', ['action_id'], is_all=true) }}
),

ranked as (
    select
        action_id,
        promise_due_at,
        row_number() over (partition by action_id order by _load_id) as version_rank
    from versions
    where step = 'promise' and promise_due_at is not null
)

select
    action_id,
    promise_due_at as first_due_at
from ranked
where version_rank = 1
