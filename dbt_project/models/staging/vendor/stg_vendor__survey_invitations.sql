-- Grain: one row per survey invitation, its latest version.
{{ config(**staged('vendor.survey_invitations', ['invitation_id'])) }}

with

latest as (
    {{ latest_versions('vendor.survey_invitations', ['invitation_id']) }}
)

select
    invitation_id,
    survey_kind,
    {{ nullify('subscription_id') }} as subscription_id,
    {{ nullify('ticket_id') }} as ticket_id,
    {{ nullify('contact_id') }} as contact_id,
    sent_at,
    delivered_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
