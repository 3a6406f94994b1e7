"""Partners and firefighters of one episode, added to the tables of test_quality_laws, and what breaks their laws."""

PARTNERS = """
    alter table marts_b.complaint_to_churn
        add column if not exists level_reached_at timestamptz default '2026-01-15',
        add column if not exists sourcing text default 'outsourced',
        add column if not exists first_vendor_id text default 'v1',
        add column if not exists is_index boolean default true;
    create table marts_b.partners as
    select
        period, unit_kind, unit, 'all' as use_case, horizon_days, 1::bigint as cases,
        case when horizon_days = 180 then 0 else 1 end::bigint as n,
        case when horizon_days < 180 then 1 end::bigint as left_count,
        case when horizon_days = 180 then 'immature' end as refusal_reason
    from (values ('2026-Q1'), ('all')) as p (period)
    cross join (values ('sourcing', 'outsourced'), ('vendor', 'v1'), ('team', 't1')) as u (unit_kind, unit)
    cross join (values (30), (60), (90), (180)) as h (horizon_days);
    create table marts_b.firefighters as
    select
        period, 'team' as unit_kind, unit, n, left_count, 1.0::float8 as expected_left, left_count as compared_left
    from marts_b.partners where unit_kind = 'team' and horizon_days = 90;
    insert into marts_b.firefighters values ('all', 'agent', 'a1', 1, 1, 1.0, 1);
"""
BREAKS = {
    "partners_hold_every_case": [
        "update marts_b.partners set cases = 2 where unit_kind = 'sourcing' and period <> 'all' and horizon_days = 30",
        "update marts_b.partners set n = 0 where unit_kind = 'sourcing' and period <> 'all' and horizon_days = 90",
        "update marts_b.partners set left_count = 0 where unit_kind = 'sourcing' and period <> 'all'",
        "delete from marts_b.partners where unit_kind = 'vendor' and period = 'all'",
        "delete from marts_b.partners where unit_kind = 'team' and period = 'all' and horizon_days = 60",
        "delete from marts_b.partners where period <> 'all'",
        "delete from marts_b.partners",
        "update marts_b.complaint_to_churn set status_any = 'stayed' where horizon_days = 30",
    ],
    "firefighters_agree_with_partners": [
        "delete from marts_b.firefighters where period = '2026-Q1'",
        "update marts_b.firefighters set left_count = 0 where period = '2026-Q1'",
        "update marts_b.firefighters set expected_left = 1.1 where unit_kind = 'team'",
        "update marts_b.firefighters set n = 5 where unit_kind = 'agent'",
    ],
}
