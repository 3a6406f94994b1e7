-- Grain: one row per reply of ours and quarter (Moscow) it was written in at any time since the last full refresh.
-- Never deleted from: when a reply moves or disappears, its former quarter is still known and gets recomputed.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    indexes=[{'columns': ['contact_id']}, {'columns': ['quarter_on']}],
) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

contacts as (
    select
        staged.contact_id,
        staged._load_id,
        {{ quarter_start('staged.started_at', "'Europe/Moscow'") }} as quarter_on
    from {{ ref('stg_helpdesk__contacts') }} as staged
    cross join run
    where
        {{ is_visible('staged.started_at', 'staged.recorded_at') }}
        and {{ is_touched('int_contacts_changed', 'contact_id', 'staged.contact_id') }}
),

reply_signals as (
    select * from {{ source('signals', 'reply_signals') }}
)

select
    contacts.contact_id,
    contacts.quarter_on
from contacts
inner join reply_signals
    on contacts.contact_id = reply_signals.contact_id and contacts._load_id = reply_signals.load_id
{% if is_incremental() -%}
left join {{ this }} as known on contacts.contact_id = known.contact_id and contacts.quarter_on = known.quarter_on
where known.contact_id is null
{%- endif %}
