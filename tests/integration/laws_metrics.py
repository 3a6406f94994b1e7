"""Cells and the episodes behind them, added to the tables of test_quality_laws, and what breaks their law."""

#: Two episodes, one of which left after 40 days; one contact, of a cell that is too small to show;
#: one was silent, and one case was closed before its subscriber left.
CELLS = """
    alter table marts_b.retention_metrics add column if not exists breakdown text default 'none',
        add column if not exists member text default 'all', add column if not exists level text default 'all',
        add column if not exists segment text default 'all', add column if not exists horizon_days integer default 30,
        add column if not exists n bigint default 0, add column if not exists numerator bigint,
        add column if not exists method text default 'as_told';
    create table marts_b.metric_episodes as
    select
        v.*, 'L1' as level, 'r1' as region, 'postpaid' as product, 't' as team, 'in_house' as vendor,
        'in_house' as sourcing, '2026-01' as month
    from (values
        ('share_left_by_order', 'e1', 'vip', 'billing', 30, 180, 60, 180),
        ('share_left_by_order', 'e2', 'mass', 'billing', 30, 180, null, null),
        ('repeat_contact_rate', 'c1', 'vip', 'billing', 7, 7, 7, 7),
        ('silent_30d_conversion', 'e1', 'vip', 'billing', 90, 180, 180, 180),
        ('closed_but_lost', 'e2', 'vip', 'billing', 90, 90, 90, 90)
    ) as v (metric, unit_id, segment, topic, counted_from_days, counted_to_days, numerator_from_days,
        numerator_to_days);
    with places as (
        select * from (values ('none', 'all', 'L1', 'all'), ('none', 'all', 'all', 'all'),
            ('topic', 'billing', 'all', 'all'), ('region', 'r1', 'all', 'all'), ('product', 'postpaid', 'all', 'all'),
            ('team', 't', 'all', 'all'), ('vendor', 'in_house', 'all', 'all'), ('sourcing', 'in_house', 'all', 'all'),
            ('month', '2026-01', 'all', 'all')) as v (breakdown, member, level, segment)
    ),
    figures as (
        select 'share_left_by_order' as metric, 60 as horizon_days, places.*, 2 as n, 1 as numerator from places
        union all
        select 'share_left_by_order', 60, 'none', 'all', level, segment, 1, case segment when 'vip' then 1 else 0 end
        from (values ('L1', 'vip'), ('L1', 'mass'), ('all', 'vip'), ('all', 'mass')) as v (level, segment)
        union all
        select 'repeat_contact_rate', 7, places.*, 1, null from places
        union all
        select 'repeat_contact_rate', 7, 'none', 'all', level, 'vip', 1, null from (values ('L1'), ('all')) as v (level)
        union all
        select metric, days, 'none', 'all', level, segment, 1, 1
        from (values ('silent_30d_conversion', 180), ('closed_but_lost', 90)) as m (metric, days)
        cross join (values ('L1'), ('all')) as l (level)
        cross join (values ('vip'), ('all')) as s (segment)
        union all
        select 'closed_but_lost', 90, places.*, 1, 1 from places where breakdown in ('team', 'vendor', 'sourcing')
    )
    insert into marts_b.retention_metrics (batch_id, metric, horizon_days, breakdown, member, level, segment, n,
        numerator, value, refusal_reason, is_latest, method)
    select 1, figures.*, numerator::float8 / n, case when numerator is null then 'small_cell' end, true, 'share'
    from figures;
    insert into outcomes.retention_metrics select batch_id, metric, value, refusal_reason
    from marts_b.retention_metrics where method = 'share';
    insert into marts_b.metrics values ('share_left_by_order'), ('repeat_contact_rate'),
        ('silent_30d_conversion');
"""
BREAKS = {
    "cells_lead_to_their_episodes": [
        "delete from marts_b.metric_episodes where unit_id = 'e2'",
        "delete from marts_b.metric_episodes where metric = 'silent_30d_conversion'",
        "update marts_b.metric_episodes set numerator_from_days = null where metric = 'silent_30d_conversion'",
        "update marts_b.metric_episodes set team = 'first team' where metric = 'closed_but_lost'",
        "delete from marts_b.metric_episodes where unit_id = 'c1'",
        "update marts_b.metric_episodes set numerator_from_days = 90 where unit_id = 'e1'",
        "update marts_b.metric_episodes set counted_from_days = 90 where unit_id = 'e2'",
        "update marts_b.metric_episodes set team = 'other' where unit_id = 'e1'",
        "update marts_b.metric_episodes set month = '2026-02' where unit_id = 'c1'",
        "update marts_b.retention_metrics set numerator = 2 where breakdown = 'vendor' and horizon_days = 60",
        "update marts_b.retention_metrics set n = 2 where breakdown = 'none' and horizon_days = 7",
        "delete from marts_b.retention_metrics where breakdown = 'topic' and horizon_days = 60",
    ],
}
