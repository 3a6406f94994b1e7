"""The ledger of saves, a case closed but lost, a pack for review, added to the tables of test_quality_laws, and what
breaks their laws.
"""

#: Two gave an order and one stayed; one of those who complained left after closing; one pair, of which one was judged.
#: The share lost is told by the cells of laws_metrics.
SAVES = """
    alter table marts_b.retention_metrics add column if not exists numerator bigint,
        add column if not exists denominator bigint, add column if not exists method text default 'as_told',
        add column if not exists breakdown text default 'none', add column if not exists member text default 'all',
        add column if not exists level text default 'all', add column if not exists segment text default 'all',
        add column if not exists horizon_days integer default 30;
    update marts_b.retention_metrics set numerator = 1, denominator = 2 where metric = 'saved_3a' and value is not null;
    create table marts_b.saves as select *, 30 as horizon_days, true as is_mature from (values
        ('e1', 'saved_3a', 'L3a', 'vip', 'in_house', null, true),
        ('e2', 'saved_3a', 'L3a', 'vip', 'outsourced', 'v1', false)
    ) as v (episode_id, kind, level, segment, sourcing, first_vendor_id, is_restored);
    insert into marts_b.saves select *, false from (values
        ('e3', 'saved_3a', 'L3a', 'vip', 'in_house', null, false, 30)) as v;
    insert into marts_b.metrics values ('closed_but_lost');
    alter table marts_b.fct_complaint_episodes add column if not exists first_resolved_at timestamptz,
        add column if not exists churned_at timestamptz, add column if not exists competing_at timestamptz,
        add column if not exists churn_kind text;
    update marts_b.fct_complaint_episodes
    set first_resolved_at = '2026-02-02', churned_at = '2026-02-03', churn_kind = 'port_out';
    create table marts_b.closed_but_lost as select 'e1' as episode_id, 'port_out' as churn_kind,
        'L1' as level_at_closing, 'vip' as segment, 'in_house' as closed_by_sourcing,
        null::text as closed_by_vendor_id, 't' as closed_by_team_id, true as is_index, true as is_mature;
    create table marts_b.case_review as
    select *, date '2026-02-02' as week_on, 'L1' as level, 'vip' as segment, date '2025-10-01' as month_on
    from (values (1, 'e1', 'stayed'), (2, 'e2', 'left')) as v (case_number, episode_id, outcome);
    create table marts_b.case_review_blinded as select week_on, case_number, episode_id from marts_b.case_review;
    create table marts_b.case_review_findings as select * from (values
        ('preventable', 'all', 'all', 1::bigint, 0::bigint), ('preventable', 'L1', 'all', 1, 0),
        ('cause', 'all', 'all', 1, 0)
    ) as v (kind, level, vendor, left_n, stayed_n);
"""
#: Entered by a reviewer: two words on one case, one on no case, and one after the night.
JUDGED = """
    insert into reviews.case_decisions (week_on, case_number, reviewer, cause_code, decision_code, decided_at,
        recorded_at)
    values ('2026-02-02', 2, 'r1', 'price', 'nothing', '2026-02-04', '2026-02-04'),
        ('2026-02-02', 2, 'r1', 'no_answer', 'nothing', '2026-02-04', '2026-02-04'),
        ('2026-02-02', 9, 'r1', 'price', 'nothing', '2026-02-04', '2026-02-04'),
        ('2026-02-02', 1, 'r1', 'price', 'nothing', '2026-02-05', '2026-02-05');
"""
BREAKS = {
    "saves_add_up": [
        "delete from marts_b.saves where episode_id = 'e1'",
        "update marts_b.saves set is_restored = true where episode_id = 'e2'",
        "update marts_b.saves set is_mature = true where episode_id = 'e3'",
        "update marts_b.saves set kind = 'saved_3b' where episode_id = 'e2'",
        "insert into marts_b.saves select 'e1', 'won_back', 'L3a', 'vip', 'in_house', null, true, 30, true",
        "update marts_b.retention_metrics set numerator = 2 where metric = 'saved_3a' and value is not null",
        "update marts_b.retention_metrics set horizon_days = 60 where metric = 'saved_3a'",
    ],
    "lost_after_closing": [
        "delete from marts_b.closed_but_lost",
        "update marts_b.closed_but_lost set churn_kind = 'disconnect'",
        "update marts_b.fct_complaint_episodes set churned_at = first_resolved_at + interval '90 days'",
        "update marts_b.closed_but_lost set is_mature = false",
        "update marts_b.closed_but_lost set closed_by_team_id = 'other'",
    ],
    "reviews_are_matched": [
        "update marts_b.case_review set level = 'L2' where case_number = 1",
        "delete from marts_b.case_review_blinded where case_number = 1",
        "update marts_b.case_review_blinded set episode_id = 'e1'",
        "update marts_b.case_review_findings set left_n = 2 where kind = 'preventable'",
    ],
}
