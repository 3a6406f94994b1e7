-- A reader recognises one whole publication by _batch_id: it is the same in every row of every mart.
{% set marts = ['dim_subscription', 'dim_agent', 'fct_contacts', 'fct_tickets', 'fct_complaint_episodes',
    'fct_churn_events', 'complaint_to_churn', 'metrics', 'retention_metrics', 'trust_link_rates',
    'private_subscription_contacts', 'private_contact_texts'] -%}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

found as (
    {% for mart in marts -%}
    select distinct
        '{{ mart }}' as mart,
        _batch_id
    from {{ ref(mart) }}
    {% if not loop.last -%} union all {%- endif %}
    {% endfor -%}
)

select
    found.mart,
    found._batch_id
from found
cross join run
where found._batch_id <> run.batch_id
