"""Surveys, and steps between two counts, added to the tables of test_quality_laws, and what breaks their laws."""

#: One invitation answered twice. In February two tickets, one of them a question; in November one resolved for good.
SURVEYS = """
    alter table staging.stg_vendor__survey_invitations add column invitation_id text, add column sent_at timestamptz,
        add column recorded_at timestamptz;
    alter table staging.stg_vendor__survey_responses add column invitation_id text, add column responded_at timestamptz,
        add column recorded_at timestamptz;
    insert into staging.stg_vendor__survey_invitations (invitation_id, sent_at)
    values ('i1', '2026-01-10'), ('later', '2026-02-06');
    insert into staging.stg_vendor__survey_responses (invitation_id, responded_at)
    values ('i1', '2026-01-11'), ('i1', '2026-01-12'), ('i1', '2026-02-06');
    insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new, keys_deleted,
        rows_rejected, live_keys, contract_hash, reader, seconds)
    values (1, 'vendor.survey_invitations', true, 2, 2, 2, 0, 0, 2, 'h', 'test', 0),
        (1, 'vendor.survey_responses', true, 3, 3, 3, 0, 0, 3, 'h', 'test', 0);
    create table marts_b.fct_surveys as
    select 'i1' as invitation_id, 'csat' as survey_kind, true as is_counted, 'r1' as response_id, 2 as response_count,
        'L1' as level, 'vip' as segment, true as is_satisfied, null as nps_group;
    alter table outcomes.retention_metrics add column if not exists breakdown text default 'none',
        add column if not exists level text default 'all', add column if not exists segment text default 'all',
        add column if not exists n bigint default 0, add column if not exists numerator bigint;
    insert into outcomes.retention_metrics (batch_id, metric, value, n, numerator, segment)
    values (1, 'csat', 1.0, 1, 1, 'all'), (1, 'csat', 1.0, 1, 1, 'vip'), (1, 'survey_response_rate', 1.0, 1, 1, 'all');
    alter table marts_b.retention_metrics add column if not exists n bigint default 0;
    insert into marts_b.retention_metrics (batch_id, metric, value, n, is_latest)
    values (1, 'csat', 1.0, 1, true), (1, 'csat', 1.0, 1, true), (1, 'survey_response_rate', 1.0, 1, true);
    insert into marts_b.metrics values ('csat'), ('survey_response_rate');
    alter table marts_b.fct_contacts add column if not exists ticket_id text;
    update marts_b.fct_contacts set ticket_id = 't1' where contact_id = 'c1';
    alter table marts_b.fct_tickets add column if not exists is_merged boolean default false,
        add column if not exists is_open boolean default false, add column if not exists first_resolved_at timestamptz,
        add column if not exists last_resolved_at timestamptz;
    update marts_b.fct_tickets set first_resolved_at = '2025-11-02', last_resolved_at = '2025-11-02'
    where ticket_id = 't1';
    alter table marts_b.fct_complaint_episodes add column if not exists subscription_id text default 's1',
        add column if not exists knowable_until_any timestamptz default '2026-02-04',
        add column if not exists churned_at timestamptz, add column if not exists competing_at timestamptz;
    create table marts_b.why_different as select * from (values
        ('complaints', date '2026-02-01', 'helpdesk_says', 2), ('complaints', '2026-02-01', 'not_a_complaint', -1),
        ('complaints', '2026-02-01', 'we_say', 1), ('solved', '2025-11-01', 'helpdesk_says', 1),
        ('solved', '2025-11-01', 'came_back', 0), ('solved', '2025-11-01', 'we_say', 1)
    ) as v (measure, month_on, reason, step_count);
"""
BREAKS = {
    "surveys_in_marts": [
        "delete from marts_b.fct_surveys",
        "update marts_b.fct_surveys set response_count = 1",
        "update marts_b.fct_surveys set is_counted = false",
        "update marts_b.fct_surveys set response_id = null",
        "update marts_b.fct_surveys set is_satisfied = false",
        "update marts_b.fct_surveys set segment = 'mass'",
        "update outcomes.retention_metrics set n = 2 where metric = 'survey_response_rate'",
        "delete from staging.stg_vendor__survey_responses where responded_at = '2026-01-12'",
    ],
    "differences_add_up": [
        # A step is lost, or the model's own counts agree with each other and with nothing else.
        "delete from marts_b.why_different where reason = 'not_a_complaint'",
        "update marts_b.why_different set step_count = step_count + 1 where reason in ('helpdesk_says', 'we_say')",
        "delete from staging.stg_helpdesk__tickets where ticket_id = 't2'",
        "insert into marts_b.fct_complaint_episodes select * from marts_b.fct_complaint_episodes",
        "update marts_b.fct_complaint_episodes set is_linked = false",
        # What was solved is not any more.
        "update marts_b.fct_tickets set is_open = true",
        "update marts_b.fct_tickets set last_resolved_at = '2025-11-03'",
        "update marts_b.fct_tickets set first_resolved_at = null",
        "update marts_b.fct_contacts set started_at = '2025-11-20' where contact_id = 'c2'",
        "update marts_b.fct_complaint_episodes set churned_at = '2026-01-30'",
        "update marts_b.fct_complaint_episodes set competing_at = '2025-12-30'",
        "update marts_b.fct_complaint_episodes set knowable_until_any = '2026-01-30'",
    ],
}
