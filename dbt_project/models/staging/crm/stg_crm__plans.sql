-- Grain: one row per plan, its latest version.
{{ config(**staged('crm.plans', ['plan_id'])) }}

with

latest as (
    {{ latest_versions('crm.plans', ['plan_id']) }}
)

select
    plan_id,
    {{ nullify('name') }} as name,
    {{ known_word('product', ['prepaid', 'postpaid']) }} as product,
    monthly_fee_rub,
    _load_id
from latest
where _op <> 'd'
