-- Grain: one row per region, its latest version.
{{ config(**staged('crm.regions', ['region_id'])) }}

with

latest as (
    {{ latest_versions('crm.regions', ['region_id']) }}
)

select
    region_id,
    {{ nullify('name') }} as name,
    time_zone,
    _load_id
from latest
where _op <> 'd'
