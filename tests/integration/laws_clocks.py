"""Clocks that begin with somebody else's word, added to the tables of test_quality_laws, and what breaks their law."""

CLOCKS = """
    alter table staging.stg_vendor__call_attempts add column ticket_id text, add column vendor_id text,
        add column attempted_at timestamptz, add column recorded_at timestamptz;
    insert into staging.stg_vendor__call_attempts (ticket_id, vendor_id, attempted_at) values
        ('t1', 'v1', '2026-02-02'), ('t1', 'v2', '2026-02-03'), ('t1', 'v3', '2026-02-06'), ('t2', 'v1', '2026-02-02'),
        ('t1', 'v4', '2026-01-31');
    alter table marts_b.owner_history add column is_outsourced boolean default false, add column vendor_id text;
    update marts_b.owner_history set is_outsourced = true, vendor_id = 'v1' where owner_position = 2;
    alter table marts_b.fct_contacts add column ticket_id text, add column root_ticket_id text,
        add column topic_level_1 text default 'network';
    update marts_b.fct_contacts set ticket_id = 't2', root_ticket_id = 't1' where contact_id = 'c1';
    delete from staging.stg_vendor__call_attempts where ticket_id = 't2';
    alter table marts_b.fct_tickets add column root_ticket_id text default 't1';
    alter table marts_b.fct_complaint_episodes add column if not exists topic_level_1 text default 'network',
        add column if not exists closes_at timestamptz, add column if not exists subscription_id text default 's1';
    alter table staging.stg_helpdesk__ticket_events add column kind text;
    update staging.stg_helpdesk__ticket_events set kind = 'registered' where ticket_event_id in ('e2', 'e3');
    alter table staging.stg_helpdesk__incidents add column incident_id text, add column started_at timestamptz,
        add column restored_at timestamptz, add column updated_at timestamptz;
    insert into staging.stg_helpdesk__incidents (incident_id, started_at, restored_at, updated_at) values
        ('i1', '2026-02-01', '2026-02-02', '2026-02-02'), ('i2', '2026-02-03', null, '2026-02-03');
    alter table staging.stg_helpdesk__incident_impacts add column incident_id text, add column subscription_id text,
        add column started_at timestamptz, add column ended_at timestamptz, add column updated_at timestamptz;
    insert into staging.stg_helpdesk__incident_impacts (incident_id, subscription_id, started_at, updated_at) values
        ('i1', 's1', '2026-02-01', '2026-02-01'), ('i1', 's2', '2026-02-01', '2026-02-01'),
        ('i2', 's1', '2026-02-03', '2026-02-03');
    insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new, keys_deleted,
        rows_rejected, live_keys, contract_hash, reader, seconds)
    select 1, name, true, live, live, live, 0, 0, live, 'h', 'test', 0
    from (values ('helpdesk.incidents', 2), ('helpdesk.incident_impacts', 3), ('vendor.call_attempts', 4))
        as v (name, live);
    create table seeds.contact_policy as
    select 'network' as incident_topic_level_1, date '2000-01-01' as valid_from, null::date as valid_to;
    insert into marts_b.fct_clocks values ('k6', 'vendor_first_contact', 'met', false, 0),
        ('k7', 'vendor_only_first_contact', 'met', false, 0), ('k8', 'vendor_only_first_contact', 'met', false, 0),
        ('k9', 'legal_registration', 'met', false, 0), ('k10', 'legal_answer', 'met', false, 0),
        ('k11', 'informed_of_fix', 'met', false, 0);
    insert into marts_b.sla_compliance select clock, count(*), 0, 0, 0, 0, 0, 0 from marts_b.fct_clocks
    where clock_id in ('k6', 'k7', 'k8', 'k9', 'k10', 'k11') group by clock;
"""
BREAKS = {
    "clocks_of_events": [
        *(
            f"delete from marts_b.fct_clocks where clock_id = '{clock_id}'"
            for clock_id in ("k6", "k8", "k9", "k10", "k11")
        ),
        "update marts_b.owner_history set vendor_id = 'v5' where is_outsourced",
        "update staging.stg_vendor__call_attempts set recorded_at = '2026-02-05' where vendor_id = 'v2'",
        "update staging.stg_helpdesk__ticket_events set kind = 'status' where ticket_event_id = 'e2'",
        "update staging.stg_helpdesk__incidents set restored_at = '2026-02-04' where incident_id = 'i2'",
    ],
}
