"""Extraction from PostgreSQL: nights on a real source and a real warehouse."""

import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from extract_kit import Bench, make_bench, memory_growth

from retention.extract import DeletesRefusedError, DriftError, ExtractError, LoadResult, ReconciliationError
from retention.extract.load import Load, _load
from retention.extract.postgres import connect
from retention.local.postgres import Cluster
from retention.sources.doctor import diagnose
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse

TICKETS = """
zone: Europe/Moscow
tables:
  helpdesk.tickets: {connection: db, table: tickets}
"""
CREATE_TICKETS = """
create table tickets (ticket_id text, priority text, opened_at timestamptz, updated_at timestamptz);
insert into tickets select 't' || n, 'high', '2026-01-01', timestamptz '2026-01-01' + n * interval '1 minute'
from generate_series(1, 100) n;
"""


@pytest.fixture
def bench(cluster: Cluster, warehouse: "Warehouse", tmp_path: Path) -> Bench:
    return make_bench(cluster, warehouse, tmp_path)


def test_first_load_then_a_night_with_a_change_a_new_row_and_a_delete(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    first = bench.load("helpdesk.tickets", TICKETS)
    assert (first.rows_read, first.keys_new, first.live_keys, first.source_keys) == (100, 100, 100, 100)
    assert first.reader == "postgres binary"

    bench.open_source(
        "update tickets set priority = 'low', updated_at = '2026-01-02' where ticket_id = 't5';"
        "insert into tickets values ('t101', 'high', '2026-01-02', '2026-01-02');"
        "delete from tickets where ticket_id = 't7'"
    )
    second = bench.load("helpdesk.tickets", TICKETS)
    assert second.rows_read == 100  # 98 untouched in the overlap, one changed, one new.
    assert (second.rows_appended, second.keys_new, second.keys_deleted, second.live_keys) == (3, 1, 1, 100)
    versions = "select ticket_id, priority, _op from raw.helpdesk__tickets where _load_id = {} order by 1"
    assert bench.query(versions.format(second.load_id)) == [
        ("t101", "high", "u"),
        ("t5", "low", "u"),
        ("t7", None, "d"),
    ]


def test_a_committed_load_is_immutable_and_force_opens_another(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    first = bench.load("helpdesk.tickets", TICKETS)
    bench.open_source("update tickets set priority = 'low' where ticket_id = 't5'")
    (batch_id,) = bench.query("select max(batch_id) from ops.batches")[0]
    again = bench.load("helpdesk.tickets", TICKETS, batch_id)
    assert (again.skipped, again.load_id) == (True, first.load_id)
    forced = bench.load("helpdesk.tickets", TICKETS, batch_id, force=True)
    assert (forced.skipped, forced.rows_read, forced.rows_appended) == (False, 100, 1)


def test_a_quiet_night_appends_nothing(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    quiet = bench.load("helpdesk.tickets", TICKETS)
    assert (quiet.rows_appended, quiet.live_keys) == (0, 100)
    assert quiet.watermark_from is not None


def test_a_row_stamped_with_the_future_hides_no_later_change(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.open_source("update tickets set updated_at = '2099-01-01' where ticket_id = 't1'")
    bench.load("helpdesk.tickets", TICKETS)
    bench.open_source("update tickets set priority = 'low', updated_at = clock_timestamp() where ticket_id = 't2'")
    assert bench.load("helpdesk.tickets", TICKETS).rows_appended == 1


def test_a_deleted_key_that_comes_back_is_live_again(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    bench.open_source("create table kept as select * from tickets where ticket_id = 't1';"
                      "delete from tickets where ticket_id = 't1'")  # fmt: skip
    assert bench.load("helpdesk.tickets", TICKETS).keys_deleted == 1
    bench.open_source("insert into tickets select ticket_id, priority, opened_at, '2026-01-03' from kept")
    back = bench.load("helpdesk.tickets", TICKETS)
    assert (back.keys_new, back.live_keys) == (1, 100)
    history = bench.query("select _op from raw.helpdesk__tickets where ticket_id = 't1' order by _load_id")
    assert history == [("u",), ("d",), ("u",)]


def test_a_half_empty_source_is_refused(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    bench.open_source("delete from tickets where right(ticket_id, 1) in ('1', '2', '3')")
    with pytest.raises(DeletesRefusedError, match=r"helpdesk\.tickets: the source has 70 of the 100 keys"):
        bench.load("helpdesk.tickets", TICKETS)
    assert bench.query("select count(*) from ops.loads") == [(1,)]
    assert bench.query("select count(*) from raw.helpdesk__tickets") == [(100,)]


def test_a_small_table_that_lost_everything_is_refused(bench: Bench) -> None:
    profile = "zone: Europe/Moscow\ntables:\n  helpdesk.vendors: {connection: db, table: vendors}\n"
    bench.open_source(
        "create table vendors (vendor_id text, name text); insert into vendors values ('a', 'A'), ('b', 'B')"
    )
    bench.load("helpdesk.vendors", profile)
    bench.open_source("delete from vendors where vendor_id = 'a'; update vendors set name = 'C'")
    assert bench.load("helpdesk.vendors", profile).rows_appended == 2
    bench.open_source("delete from vendors")
    with pytest.raises(DeletesRefusedError):
        bench.load("helpdesk.vendors", profile)


EVENTS = "zone: Europe/Moscow\ntables:\n  helpdesk.ticket_events: {connection: db, table: ticket_events}\n"
CREATE_EVENTS = """
create table ticket_events (ticket_event_id int, ticket_id int, kind text, event_at timestamp, recorded_at timestamp);
insert into ticket_events
select n, n, 'opened', '2026-01-01 03:00', timestamp '2026-01-01 03:00' + n * interval '1 hour'
from generate_series(1, 50) n;
"""


def test_other_types_go_as_text_and_naive_timestamps_get_the_zone(bench: Bench) -> None:
    bench.open_source(CREATE_EVENTS)
    first = bench.load("helpdesk.ticket_events", EVENTS)
    assert first.reader == "postgres text"
    row = bench.query("select ticket_id, event_at = '2026-01-01 00:00Z' from raw.helpdesk__ticket_events"
                      " where ticket_event_id = '7'")  # fmt: skip
    assert row == [("7", True)]
    assert bench.load("helpdesk.ticket_events", EVENTS).rows_read == 3  # The last, and two hours of overlap.


def test_append_only_rows_that_vanish_or_arrive_behind_the_watermark_are_errors(bench: Bench) -> None:
    bench.open_source(CREATE_EVENTS)
    bench.load("helpdesk.ticket_events", EVENTS)
    bench.open_source("insert into ticket_events values (51, 1, 'status', '2025-01-01', '2025-01-01')")
    with pytest.raises(
        ReconciliationError, match=r"helpdesk\.ticket_events: the source has 51 keys .* 50 would be live"
    ):
        bench.load("helpdesk.ticket_events", EVENTS)
    assert bench.load("helpdesk.ticket_events", EVENTS, force=True).keys_new == 1
    bench.open_source("delete from ticket_events where ticket_event_id = 3")
    with pytest.raises(ReconciliationError, match=r"50 keys .* make its deletes sweep_weekly"):
        bench.load("helpdesk.ticket_events", EVENTS)
    assert bench.query("select count(*) from ops.loads") == [(2,)]


PARTIES = """
zone: Europe/Moscow
tables:
  crm.parties:
    connection: db
    query: select id, typ, changed, case when broken then (1 / (id::int - id::int))::text end as name from people;
    columns:
      party_id: id
      kind: {column: typ, map: {P: person, O: organisation}}
      full_name: name
      language: {value: ru}
      updated_at: changed
"""
CREATE_PEOPLE = """
create table people (id text, typ text, changed timestamptz, broken boolean);
insert into people select n::text, case n % 2 when 0 then 'P' else 'O' end, timestamptz '2026-01-01', false
from generate_series(1, 40) n;
"""


def test_maps_and_constants(bench: Bench) -> None:
    bench.open_source(CREATE_PEOPLE)
    bench.load("crm.parties", PARTIES)
    rows = bench.query(
        "select kind, language, count(*), count(full_name) from raw.crm__parties group by 1, 2 order by 1"
    )
    assert rows == [("organisation", "ru", 20, 0), ("person", "ru", 20, 0)]


def test_a_changed_mapping_reaches_old_rows_once(bench: Bench) -> None:
    bench.open_source(CREATE_PEOPLE)
    # Beyond the overlap of the row that is written last.
    bench.open_source("insert into people values ('41', 'P', '2026-02-01', false)")
    bench.load("crm.parties", PARTIES)
    swapped = PARTIES.replace("{P: person, O: organisation}", "{P: organisation, O: person}")
    assert bench.load("crm.parties", swapped).rows_appended == 41
    kind = "select kind from raw.crm__parties where party_id = '1' order by _load_id"
    assert bench.query(kind) == [("organisation",), ("person",)]
    constant = swapped.replace("value: ru", "value: kk")
    assert bench.load("crm.parties", constant).rows_appended == 41
    assert bench.load("crm.parties", constant).rows_read == 1


def test_a_weekly_sweep_runs_on_mondays_and_when_the_counts_disagree(bench: Bench) -> None:
    bench.open_source(CREATE_PEOPLE)
    bench.load("crm.parties", PARTIES)
    bench.open_source("delete from people where id = '1'")
    assert bench.load("crm.parties", PARTIES).keys_deleted == 1
    # One key leaves while another arrives unseen: the counts agree, only Monday's sweep can tell.
    bench.open_source("update people set id = '100', changed = '2025-01-01' where id = '2'")
    assert bench.load("crm.parties", PARTIES).live_keys == 39
    bench.nights = 6  # The next night is that of a Monday.
    with pytest.raises(ReconciliationError, match="39 keys in the snapshot and 38 would be live"):
        bench.load("crm.parties", PARTIES)
    healed = bench.load("crm.parties", PARTIES, force=True)
    assert (healed.keys_new, healed.keys_deleted, healed.live_keys) == (1, 1, 39)


def test_null_and_repeated_keys_are_rejects_in_a_first_and_in_a_later_load(bench: Bench) -> None:
    bench.open_source(CREATE_PEOPLE)
    bench.open_source("insert into people values (null, 'P', '2026-01-01', false), ('7', 'O', '2026-01-01', false)")
    first = bench.load("crm.parties", PARTIES)
    assert (first.rows_read, first.rows_rejected, first.live_keys, first.source_keys) == (42, 2, 40, 40)
    assert bench.query("select kind from raw.crm__parties where party_id = '7'") == [("organisation",)]
    reasons = bench.query("select reason from raw.rejects order by reason")
    assert reasons == [("key party_id is NULL",), ("key party_id is not unique",)]
    bench.open_source("insert into people values ('41', 'P', '2026-02-01', false), ('41', 'P', '2026-02-01', false)")
    second = bench.load("crm.parties", PARTIES)
    assert (second.rows_rejected, second.keys_new, second.live_keys) == (3, 1, 41)
    indexes = bench.query("select count(*) from pg_indexes where indexname = 'crm__parties_versions'")
    assert indexes == [(1,)]


def test_a_source_that_fails_half_way_is_not_the_end_of_the_table(bench: Bench) -> None:
    bench.open_source(CREATE_PEOPLE)
    bench.open_source("insert into people select n::text, 'P', '2026-01-01', false from generate_series(41, 60000) n")
    bench.open_source("insert into people values ('60001', 'P', '2026-01-01', true)")
    with pytest.raises(
        ExtractError, match=r"crm\.parties: reading the source failed: DivisionByZero \(SQLSTATE 22012\)"
    ):
        bench.load("crm.parties", PARTIES)
    assert bench.query("select count(*) from raw.crm__parties") == [(0,)]
    bench.open_source("update people set broken = false")
    assert bench.load("crm.parties", PARTIES).live_keys == 60001


def test_a_failing_source_row_is_not_quoted_anywhere(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.open_source(
        "create table numbers as select n::text as id, case n when 50000 then '+79990000001' else '1' end as typ"
        " from generate_series(1, 60000) n;"
        " create view vendors as select id as vendor_id, typ::smallint as name from numbers"
    )
    profile = "zone: Europe/Moscow\ntables:\n  helpdesk.vendors: {connection: db, table: vendors}\n"
    with pytest.raises(ExtractError, match=r"NumericValueOutOfRange \(SQLSTATE 22003\)") as caught:
        bench.load("helpdesk.vendors", profile)
    assert "79990000001" not in "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())


def test_the_error_names_row_and_column_and_no_value(bench: Bench) -> None:
    profile = "zone: Europe/Moscow\ntables:\n  crm.plans: {connection: db, table: plans}\n"
    bench.open_source("create table plans (plan_id text, name text, monthly_fee_rub numeric);"
                      "insert into plans values ('a', 'A', 1), ('b', 'B', 79161234567)")  # fmt: skip
    with pytest.raises(ExtractError) as caught:
        bench.load("crm.plans", profile)
    told = "".join(traceback.format_exception(caught.value))
    assert "NumericValueOutOfRange (SQLSTATE 22003), row 2, column monthly_fee_rub." in told
    assert "79161234567" not in told
    assert "79161234567" not in f"{caught.value.__context__!r} {caught.value.__cause__!r}"
    assert "79161234567" not in bench.warehouse.cluster.log.read_text()


ACCEPT = "If the source is right: `retention accept-drift helpdesk.tickets`."
MEND = "Mend the source or the profile, then clear the task."


@pytest.mark.parametrize(
    ("change", "message", "way"),
    [
        ("drop column priority", '"priority" is gone from the source. ', ACCEPT),
        ("alter column priority type int using 1", '"priority" was text in the source and is integer now. ', ACCEPT),
        (
            "rename column priority to prio",
            '"priority" is gone from the source; "prio" (text) is new there: if it was renamed, map it in the profile '
            "(priority: prio). ",
            ACCEPT,
        ),
        (
            "rename column ticket_id to id",
            '"ticket_id" is gone from the source; "id" (text) is new there: if it was renamed, map it in the profile '
            "(ticket_id: id). ",
            MEND,
        ),
        (
            "alter column opened_at type text",
            '"opened_at" is text in the source, which opened_at (timestamptz) cannot take unchanged: give the profile '
            "a query that casts it, or map its words. ",
            MEND,
        ),
    ],
)
def test_drift_stops_the_table_by_name(bench: Bench, change: str, message: str, way: str) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    bench.open_source(f"alter table tickets {change}")
    with pytest.raises(DriftError) as caught:
        bench.load("helpdesk.tickets", TICKETS)
    rest = f"Nothing of this table was loaded; the night stops before publish. {way} See docs/runbooks/schema_drift.md."
    assert str(caught.value) == f"helpdesk.tickets: column {message}{rest}"
    assert bench.query("select count(*) from raw.helpdesk__tickets") == [(100,)]


def test_a_column_that_the_profile_leaves_out_is_no_drift(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    bench.open_source("alter table tickets drop column priority")
    without = TICKETS.replace("table: tickets", "table: tickets, columns: {priority: null}")
    assert bench.load("helpdesk.tickets", without).rows_appended == 100
    assert bench.query("select count(distinct _load_id), count(priority) from raw.helpdesk__tickets") == [(2, 100)]


def test_a_newly_supplied_column_reaches_old_rows(bench: Bench) -> None:
    bench.open_source(CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    bench.open_source("alter table tickets add column status text default 'open'")
    assert bench.load("helpdesk.tickets", TICKETS).rows_appended == 100
    assert bench.load("helpdesk.tickets", TICKETS).rows_appended == 0


def test_required_columns_and_connections_are_named(bench: Bench) -> None:
    bench.open_source("create table tickets (ticket_id text)")
    with pytest.raises(DriftError, match='no column for "opened_at", which is required'):
        bench.load("helpdesk.tickets", TICKETS)
    with pytest.raises(ExtractError, match=r"connection db of .* is not configured \(known: none\)"):
        bench.load("helpdesk.tickets", TICKETS, connections={})
    refused = {"db": "postgresql://nobody@127.0.0.1:1/none"}
    with pytest.raises(ExtractError, match=r"helpdesk\.tickets: connecting to the source db failed: .*refused"):
        bench.load("helpdesk.tickets", TICKETS, connections=refused)


def test_memory_does_not_grow_with_the_table(bench: Bench) -> None:
    profile = "zone: Europe/Moscow\ntables:\n  helpdesk.vendors: {connection: db, table: vendors}\n"
    bench.open_source("create table vendors as select n::text as vendor_id, 'name' as name"
                      " from generate_series(1, 1000000) n")  # fmt: skip
    (bench.folder / "profile.yml").write_text(profile)
    warm_up = f"import psycopg2; psycopg2.connect({bench.source_dsn!r}).close()"
    rows, growth_kb = memory_growth(bench, bench.folder / "profile.yml", warm_up)
    assert rows == 1_000_000
    # Not nothing: then something else than the load would have been measured.
    assert 0 < growth_kb < 60 * 1024


def test_a_source_cut_in_the_middle_loads_nothing(bench: Bench) -> None:
    profile = """
zone: Europe/Moscow
tables:
  helpdesk.vendors: {connection: db, table: slow, columns: {name: {column: slowly}}}
"""
    bench.open_source(
        "create function slowly(n int) returns text stable language plpgsql as"
        " $$begin if n > 20000 then perform pg_sleep(0.01); end if; return 'x'; end$$;"
        "create view slow as select n::text as vendor_id, slowly(n) from generate_series(1, 30000) n"
    )

    def cut() -> None:
        ended: list[int] = []
        while not ended:
            with psycopg2.connect(bench.source_dsn) as conn, conn.cursor() as cur:
                cur.execute(
                    "select pid from pg_stat_activity, lateral (select pg_terminate_backend(pid)) s"
                    " where query like 'copy %' and datname = current_database()"
                )
                ended = [pid for (pid,) in cur.fetchall()]
            conn.close()
            time.sleep(0.1)

    killer = threading.Thread(target=cut)
    killer.start()
    with pytest.raises(ExtractError, match=r"helpdesk\.vendors: reading the source failed: .*(terminat|57P01|closed)"):
        bench.load("helpdesk.vendors", profile)
    killer.join()
    assert bench.query("select count(*) from raw.helpdesk__vendors") == [(0,)]


def test_a_source_may_end_idle_sessions_and_a_query_in_a_comment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.open_source(CREATE_TICKETS)
    database = bench.source_dsn.rpartition("/")[2]
    bench.open_source(f"alter database \"{database}\" set idle_in_transaction_session_timeout = '100ms'")
    profile = TICKETS.replace("table: tickets", 'query: "select * from tickets -- all of them"')
    bench.load("helpdesk.tickets", profile)
    bench.open_source("delete from tickets where ticket_id = 't1'")
    loads: list[str] = []

    def look(load: Load, connections: Mapping[str, str]) -> LoadResult:
        loads.append(repr(load))
        return _load(load, connections)

    monkeypatch.setattr("retention.extract.load._load", look)
    # The keys are read after the pause.
    night = bench.load("helpdesk.tickets", profile, on_progress=lambda stage, rows: time.sleep(0.3))
    assert (night.keys_deleted, night.live_keys) == (1, 99)
    # The environment holds the secret of the pseudonyms.
    assert "helpdesk.tickets" in loads[0]
    assert str(bench.folder) not in loads[0]


@pytest.mark.parametrize("password", ["cret%ret", "pa/cret", "se@cret"])
def test_a_url_that_is_none_shows_nothing_of_its_password(password: str) -> None:
    with pytest.raises(ExtractError, match="the connection's URL is not one: percent-encode its password") as caught:
        connect(f"postgresql://user:{password}@127.0.0.1:1/d", "helpdesk.tickets", "the source db")
    assert "cret" not in str(caught.value)


def test_the_doctor_reads_the_columns_of_a_source(bench: Bench) -> None:
    bench.open_source("create table tickets (ticket_id int, opened_at text, updated_at timestamptz, secret text)")
    (bench.folder / "profile.yml").write_text(TICKETS)
    diagnosis = diagnose(load_profile(bench.folder / "profile.yml"), {"db": bench.source_dsn})
    tickets = next(table for table in diagnosis.tables if table.table == "helpdesk.tickets")
    assert (tickets.state, tickets.origin, tickets.unmapped) == ("unusable", "db: table tickets", ("secret",))
    assert 'column "opened_at" is text in the source' in str(tickets.problem)
    assert tickets.mapped == {"ticket_id": "ticket_id", "opened_at": "opened_at", "updated_at": "updated_at"}
    assert "priority" in tickets.missing
