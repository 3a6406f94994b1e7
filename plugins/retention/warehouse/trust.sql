-- What BI may know of the platform's books: standing views in marts, true on a night that failed too. They are no
-- marts: publish leaves them alone (mart_views.STANDING). Applied after ddl.sql; safe to apply again. For readers:
-- docs/trust.md
set role publisher;

create or replace view marts.trust_nights as
with

failed as (
    select
        batch_id,
        string_agg(step, ', ' order by failed_at) as steps,
        (array_agg(message order by failed_at desc))[1] as last_message,
        max(failed_at) as failed_at
    from ops.failures
    group by batch_id
),

worked as (
    select
        batch_id,
        sum(seconds) / 60 as minutes,
        count(*) as steps
    from ops.steps
    group by batch_id
)

select
    batches.batch_id,
    batches.kind,
    batches.as_of,
    batches.state,
    coalesce(slots.state = 'live', false) as is_live,
    batches.opened_at,
    batches.published_at,
    coalesce(worked.steps, 0) as steps_done,
    round(coalesce(worked.minutes, 0)::numeric, 1) as minutes,
    failed.steps as failed_steps,
    -- A gate's message goes on with keys of rows.
    split_part(failed.last_message, E'\n', 1) as failure,
    failed.failed_at
from ops.batches as batches
left join worked on batches.batch_id = worked.batch_id
left join failed on batches.batch_id = failed.batch_id
left join ops.slots as slots on batches.batch_id = slots.batch_id and slots.state = 'live'
-- A ten-minute run is no night: ops.batches has those, too.
where batches.kind = 'nightly';

create or replace view marts.trust_freshness as
with

newest as (
    select batch_id
    from ops.batches
    where kind = 'nightly'
    order by as_of desc
    limit 1
),

loads as (
    select
        loads.*,
        batches.as_of,
        extract(epoch from batches.as_of - loads.watermark_to) / 3600 as lag_hours,
        row_number() over (partition by loads.table_name order by loads.load_id desc) as recency
    from ops.loads as loads
    inner join ops.batches as batches on loads.batch_id = batches.batch_id
    -- What ten-minute runs load by day is in no mart before the next night.
    where batches.kind = 'nightly'
),

usual as (
    select
        table_name,
        percentile_cont(0.5) within group (order by lag_hours) as lag_hours
    from loads
    where recency between 2 and 15
    group by table_name
),

rejects as (
    select
        table_name,
        sum(rejects) as rejects
    from ops.reject_counts
    group by table_name
),

quarantined as (
    select
        table_name,
        count(*) as row_count
    from ops.quarantine
    where released_batch_id is null
    group by table_name
)

select
    loads.table_name,
    loads.batch_id,
    loads.as_of,
    loads.load_id,
    loads.committed_at as loaded_at,
    loads.rows_appended,
    loads.live_keys as rows_live,
    coalesce(rejects.rejects, 0)::bigint as rejects_open,
    coalesce(quarantined.row_count, 0) as rows_quarantined,
    loads.watermark_to as newest_at,
    round(loads.lag_hours::numeric, 1) as lag_hours,
    round(usual.lag_hours::numeric, 1) as usual_lag_hours,
    newest.batch_id = loads.batch_id as is_loaded_tonight,
    newest.batch_id <> loads.batch_id
    or coalesce(loads.lag_hours > 24 and loads.lag_hours > 2 * usual.lag_hours, false) as is_late
from loads
cross join newest
left join usual on loads.table_name = usual.table_name
left join rejects on loads.table_name = rejects.table_name
left join quarantined on loads.table_name = quarantined.table_name
where loads.recency = 1;

create or replace view marts.trust_checks as
select
    checks.batch_id,
    batches.as_of,
    checks.gate,
    checks.table_name,
    checks.check_name,
    checks.severity,
    checks.is_passed,
    checks.is_quarantined,
    checks.rows_examined,
    checks.rows_failed,
    checks.checked_at
from ops.checks as checks
inner join ops.batches as batches on checks.batch_id = batches.batch_id and batches.kind = 'nightly';

create or replace view marts.trust_restatements as
with

late as (
    select
        batch_id,
        sum(rows_late) as rows_late,
        sum(rows_about_past) as rows_about_past,
        string_agg(table_name || ' ' || rows_late, ', ' order by table_name) filter (where rows_late > 0) as late_tables
    from ops.late_rows
    group by batch_id
),

deleted as (
    select
        batch_id,
        sum(keys_deleted) as keys_deleted
    from ops.loads
    group by batch_id
),

publications as (
    select
        publications.*,
        batches.as_of,
        batches.code_hash,
        batches.seed_hash,
        lag(publications.publication_id) over by_time as previous_id,
        lag(publications.published_at) over by_time as previously_at,
        lag(batches.as_of) over by_time as previous_as_of,
        lag(batches.code_hash) over by_time as previous_code_hash,
        lag(batches.seed_hash) over by_time as previous_seed_hash
    from ops.publications as publications
    inner join ops.batches as batches on publications.batch_id = batches.batch_id
    window by_time as (order by publications.publication_id)
),

mart_names as (
    select
        publications.publication_id,
        marts.mart
    from publications
    inner join ops.publication_marts as marts
        on marts.publication_id in (publications.publication_id, publications.previous_id)
    group by publications.publication_id, marts.mart
)

select
    publications.publication_id,
    publications.published_at,
    publications.action,
    publications.batch_id,
    publications.as_of,
    publications.previous_as_of,
    mart_names.mart,
    earlier.rows as rows_before,
    later.rows as rows_after,
    (earlier.row_hash is distinct from later.row_hash) as is_changed,
    (publications.as_of > publications.previous_as_of) as is_later_night,
    (publications.action = 'rollback') as is_rollback,
    (publications.code_hash is distinct from publications.previous_code_hash) as is_code_changed,
    (publications.seed_hash is distinct from publications.previous_seed_hash) as are_policies_changed,
    coalesce(late.rows_late, 0)::bigint as rows_late,
    late.late_tables,
    coalesce(late.rows_about_past, 0)::bigint as rows_about_past,
    coalesce(deleted.keys_deleted, 0)::bigint as keys_deleted,
    (
        select count(*)
        from ops.erasures as erasures
        where publications.previously_at < erasures.performed_at and erasures.performed_at <= publications.published_at
    ) as persons_erased
from publications
inner join mart_names on publications.publication_id = mart_names.publication_id
left join ops.publication_marts as earlier
    on publications.previous_id = earlier.publication_id and mart_names.mart = earlier.mart
left join ops.publication_marts as later
    on publications.publication_id = later.publication_id and mart_names.mart = later.mart
left join late on publications.batch_id = late.batch_id
left join deleted on publications.batch_id = deleted.batch_id
where publications.previous_id is not null;

comment on view marts.trust_nights is
'One row per night (batch), the newest may still run: did it end, did BI get it, where and why did it stop? A view: '
'true on a failed night too.';
comment on column marts.trust_nights.batch_id is 'The batch (night); _batch_id of the marts.';
comment on column marts.trust_nights.kind is 'nightly.';
comment on column marts.trust_nights.as_of is 'End of the data interval of the night: what its marts know ends here.';
comment on column marts.trust_nights.state is 'open (runs, failed, or was withdrawn by a rollback) or published.';
comment on column marts.trust_nights.is_live is 'It is what BI reads now.';
comment on column marts.trust_nights.opened_at is 'When the night began to work.';
comment on column marts.trust_nights.published_at is 'When BI got it; empty when it did not.';
comment on column marts.trust_nights.steps_done is 'Finished steps; each loaded table is one.';
comment on column marts.trust_nights.minutes is
'Minutes of work, all finished steps together; loads run side by side, so the clock shows less.';
comment on column marts.trust_nights.failed_steps is
'Steps that failed and did not yet succeed, first to last; empty when there is none.';
comment on column marts.trust_nights.failure is
'What the last of them said, its first line. Holds no row values and no keys.';
comment on column marts.trust_nights.failed_at is 'When the last of them failed.';

comment on view marts.trust_freshness is
'One row per canonical table that was ever loaded: its last load, and how old the newest row was then. A view: true '
'on a failed night too.';
comment on column marts.trust_freshness.table_name is 'The canonical table, as in the contract.';
comment on column marts.trust_freshness.batch_id is 'The night that loaded it last.';
comment on column marts.trust_freshness.as_of is 'End of the data interval of that night.';
comment on column marts.trust_freshness.load_id is 'The load; _load_id in raw and staging.';
comment on column marts.trust_freshness.loaded_at is 'When the load was committed.';
comment on column marts.trust_freshness.rows_appended is 'New versions and deletions that the load brought.';
comment on column marts.trust_freshness.rows_live is 'Rows of the table after the load: keys that are not deleted.';
comment on column marts.trust_freshness.rejects_open is
'Rows of all loads that could not be read and are kept aside, not read since.';
comment on column marts.trust_freshness.rows_quarantined is
'Rows that a critical check set aside: in raw, not in the marts, until they are corrected.';
comment on column marts.trust_freshness.newest_at is
'Write time (else event time) of the newest row; empty for lists without one.';
comment on column marts.trust_freshness.lag_hours is
'Hours from the newest row to the end of the night; negative when the source writes in the future.';
comment on column marts.trust_freshness.usual_lag_hours is
'Median of the same over the 14 loads before; empty before the second load.';
comment on column marts.trust_freshness.is_loaded_tonight is 'The newest night loaded it.';
comment on column marts.trust_freshness.is_late is
'The newest night did not load it (yet), or its newest row is older than a day and than twice what is usual.';

comment on view marts.trust_checks is
'One row per night, gate, table and check: what was asked of the data and did it hold. A view: true on a failed '
'night too. Failing keys are in ops.checks.';
comment on column marts.trust_checks.batch_id is 'The night (trust_nights).';
comment on column marts.trust_checks.as_of is 'End of the data interval of the night.';
comment on column marts.trust_checks.gate is
'volume (how much a source sent), raw (tonight''s loads), marts (before publish) or reconciliation (two independent '
'counts).';
comment on column marts.trust_checks.table_name is 'Canonical table or mart.';
comment on column marts.trust_checks.check_name is 'The expectation with its columns, or the law.';
comment on column marts.trust_checks.severity is 'critical stops the night before publish, warning is reported.';
comment on column marts.trust_checks.is_passed is 'It held.';
comment on column marts.trust_checks.is_quarantined is
'It did not hold, its rows were set aside, and the night went on without them.';
comment on column marts.trust_checks.rows_examined is 'Rows it looked at; empty when it is no check of rows.';
comment on column marts.trust_checks.rows_failed is 'Rows that did not hold it; empty when it is no check of rows.';
comment on column marts.trust_checks.checked_at is 'When it was checked.';

comment on view marts.trust_restatements is
'One row per publication (from the second on) and mart: what changed against the publication before, and what may '
'have changed it. A view.';
comment on column marts.trust_restatements.publication_id is 'The switch of what BI reads, in order.';
comment on column marts.trust_restatements.published_at is 'When BI saw it.';
comment on column marts.trust_restatements.action is 'publish, or rollback to the night before.';
comment on column marts.trust_restatements.batch_id is 'The night that was shown (trust_nights).';
comment on column marts.trust_restatements.as_of is 'End of its data interval.';
comment on column marts.trust_restatements.previous_as_of is 'The same of what BI read until then.';
comment on column marts.trust_restatements.mart is 'The mart; private_ ones are those of marts_private.';
comment on column marts.trust_restatements.rows_before is 'Rows until then; empty when the mart is new.';
comment on column marts.trust_restatements.rows_after is 'Rows from then on; empty when the mart is gone.';
comment on column marts.trust_restatements.is_changed is 'The rows are not the same, lineage columns aside.';
comment on column marts.trust_restatements.is_later_night is
'A day went by: new rows, and open verdicts that became final.';
comment on column marts.trust_restatements.is_rollback is 'An earlier night was shown again.';
comment on column marts.trust_restatements.is_code_changed is
'Models, or the Python that writes what they read, are not those of before.';
comment on column marts.trust_restatements.are_policies_changed is
'Seeds (rules, phrases, topics, thresholds) are not those of before.';
comment on column marts.trust_restatements.rows_late is
'Rows of the night''s loads that the source had written before the night before: they came late.';
comment on column marts.trust_restatements.late_tables is 'The same by canonical table; empty when none came late.';
comment on column marts.trust_restatements.rows_about_past is
'Rows of the night''s loads about events before the night before, late or corrected: they can change earlier days.';
comment on column marts.trust_restatements.keys_deleted is 'Rows that the sources deleted.';
comment on column marts.trust_restatements.persons_erased is
'Persons erased since the publication before: their personal columns are empty, counts stay.';

grant select on marts.trust_nights, marts.trust_freshness, marts.trust_checks, marts.trust_restatements
to analyst, bi_reader, etl, outreach;

reset role;
