-- Grain: one row per contact and subject it belonged to at any time since the last full refresh.
-- Never deleted from: when a contact moves or disappears, its former subject is still known and gets recomputed, also
-- after a night that died between two models.
{{ config(materialized='incremental', incremental_strategy='append', indexes=[{'columns': ['contact_id']}]) }}

with

matched as (
    select * from {{ ref('int_contacts_matched') }}
    where {{ is_touched('int_contacts_touched', 'contact_id') }}
)

select
    matched.contact_id,
    matched.subject_id
from matched
{% if is_incremental() -%}
left join {{ this }} as known on matched.contact_id = known.contact_id and matched.subject_id = known.subject_id
where known.contact_id is null
{%- endif %}
