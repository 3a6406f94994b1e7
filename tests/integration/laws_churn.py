"""Ends in the CRM's log and usage, and curves, added to the tables of test_quality_laws, and what breaks their laws."""

#: One port after the complaint e1, one line silent since October, one cut for debt: the churns of fct_churn_events.
CHURN = """
    alter table staging.stg_crm__subscription_events add column order_id text, add column effective_at timestamptz;
    insert into staging.stg_crm__subscription_events (subscription_event_id, subscription_id, kind, event_at)
    values ('x4', 's1', 'port_completed', '2026-02-03');
    update ops.loads set live_keys = live_keys + 1 where table_name = 'crm.subscription_events';
    alter table staging.stg_crm__subscriptions add column product text, add column region_id text;
    update staging.stg_crm__subscriptions
    set product = case subscription_id when 's2' then 'prepaid' else 'postpaid' end;
    alter table staging.stg_crm__parties add column region_id text;
    alter table staging.stg_crm__regions add column region_id text, add column time_zone text;
    alter table staging.stg_crm__usage_months add column subscription_id text, add column month_on date,
        add column first_revenue_at timestamptz, add column last_revenue_at timestamptz;
    insert into staging.stg_crm__usage_months (subscription_id, month_on, first_revenue_at, last_revenue_at) values
        ('s1', '2025-09-01', '2025-09-01 12:00Z', '2025-09-20 12:00Z'),
        ('s2', '2025-10-01', '2025-10-01 12:00Z', '2025-10-20 12:00Z');
    insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new, keys_deleted,
        rows_rejected, live_keys, contract_hash, reader, seconds)
    values (1, 'crm.usage_months', true, 2, 2, 2, 0, 0, 2, 'h', 'test', 0);
    create table seeds.churn_rules as select 'inactivity' as kind, * from (values
        (30, date '2000-01-01', date '2010-01-01'), (90, '2010-01-01', null)
    ) as v (silence_days, valid_from, valid_to);
    alter table marts_b.fct_complaint_episodes add column if not exists subscription_id text default 's1';
    alter table marts_b.retention_metrics add column if not exists breakdown text default 'none',
        add column if not exists member text default 'all', add column if not exists level text default 'all',
        add column if not exists segment text default 'all', add column if not exists horizon_days integer default 30;
    insert into outcomes.retention_metrics (batch_id, metric, value)
    values (1, 'share_left_any', 0.25), (1, 'survival', 0.5), (1, 'share_left_any', 0.1);
    insert into marts_b.retention_metrics (batch_id, metric, value, is_latest, breakdown, member, level)
    values (1, 'share_left_any', 0.25, true, 'none', 'all', 'all'), (1, 'survival', 0.5, true, 'none', 'all', 'L1'),
        (1, 'share_left_any', 0.1, true, 'sourcing', 'in_house', 'all');
    insert into marts_b.metrics values ('share_left_any'), ('survival');
    create table marts_b.survival_curves as select * from (values
        ('none', 'all', 'voluntary', 29, 0.2::float8), ('none', 'all', 'voluntary', 30, 0.25),
        ('level', 'L1', 'any', 30, 0.5), ('sourcing', 'in_house', 'voluntary', 30, 0.1),
        ('none', 'all', 'competing', 30, 0.05), ('segment', 'vip', 'any', 30, null)
    ) as v (grouping_name, member, cause, day, estimate);
"""
BREAKS = {
    "churn_adds_up": [
        # Marts lose a churn, lay it to another cause, or count an attribution twice.
        "update marts_b.fct_churn_events set churn_group = null where churn_event_id = 'h2'",
        "update marts_b.fct_churn_events set churn_group = 'technical' where kind = 'debt'",
        "update marts_b.complaint_to_churn set attributed_churn_count = 2 where horizon_days = 90",
        "update marts_b.fct_churn_events set churn_group = 'voluntary_without_complaint' where churn_event_id = 'h1'",
        # The sources say something else than intermediate made of them.
        "delete from staging.stg_crm__subscription_events where subscription_event_id = 'x4'",
        "update staging.stg_crm__subscription_events set kind = 'technical' where subscription_event_id = 'x1'",
        "update staging.stg_crm__subscription_events set kind = 'disconnect_order', effective_at = '2026-02-02',"
        " subscription_id = 's9' where subscription_event_id = 'x2'",
        "update staging.stg_crm__usage_months set last_revenue_at = '2025-11-20' where subscription_id = 's2'",
        "update staging.stg_crm__subscriptions set product = 'prepaid'",
        "insert into staging.stg_crm__subscription_events (subscription_event_id, subscription_id, kind, event_at)"
        " values ('x5', 's2', 'reactivation', '2026-01-05'), ('x6', 's2', 'death', '2026-01-06')",
        "update marts_b.fct_complaint_episodes set started_at = '2025-11-01'",
    ],
    "curves_meet_metrics": [
        "update marts_b.survival_curves set estimate = 0.250000002 where cause = 'voluntary' and day = 30",
        "update marts_b.survival_curves set estimate = 0.6 where cause = 'any'",
        "update marts_b.survival_curves set estimate = null where grouping_name = 'sourcing'",
        "update marts_b.retention_metrics set value = null where level = 'L1'",
    ],
}
