{#- Condition: between two instants of a row (after, until] its subscription did not come back, neither by an event nor by
    revenue. A day's grace for revenue: charges of the last day arrive after the end. The query has the CTEs
    subscription_events and usage_months. Two anti-joins, so that the planner may hash them. -#}
{% macro never_came_back(row, after, until) -%}
    not exists (
        select 1
        from subscription_events
        where
            subscription_events.subscription_id = {{ row }}.subscription_id
            and subscription_events.kind in ('activation', 'reactivation')
            and {{ row }}.{{ after }} < subscription_events.event_at
            and subscription_events.event_at <= {{ row }}.{{ until }}
    )
    and not exists (
        select 1
        from usage_months
        where
            usage_months.subscription_id = {{ row }}.subscription_id
            and (
                (
                    {{ add_days(row ~ '.' ~ after, 1) }} < usage_months.first_revenue_at
                    and usage_months.first_revenue_at <= {{ row }}.{{ until }}
                )
                or (
                    {{ add_days(row ~ '.' ~ after, 1) }} < usage_months.last_revenue_at
                    and usage_months.last_revenue_at <= {{ row }}.{{ until }}
                )
            )
    )
{%- endmacro %}
