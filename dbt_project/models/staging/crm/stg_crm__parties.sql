-- Grain: one row per party, its latest version.
{{ config(**staged('crm.parties', ['party_id'])) }}

with

latest as (
    {{ latest_versions('crm.parties', ['party_id']) }}
)

select
    party_id,
    kind,
    {{ known_word('segment', ['mass', 'vip', 'corporate']) }} as segment,
    {{ nullify('region_id') }} as region_id,
    {{ nullify('language') }} as language,
    {{ nullify('full_name') }} as full_name,
    {{ nullify('email') }} as email,
    is_staff,
    is_test,
    updated_at,
    _load_id
from latest
where _op <> 'd'
