"""Audited steps, promises and principles, added to the tables of test_quality_laws, and what breaks their laws."""

ACTIONS = """
    alter table intermediate.int_episode_levels add column if not exists level text default 'L3b',
        add column if not exists valid_from timestamptz default '2026-02-01';
    update intermediate.int_episode_levels set level = 'L1' where not is_sensitive;
    alter table intermediate.int_episodes add column if not exists topic_level_1 text default 'network';
    create table seeds.scenario_steps as select *, null::date as valid_to from (values
        ('technical', '1', 'L1 L2', 'network', 'diagnosis', true, date '2000-01-01'),
        ('threat', '1', 'L3a L3b', null, 'apology', true, '2000-01-01'),
        ('threat', '1', 'L3a L3b', null, 'offer', false, '2000-01-01'),
        ('threat', '1', 'L3a', null, 'promise', true, '2000-01-01'),
        ('threat', '2', 'L3a L3b', null, 'handover', true, '2026-02-02'),
        ('legal_claim', '1', null, 'legal', 'diagnosis', true, '2000-01-01')
    ) as v (scenario, version, levels, topic_level_1, step, is_required, valid_from);
    create table marts_b.action_audit as select *, true as is_sensitive from (values
        ('technical', 'diagnosis', true), ('threat', 'apology', true), ('threat', 'offer', false)
    ) as v (scenario, step, is_required);
    alter table staging.stg_helpdesk__retention_actions add column action_id text, add column step text,
        add column action_at timestamptz, add column recorded_at timestamptz, add column promise_kept_at timestamptz;
    insert into staging.stg_helpdesk__retention_actions (action_id, step, action_at, recorded_at, promise_kept_at)
    values ('a1', 'promise', '2026-02-01', '2026-02-01', '2026-02-02'), ('a2', 'promise', '2026-02-01', null, null),
        ('a3', 'promise', '2026-02-01', '2026-02-01', '2026-02-03'),
        ('a4', 'promise', '2026-02-01', '2026-02-06', null), ('a5', 'offer', '2026-02-01', '2026-02-01', null);
    create table staging.stg_helpdesk__promises_first_due as select * from (values
        ('a1', timestamptz '2026-02-02'), ('a3', '2026-02-02')) as v (action_id, first_due_at);
    create table marts_b.promises as select * from (values
        ('a1', 'e1', 'kept', true, timestamptz '2026-02-02'), ('a2', 'e1', 'open', false, null),
        ('a3', 'e1', 'moved', true, '2026-02-02')
    ) as v (promise_id, episode_id, status, is_counted, due_at);
    create table marts_b.service_principles as select * from (values
        ('honesty', date '2026-01-01', 'all', 'all', 2::bigint, 0.5::float8, 1::bigint, null),
        ('honesty', '2026-01-01', 'sourcing', 'in_house', 1, null, null, 'small_cell'),
        ('honesty', '2026-01-01', 'sourcing', 'outsourced', 1, null, null, 'small_cell'),
        ('honesty', '2026-01-01', 'vendor', 'in_house', 2, 0.5, 1, null),
        ('honesty', '2026-01-01', 'team', 'a', 2, 0.5, 1, null)
    ) as v (principle, quarter_on, unit_kind, unit, n, value, numerator, refusal_reason);
    insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new, keys_deleted,
        rows_rejected, live_keys, contract_hash, reader, seconds)
    values (1, 'helpdesk.retention_actions', true, 5, 5, 5, 0, 0, 5, 'h', 'test', 0);
"""
BREAKS = {
    "audit_asks_every_step": [
        "delete from marts_b.action_audit where step = 'apology'",
        "insert into marts_b.action_audit select * from marts_b.action_audit where step = 'diagnosis'",
        "update marts_b.action_audit set is_required = true",
        "update marts_b.action_audit set is_sensitive = false where step = 'apology'",
        "insert into marts_b.action_audit values ('threat', 'handover', true, true)",
        "update seeds.scenario_steps set valid_from = '2000-01-01' where step = 'handover'",
        "update seeds.scenario_steps set levels = 'L3a L3b' where step = 'promise'",
    ],
    "promises_are_conserved": [
        "delete from marts_b.promises where status = 'open'",
        "update marts_b.promises set status = 'forgotten' where status = 'open'",
        "update marts_b.promises set status = 'kept' where status = 'moved'",
        "update staging.stg_helpdesk__promises_first_due set first_due_at = '2026-02-03' where action_id = 'a3'",
    ],
    "principles_add_up": [
        "delete from marts_b.service_principles where unit = 'outsourced'",
        "update marts_b.service_principles set n = 3 where unit_kind = 'all'",
        "update marts_b.promises set is_counted = false where status = 'moved'",
        "update marts_b.service_principles set numerator = 1 where unit = 'outsourced'",
    ],
}
