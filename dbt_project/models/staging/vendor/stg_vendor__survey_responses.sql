-- Grain: one row per survey response, its latest version.
{{ config(**staged('vendor.survey_responses', ['response_id'])) }}

with

latest as (
    {{ latest_versions('vendor.survey_responses', ['response_id']) }}
)

select
    response_id,
    invitation_id,
    survey_kind,
    scale_version,
    score,
    {{ nullify('comment') }} as comment,
    responded_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
