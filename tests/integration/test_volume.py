"""Loss: an empty, half or old extract is refused, whatever the table's deletes; what is accepted passes once."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from extract_kit import Bench, make_bench

from retention.extract import DeletesRefusedError, LoadResult, ReconciliationError, VolumeError
from retention.extract.acceptance import accept_loss, refusal
from retention.local.postgres import Cluster
from retention.quality.loss import check_loss
from retention.sources.contract import Contract, load_contract

if TYPE_CHECKING:
    from tests.conftest import Warehouse


@pytest.fixture(scope="module")
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for the module: each test has a canonical table of its own."""
    folder = tmp_path_factory.mktemp("volume")
    (folder / "calls").mkdir()
    yield make_bench(cluster, shared_warehouse, folder)


def plain(table: str) -> str:
    return f"zone: Europe/Moscow\ntables:\n  {table}: {{connection: db, table: {table.split('.')[1]}}}\n"


def execute(bench: Bench, statement: str) -> None:
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        cur.execute(statement)


def load(bench: Bench, table: str, batch_id: int | None = None, force: bool = False) -> LoadResult:
    """Load as a night does: a day passes after it."""
    result = bench.load(table, plain(table), batch_id, force)
    execute(bench, "update ops.loads set snapshot_at = snapshot_at - interval '1 day'")
    return result


def accept(bench: Bench, table: str) -> int:
    """Open a night in which the table's loss is accepted."""
    batch_id = bench.new_batch()
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        accept_loss(cur, batch_id, table, "an archive job")
    return batch_id


def refused(bench: Bench, table: str, error: Exception) -> str | None:
    """Book why the last night stopped at the table, as a night does; what `accept-loss` finds of it."""
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.failures (batch_id, step, message) select max(batch_id), %s, %s from ops.batches"
            " on conflict (batch_id, step) do update set message = excluded.message returning batch_id",
            (f"extract {table}", f"{type(error).__name__}: {error}"),
        )
        (batch_id,) = cur.fetchone() or (0,)
        return refusal(cur, batch_id, table)


def versions(bench: Bench, table: str, where: str) -> list[tuple[str, ...]]:
    query = f"select _op from raw.{table.replace('.', '__')} where {where} order by _load_id"
    return bench.query(query)


#: Canonical tables of each kind of deletes, and what makes one of 100 rows in the source.
DELETES = [
    ("none", "crm.subscription_events",
     "'e' || n as subscription_event_id, 's' as subscription_id, 'debt' as kind, ts as event_at, ts as recorded_at"),
    ("flag", "helpdesk.retention_actions",
     "'a' || n as action_id, 'offer' as step, ts as action_at, ts as updated_at"),
    ("sweep_nightly", "crm.consents",
     "'c' || n as consent_id, 'p' as party_id, 'surveys' as kind, ts as granted_at, ts as updated_at"),
    ("sweep_weekly", "crm.parties", "'p' || n as party_id, 'person' as kind, ts as updated_at"),
]  # fmt: skip


@pytest.mark.parametrize(("deletes", "table", "columns"), DELETES)
def test_half_a_table_is_refused_by_keys_and_accepted_once(
    bench: Bench, deletes: str, table: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = load_contract()
    spec = contract.tables[table].model_copy(update={"deletes": deletes})
    changed = Contract(version=1, tables={**contract.tables, table: spec})
    monkeypatch.setattr("retention.extract.load.load_contract", lambda: changed)
    name = table.split(".")[1]
    bench.open_source(
        f"create table {name} as select {columns} from generate_series(1, 100) n,"
        " lateral (select timestamptz '2026-01-01' + n * interval '1 hour' as ts) t"
    )
    load(bench, table)
    bench.open_source(f"delete from {name} where right({spec.key[0]}, 1) < '5'")
    before = bench.query(f"select count(*) from raw.{table.replace('.', '__')}")
    with pytest.raises(DeletesRefusedError) as caught:
        load(bench, table)
    told = str(caught.value)
    assert told.startswith(f"{table}: the source has ")
    assert " of the 100 keys of the last load (ratio 0." in told
    assert f"`retention accept-loss {table}`. See docs/runbooks/volume.md." in told
    # Whole or in part, forced or not: nothing was appended.
    with pytest.raises(DeletesRefusedError):
        load(bench, table, force=True)
    assert bench.query(f"select count(*) from raw.{table.replace('.', '__')}") == before
    batch_id = accept(bench, table)
    accepted = load(bench, table, batch_id)
    assert accepted.keys_deleted == 100 - accepted.live_keys > 20
    # It held for one load of that night.
    bench.open_source(f"delete from {name}")
    for again in (lambda: load(bench, table, batch_id, force=True), lambda: load(bench, table)):
        with pytest.raises(DeletesRefusedError, match=r"the source has 0 of the .*\(ratio 0\.00\)"):
            again()


def test_an_accepted_loss_lets_no_larger_one_through(bench: Bench) -> None:
    table = "helpdesk.vendors"
    bench.open_source("create table vendors as select 'v' || n as vendor_id from generate_series(1, 100) n")
    load(bench, table)
    batch_id = bench.new_batch()

    def lose(which: str, message: str) -> None:
        bench.open_source(f"delete from vendors where {which}")
        with pytest.raises(DeletesRefusedError, match=message) as caught:
            load(bench, table, batch_id)
        assert refused(bench, table, caught.value) is not None
        with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
            accept_loss(cur, batch_id, table, None)

    lose("right(vendor_id, 1) < '5'", "the source has 50 of the 100 keys of the last load")
    lose("right(vendor_id, 1) < '9'", r"the source has 10 of the 50 keys that were accepted \(ratio 0\.20\): refusing")
    bench.open_source("delete from vendors where vendor_id = 'v9'")
    assert load(bench, table, batch_id).live_keys == 9
    losses = f"select least_keys, load_id is not null from ops.accepted_losses where batch_id = {batch_id}"
    assert bench.query(losses) == [(10, True)]


def test_a_corrected_zone_is_no_old_snapshot(bench: Bench) -> None:
    table = "helpdesk.qa_audits"
    bench.open_source(
        "create table qa_audits as select 'a' as audit_id, timestamp '2026-01-05 12:00' as audited_at,"
        " timestamp '2026-01-05 12:00' as recorded_at"
    )
    assert bench.load(table, plain(table).replace("Europe/Moscow", "UTC")).keys_new == 1
    # Three hours earlier than what was seen.
    assert load(bench, table).rows_appended == 1
    bench.open_source("update qa_audits set recorded_at = '2026-01-05 11:00'")
    with pytest.raises(VolumeError, match="a replica that lags"):
        load(bench, table)


def test_rows_that_vanish_from_an_append_only_table_are_counted_with_the_remedy(bench: Bench) -> None:
    table = "helpdesk.incidents"
    bench.open_source(
        "create table incidents as select 'i' || n as incident_id, ts as started_at, ts as updated_at"
        " from generate_series(1, 100) n, lateral (select timestamptz '2026-01-01' + n * interval '1 hour' as ts) t"
    )
    load(bench, table)
    bench.open_source("delete from incidents where incident_id in ('i1', 'i2')")
    with pytest.raises(
        ReconciliationError,
        match=r"98 keys in the snapshot and 100 would be live .*make its deletes sweep_weekly .*accept-loss",
    ):
        load(bench, table)
    # Accepted, they are deleted here too.
    assert load(bench, table, accept(bench, table)).keys_deleted == 2
    assert versions(bench, table, "incident_id = 'i1'") == [("u",), ("d",)]
    assert load(bench, table).rows_appended == 0


def test_a_deleted_key_comes_back_only_when_a_later_snapshot_has_it(bench: Bench) -> None:
    table, history = "helpdesk.tickets", "ticket_id = 't100'"
    bench.open_source(
        "create table tickets as select 't' || n as ticket_id, ts as opened_at, ts as updated_at"
        " from generate_series(1, 100) n, lateral (select timestamptz '2026-01-01' + n * interval '1 minute' as ts) t"
    )
    load(bench, table)
    bench.open_source(
        "create table deleted as select * from tickets where ticket_id = 't100';"
        "delete from tickets where ticket_id = 't100';"
        "insert into tickets values ('t101', '2026-01-02', '2026-01-02')"
    )
    assert load(bench, table).keys_deleted == 1
    # A replica that has not seen these two writes yet: t100 lives there, inside the overlap.
    bench.open_source(
        "create table later as select * from tickets where ticket_id = 't101';"
        "delete from tickets where ticket_id = 't101'; insert into tickets select * from deleted"
    )
    with pytest.raises(VolumeError, match=r"latest write is of 2026-01-01 01:40:00 UTC, .* 2026-01-02 .*a replica"):
        load(bench, table)
    assert versions(bench, table, history) == [("u",), ("d",)]
    # The source itself restored it, with its old time of writing: the counts disagree, and reading it whole finds it.
    bench.open_source("insert into tickets select * from later")
    with pytest.raises(
        ReconciliationError, match=r"101 keys .* 100 would be live .*`retention reload helpdesk\.tickets`"
    ) as caught:
        load(bench, table)
    # More keys are no loss: there is nothing to accept.
    assert refused(bench, table, caught.value) is None
    (batch_id,) = bench.query("select max(batch_id) from ops.batches")[0]
    back = load(bench, table, batch_id, force=True)
    # The reload is the night's load: going on with the night asks for no other.
    assert load(bench, table, batch_id).skipped
    assert bench.query(f"select is_forced from ops.loads where load_id = {back.load_id}") == [(False,)]
    assert (back.keys_new, back.keys_back, back.keys_deleted, back.live_keys) == (1, 1, 0, 101)
    assert versions(bench, table, history) == [("u",), ("d",), ("u",)]
    assert bench.query(f"select keys_back from ops.loads where load_id = {back.load_id}") == [(1,)]


def test_a_restated_row_is_another_version_whatever_its_date(bench: Bench) -> None:
    table = "helpdesk.incident_impacts"
    bench.open_source(
        "create table incident_impacts (impact_id text, incident_id text, subscription_id text, started_at timestamptz,"
        " updated_at timestamptz); insert into incident_impacts values ('a', 'i', 's', '2026-01-05', '2026-01-05')"
    )
    load(bench, table)
    bench.open_source("update incident_impacts set started_at = '2025-06-01', updated_at = '2026-01-06'")
    assert load(bench, table).rows_appended == 1
    restated = (
        "select date(started_at at time zone 'UTC')::text, _op from raw.helpdesk__incident_impacts order by _load_id"
    )
    assert bench.query(restated) == [("2026-01-05", "u"), ("2025-06-01", "u")]


def test_a_load_of_far_fewer_rows_than_usual_is_refused(bench: Bench) -> None:
    table = "helpdesk.ticket_events"
    bench.open_source("create table ticket_events (ticket_event_id text, ticket_id text, kind text,"
                      " event_at timestamptz, recorded_at timestamptz)")  # fmt: skip

    def write(day: int, rows: int) -> None:
        bench.open_source(
            f"insert into ticket_events select '{day}-' || n, 't', 'opened', ts, ts from generate_series(1, {rows}) n,"
            f" lateral (select timestamptz '2026-01-{day:02} 12:00' as ts) t"
        )

    write(1, 1000)
    load(bench, table)
    for day in (2, 3, 4):
        # Two loads do not say what is usual.
        write(day, 500 if day != 3 else 10)
        load(bench, table)
    write(5, 99)
    with pytest.raises(
        VolumeError, match=r"99 new or changed rows in the source, the last 3 such loads had a median of 500"
    ):
        load(bench, table)
    write(6, 1)
    assert load(bench, table).rows_appended == 100  # A fifth of 500.
    # An unchanged source is told too, though the overlap still reads rows of it.
    with pytest.raises(VolumeError, match=r"ticket_events: 0 new or changed rows .*\(ratio 0\.00\): refusing"):
        load(bench, table)
    # Soon after a whole load it is no sign, though that one's own rows are none either.
    assert load(bench, table, force=True).watermark_from is None
    with pytest.raises(VolumeError):
        load(bench, table)
    execute(bench, "update ops.loads set snapshot_at = now() where load_id = (select max(load_id) from ops.loads)")
    assert load(bench, table).rows_appended == 0
    # The nights after one that was missed come close together: what they read is no sign.
    execute(bench, "update ops.loads set snapshot_at = now() where load_id = (select max(load_id) from ops.loads)")
    assert load(bench, table).rows_appended == 0
    assert load(bench, table, accept(bench, table)).rows_appended == 0


def test_new_files_of_far_fewer_rows_than_usual_are_refused(bench: Bench) -> None:
    name = "vendor.call_attempts"
    profile = f'zone: Europe/Moscow\ntables:\n  {name}: {{files: "${{DROPS}}/calls/*.csv"}}\n'

    def drop(day: int, rows: int) -> None:
        lines = "".join(f"{day}-{n},v,2026-01-{day:02}\n" for n in range(rows))
        (bench.folder / "calls" / f"{day}.csv").write_text(f"attempt_id,vendor_id,attempted_at\n{lines}")

    for day in (1, 2, 3):
        drop(day, 300)
        bench.load(name, profile)
    drop(4, 40)
    with pytest.raises(VolumeError, match="40 rows in new files, the last 3 such loads had a median of 300"):
        bench.load(name, profile)
    # Beside the next night's it is as short.
    drop(5, 300)
    with pytest.raises(
        VolumeError, match="40 rows in the smallest new file, the last 3 such loads had a median of 300"
    ):
        bench.load(name, profile)
    (bench.folder / "calls" / "5.csv").unlink()
    # No new file is a warning of the checks, a file restated with fewer rows no new one.
    (bench.folder / "calls" / "4.csv").unlink()
    assert bench.load(name, profile).rows_read == 0
    drop(3, 20)
    assert bench.load(name, profile).rows_read == 20
    drop(4, 40)
    batch_id = accept(bench, name)
    assert bench.load(name, profile, batch_id).rows_read == 40


def test_a_half_month_of_usage_is_a_warning(bench: Bench) -> None:
    table = "crm.usage_months"
    bench.open_source("create table usage_months (subscription_id text, month_on date, updated_at timestamptz)")

    def write(month: str, subscriptions: str) -> int:
        bench.open_source(
            f"insert into usage_months select 's' || n, '{month}', '{month}' from generate_series({subscriptions}) n"
        )
        return load(bench, table).load_id

    def warned(day: int = 2) -> list[int | None]:
        (batch_id,) = bench.query("select max(batch_id) from ops.batches")[0]
        execute(
            bench,
            f"insert into ops.current_run (batch_id, as_of) values ({batch_id}, '2026-03-{day:02}')"
            " on conflict (is_current) do update set batch_id = excluded.batch_id, as_of = excluded.as_of",
        )
        verdict = check_loss(bench.warehouse.dsn(), batch_id)
        return [check.rows_failed for check in verdict.warnings if check.name == "month_is_whole"]

    first = write("2026-01-01", "1, 40")
    execute(
        bench,
        "insert into ops.load_consumption (load_id, batch_id)"
        f" select load_id, batch_id from ops.loads where load_id = {first}",
    )
    write("2026-02-01", "1, 20")
    assert warned() == [20]
    write("2026-02-01", "21, 35")
    assert warned() == []
    # Found whole, it is not read again on the nights of this month that follow.
    execute(
        bench, "update ops.batches set as_of = '2026-03-02' where batch_id = (select max(batch_id) from ops.batches)"
    )
    write("2026-02-01", "36, 36")
    assert warned(3) == []
    booked = "select count(*) from ops.checks where check_name = 'month_is_whole' and batch_id >= {}"
    assert bench.query(booked.format("(select max(batch_id) from ops.batches) - 1")) == [(1,)]
    assert bench.query(booked.format("(select max(batch_id) from ops.batches)")) == [(0,)]


def test_live_subscriptions_are_counted_only_when_needed_and_from_staging(bench: Bench) -> None:
    table = "crm.subscriptions"
    bench.open_source(
        "create table subscriptions as select 's' || n as subscription_id, 'p' as party_id, 'prepaid' as product,"
        " 'active' as status, timestamptz '2025-01-01' as activated_at, timestamptz '2026-01-01' as updated_at"
        " from generate_series(1, 40) as n"
    )

    def consume(loaded: LoadResult) -> None:
        execute(
            bench,
            "insert into ops.load_consumption (load_id, batch_id)"
            f" select load_id, batch_id from ops.loads where load_id = {loaded.load_id}",
        )

    def live() -> list[int | None]:
        (batch_id,) = bench.query("select max(batch_id) from ops.batches")[0]
        execute(
            bench,
            f"insert into ops.current_run (batch_id, as_of) values ({batch_id}, '2026-03-20')"
            " on conflict (is_current) do update set batch_id = excluded.batch_id, as_of = excluded.as_of",
        )
        checks = check_loss(bench.warehouse.dsn(), batch_id).checks
        return [check.rows_examined for check in checks if check.name == "newly_ended"]

    consume(load(bench, table))
    load(bench, table)
    assert live() == []
    bench.open_source("update subscriptions set status = 'suspended', updated_at = '2026-01-02' where party_id = 'p'")
    tonight = load(bench, table)
    assert live() == [40]
    execute(
        bench,
        "create table staging.stg_crm__subscriptions as select distinct subscription_id, status, terminated_at from"
        " raw.crm__subscriptions where subscription_id < 's3' and status = 'active'",
    )
    staged = bench.query("select count(*)::int from staging.stg_crm__subscriptions")[0][0]
    assert 0 < staged < 40
    assert live() == [staged]
    # A staging that has tonight's loads does not say what was before them.
    consume(tonight)
    assert live() == [40]
