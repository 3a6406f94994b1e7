"""Drift of real sources: the table stops by name, and goes on when somebody accepted it or mapped it."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from extract_kit import Bench, make_bench
from psycopg2.extensions import cursor as Cursor

from retention.extract import DriftError
from retention.extract.acceptance import AcceptanceError, Proposal, accept_drift, propose
from retention.local.postgres import Cluster
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse


@pytest.fixture(scope="module")
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for the module: each test has a canonical table of its own."""
    folder = tmp_path_factory.mktemp("drift")
    (folder / "calls").mkdir()
    yield make_bench(cluster, shared_warehouse, folder)


def proposal(bench: Bench, table: str, profile: str, cur: Cursor) -> Proposal:
    path = bench.folder / "profile.yml"
    path.write_text(profile)
    resolved = load_profile(path).resolved({"DROPS": str(bench.folder)})
    return propose(cur, table, resolved, {"db": bench.source_dsn})


def accept(bench: Bench, table: str, profile: str, note: str | None = None) -> list[str]:
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        found = proposal(bench, table, profile, cur)
        accept_drift(cur, found, note)
        return found.lines()


def plain(table: str, rest: str = "") -> str:
    return f"zone: Europe/Moscow\ntables:\n  {table}: {{connection: db, table: {table.split('.')[1]}{rest}}}\n"


def test_a_column_accepted_as_gone_is_empty_in_new_versions_and_kept_in_old_ones(bench: Bench) -> None:
    name, profile = "helpdesk.tickets", plain("helpdesk.tickets")
    bench.open_source(
        "create table tickets (ticket_id text, priority text, opened_at timestamptz, updated_at timestamptz);"
        "insert into tickets select 't' || n, 'high', '2026-01-01', '2026-01-01' from generate_series(1, 100) n;"
    )
    bench.load(name, profile)
    bench.open_source("alter table tickets drop column priority, add column urgency int")
    with pytest.raises(DriftError, match=r'"priority" is gone from the source\. Nothing of this table was loaded'):
        bench.load(name, profile)
    assert accept(bench, name, profile, "the helpdesk dropped it") == [
        "priority -> priority: text -> gone",
        "the table is read whole, and its 100 live rows get a new version in which priority is empty; what was known "
        "stays in their older versions in raw",
    ]
    loaded = bench.load(name, profile)
    assert (loaded.watermark_from, loaded.rows_appended, loaded.live_keys) == (None, 100, 100)
    versions = f"select count(*) filter (where _load_id < {loaded.load_id}), count(priority), count(*)"
    assert bench.query(f"{versions} from raw.helpdesk__tickets") == [(100, 100, 200)]
    history = "select note, columns_before ->> 'priority', columns ->> 'priority' from ops.shape_versions"
    assert bench.query(history) == [("the helpdesk dropped it", "text", "gone")]
    # It is the new shape now: nothing is read whole again, and nothing is left to accept.
    quiet = bench.load(name, profile)
    assert (quiet.watermark_from is not None, quiet.rows_appended) == (True, 0)
    with pytest.raises(AcceptanceError, match="There is nothing to accept"):
        accept(bench, name, profile)
    # Back again, it is a newly supplied column.
    bench.open_source("alter table tickets add column priority text default 'low'")
    assert bench.load(name, profile).rows_appended == 100
    bench.open_source("alter table tickets drop column priority")
    with pytest.raises(DriftError, match='"priority" is gone'):
        bench.load(name, profile)


def test_a_renamed_column_is_proposed_and_mapped(bench: Bench) -> None:
    name, profile = "helpdesk.teams", plain("helpdesk.teams")
    bench.open_source("create table teams as select 'a' as team_id, 'A' as name, 'x' as note, 1 as size")
    bench.load(name, profile)
    bench.open_source("alter table teams rename column name to title")
    with pytest.raises(DriftError, match=r'"title" \(text\) is new there: .* \(name: title\)\. Nothing') as caught:
        bench.load(name, profile)
    assert "note" not in str(caught.value)
    mapped = plain(name, ", columns: {name: title}")
    assert bench.load(name, mapped).rows_appended == 0
    bench.open_source("alter table teams drop column title")
    with pytest.raises(DriftError, match=r'"title" is gone from the source \(it fills name\)'):
        bench.load(name, mapped)
    # The profile names it, and it may be missing all the same.
    assert accept(bench, name, mapped)[0] == "title -> name: text -> gone"
    assert bench.load(name, mapped).rows_appended == 1
    assert bench.load(name, mapped).rows_appended == 0


@pytest.mark.parametrize(
    ("table", "create", "change", "message", "rows"),
    [
        ("helpdesk.vendors", "select '1' as vendor_id, '5' as name", "name type int using name::int",
         '"name" was text in the source and is integer now', 0),
        ("helpdesk.pilots", "select 'p' as pilot_id, '2026-01-01 03:00+03'::timestamptz as starts_at",
         "starts_at type timestamp using starts_at at time zone 'UTC'",
         '"starts_at" was timestamp with time zone in the source and is timestamp without time zone now', 1),
        ("crm.plans", "select 'p' as plan_id, 100::bigint as monthly_fee_rub", "monthly_fee_rub type numeric(12,2)",
         '"monthly_fee_rub" was bigint in the source and is numeric now', 0),
    ],
)  # fmt: skip
def test_a_retyped_column_stops_until_it_is_accepted(
    bench: Bench, table: str, create: str, change: str, message: str, rows: int
) -> None:
    name = table.split(".")[1]
    bench.open_source(f"create table {name} as {create}")
    bench.load(table, plain(table))
    bench.open_source(f"alter table {name} alter column {change}")
    with pytest.raises(
        DriftError, match=rf"{message}\. Nothing .*`retention accept-drift {table}`\. See docs/runbooks"
    ):
        bench.load(table, plain(table))
    assert accept(bench, table, plain(table))[-1].startswith("the table is read whole; rows whose values differ")
    # A naive instant is one of the profile's zone from then on: an honest new version.
    assert bench.load(table, plain(table)).rows_appended == rows
    assert bench.load(table, plain(table)).rows_appended == 0


def test_a_wider_type_is_no_drift(bench: Bench) -> None:
    name, profile = "helpdesk.channel_totals", plain("helpdesk.channel_totals")
    bench.open_source(
        "create table channel_totals (day_on date, channel varchar(9), contacts smallint, updated_at timestamptz);"
        "insert into channel_totals values ('2026-01-01', 'call', 7, '2026-01-02')"
    )
    bench.load(name, profile)
    bench.open_source("alter table channel_totals alter channel type text, alter contacts type bigint")
    assert bench.load(name, profile).rows_appended == 0


def test_what_no_load_could_take_is_not_accepted(bench: Bench) -> None:
    name, profile = "helpdesk.qa_audits", plain("helpdesk.qa_audits")
    bench.open_source(
        "create table qa_audits (audit_id text, score int, audited_at timestamptz, recorded_at timestamptz);"
        "insert into qa_audits values ('a', 5, '2026-01-01', '2026-01-01')"
    )
    bench.load(name, profile)
    bench.open_source(
        "alter table qa_audits drop column recorded_at, alter score type text, alter audited_at type text"
    )
    with pytest.raises(DriftError) as caught:
        accept(bench, name, profile)
    told = str(caught.value)
    assert '"recorded_at" is gone from the source: map another column to it in the profile' in told
    assert "such a query has, for example, score::numeric(5,2) as score" in told
    assert "Nothing was accepted" in told
    assert bench.query("select count(*) from ops.shape_versions where table_name = 'helpdesk.qa_audits'") == [(0,)]
    cast = profile.replace("table: qa_audits", "query: 'select audit_id, score::int, audited_at::timestamptz,"
                           " audited_at::timestamptz as recorded_at from qa_audits'")  # fmt: skip
    assert bench.load(name, cast).rows_appended == 0


def test_a_table_never_loaded_or_not_supplied_has_nothing_to_accept(bench: Bench) -> None:
    with pytest.raises(AcceptanceError, match=r"crm\.regions was never loaded"):
        accept(bench, "crm.regions", plain("crm.regions"))
    with pytest.raises(AcceptanceError, match=r"does not supply it"):
        accept(bench, "crm.parties", plain("crm.regions"))


CALLS = 'zone: Europe/Moscow\ntables:\n  vendor.call_attempts: {files: "${DROPS}/calls/*.csv"}\n'


def test_a_column_gone_from_files_can_be_accepted(bench: Bench) -> None:
    name, folder = "vendor.call_attempts", bench.folder / "calls"
    (folder / "1.csv").write_text("attempt_id,vendor_id,attempted_at,is_answered\na,v,2026-01-05,true\n")
    bench.load(name, CALLS)
    # Two nights' files wait: one has the column, the other has not.
    (folder / "2.csv").write_text("attempt_id,vendor_id,attempted_at,is_answered\nb,v,2026-01-06,true\n")
    (folder / "3.csv").write_text("attempt_id,vendor_id,attempted_at,answered\nc,v,2026-01-07,true\n")
    with pytest.raises(DriftError, match=r'"is_answered" is gone from file 3\.csv; "answered" \(text\) is new there'):
        bench.load(name, CALLS)
    assert accept(bench, name, CALLS)[1] == (
        "in rows of new files is_answered is empty; rows of files that were read keep it"
    )
    assert bench.load(name, CALLS).keys_new == 2
    (folder / "4.csv").write_text("attempt_id,vendor_id,attempted_at,answered\nd,v,2026-01-08,true\n")
    assert bench.load(name, CALLS).keys_new == 1
    answers = "select attempt_id, is_answered from raw.vendor__call_attempts order by 1"
    assert bench.query(answers) == [("a", True), ("b", True), ("c", None), ("d", None)]
    # Back in a later file, it is expected again, of old ones too when a changed profile has them read again.
    (folder / "5.csv").write_text("attempt_id,vendor_id,attempted_at,is_answered\ne,v,2026-01-09,true\n")
    assert bench.load(name, CALLS).keys_new == 1
    changed = CALLS.replace('*.csv"', '*.csv", columns: {recorded_at: attempted_at}')
    with pytest.raises(DriftError, match=r'"is_answered" is gone from file 3\.csv'):
        bench.load(name, changed)
    accept(bench, name, changed)
    assert bench.load(name, changed).rows_read == 5
