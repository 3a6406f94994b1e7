-- Grain: one row per vendor, its latest version.
{{ config(**staged('helpdesk.vendors', ['vendor_id'])) }}

with

latest as (
    {{ latest_versions('helpdesk.vendors', ['vendor_id']) }}
)

select
    vendor_id,
    {{ nullify('name') }} as name,
    _load_id
from latest
where _op <> 'd'
