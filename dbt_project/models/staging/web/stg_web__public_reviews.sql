-- Grain: one row per public review, its latest version.
{{ config(**staged('web.public_reviews', ['review_id'])) }}

with

latest as (
    {{ latest_versions('web.public_reviews', ['review_id']) }}
)

select
    review_id,
    {{ nullify('site') }} as site,
    {{ nullify('author_name') }} as author_name,
    {{ normalise_msisdn('msisdn') }} as msisdn,
    {{ nullify('region_id') }} as region_id,
    rating,
    {{ nullify('body') }} as body,
    posted_at,
    recorded_at,
    _load_id
from latest
where _op <> 'd'
