-- Grain: one row per consent, its latest version.
{{ config(**staged('crm.consents', ['consent_id'])) }}

with

latest as (
    {{ latest_versions('crm.consents', ['consent_id']) }}
)

select
    consent_id,
    party_id,
    kind,
    granted_at,
    withdrawn_at,
    updated_at,
    _load_id
from latest
where _op <> 'd'
