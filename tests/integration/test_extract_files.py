"""Extraction from delimited files: each once, bad rows kept with a reason, the rest loaded."""

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from extract_kit import Bench
from files_kit import HEADER, PLAIN, call, drop, empty_bench, seconds_by_attempt

from retention.extract import DriftError, ExtractError, rejects
from retention.extract.drops import Drops
from retention.local.postgres import Cluster
from retention.sources.doctor import diagnose
from retention.sources.profile import load_profile
from retention.warehouse.install import install_schemas

if TYPE_CHECKING:
    from tests.conftest import Warehouse


@pytest.fixture
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path: Path) -> Bench:
    return empty_bench(cluster, shared_warehouse, tmp_path)


def test_a_glob_without_files_is_an_empty_load(bench: Bench) -> None:
    empty = bench.load("vendor.call_attempts", PLAIN)
    assert (empty.rows_read, empty.live_keys, empty.watermark_to) == (0, 0, None)


def test_each_file_is_loaded_once_and_a_replaced_one_again(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + "a,v,2026-01-05 10:00,true,30,x\nb,v,2026-01-05T10:00:00Z,false,,x\n")
    first = bench.load("vendor.call_attempts", PLAIN)
    assert (first.rows_read, first.keys_new) == (2, 2)
    rows = bench.query("select attempt_id, attempted_at at time zone 'UTC', is_answered, connected_seconds"
                       " from raw.vendor__call_attempts order by 1")  # fmt: skip
    assert [(r[0], str(r[1]), *r[2:]) for r in rows] == [
        ("a", "2026-01-05 07:00:00", True, 30),
        ("b", "2026-01-05 10:00:00", False, None),
    ]
    assert bench.load("vendor.call_attempts", PLAIN).rows_read == 0
    drop(bench, "1.csv", HEADER + "a,v,2026-01-05 10:00,true,31,x\nb,v,2026-01-05T10:00:00Z,false,,x\n")
    again = bench.load("vendor.call_attempts", PLAIN)
    assert (again.rows_read, again.rows_appended, again.live_keys) == (2, 1, 2)
    assert again.watermark_to == first.watermark_to
    assert len(bench.query("select file from ops.files")) == 2


def test_a_later_file_restates_a_row_of_the_same_load(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + "a,v,2026-01-05,true,1,\nb,v,2026-01-05,true,1,\n")
    drop(bench, "2.csv", HEADER + "a,v,2026-01-05,true,2,\n")
    result = bench.load("vendor.call_attempts", PLAIN)
    assert (result.rows_read, result.rows_rejected, result.keys_new) == (3, 0, 2)
    seconds = bench.query("select attempt_id, connected_seconds from raw.vendor__call_attempts order by 1")
    assert seconds == [("a", 2), ("b", 1)]


def test_a_file_without_a_mapped_column_stops_the_table(bench: Bench) -> None:
    drop(bench, "1.csv", "\ufeff" + HEADER + "a,v,2026-01-05,true,1,\n")
    assert bench.load("vendor.call_attempts", PLAIN).keys_new == 1
    drop(bench, "2.csv", "attempt_id,vendor_id,attempted_at\nb,v,2026-01-06\n")
    with pytest.raises(DriftError, match=r'column "is_answered" is gone from file 2\.csv; column "connected_seconds"'):
        bench.load("vendor.call_attempts", PLAIN)
    assert bench.query("select count(*) from raw.vendor__call_attempts") == [(1,)]
    assert bench.query("select count(*) from ops.files") == [(1,)]


def test_a_file_without_a_header_is_refused_and_shows_no_value(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a"))
    bench.load("vendor.call_attempts", PLAIN)
    drop(bench, "2.csv", "b17,Anna Petrova,2026-01-06,true,1,+79160000000\n")
    with pytest.raises(DriftError, match=r'"attempt_id" is gone from file 2\.csv') as caught:
        bench.load("vendor.call_attempts", PLAIN)
    (bench.folder / "profile.yml").write_text(PLAIN)
    profile = load_profile(bench.folder / "profile.yml").resolved({"DROPS": str(bench.folder)})
    (seen,) = (found for found in diagnose(profile, {}).tables if found.table == "vendor.call_attempts")
    assert (seen.state, seen.unmapped) == ("unusable", ())
    for told in (str(caught.value), str(seen)):
        assert not [cell for cell in ("b17", "Petrova", "79160000000") if cell in told]


def test_reading_an_old_file_again_forgets_no_column_of_the_others(bench: Bench) -> None:
    drop(bench, "1.csv", "attempt_id,vendor_id,attempted_at,extra\na,v,2026-01-05,x\nb,v,yesterday,x\n")
    bench.load("vendor.call_attempts", PLAIN)
    drop(bench, "2.csv", HEADER + call("c"))
    bench.load("vendor.call_attempts", PLAIN)
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        rejects.ask(cur, "vendor.call_attempts")
    assert bench.load("vendor.call_attempts", PLAIN).rows_read == 2
    shape = "select columns ? 'connected_seconds', unmapped from ops.source_shapes"
    assert bench.query(shape) == [(True, ["extra", "ignored"])]
    drop(bench, "3.csv", "attempt_id,vendor_id,attempted_at,is_answered\nd,v,2026-01-07,true\n")
    with pytest.raises(DriftError, match=r'"connected_seconds" is gone from file 3\.csv'):
        bench.load("vendor.call_attempts", PLAIN)


def test_an_empty_file_is_not_a_quiet_day(bench: Bench) -> None:
    drop(bench, "1.csv", "")
    with pytest.raises(ExtractError, match=r"vendor\.call_attempts: file 1\.csv is empty"):
        bench.load("vendor.call_attempts", PLAIN)
    drop(bench, "1.csv", HEADER)
    assert bench.load("vendor.call_attempts", PLAIN).rows_read == 0


def test_a_corrected_profile_and_a_forced_load_read_known_files_again(bench: Bench) -> None:
    drop(bench, "1.csv", "attempt_id,vendor_id,attempted_at,is_answered\na,v,05.01.2026,true\nb,v,06.01.2026,true\n")
    # A column that the older file lacks: reading that one again is no drift.
    bench.load("vendor.call_attempts", PLAIN)
    drop(bench, "2.csv", HEADER + "c,v,07.01.2026,true,1,\n")
    assert bench.load("vendor.call_attempts", PLAIN).rows_rejected == 1
    fixed = PLAIN.replace('*.csv"', '*.csv", formats: {timestamptz: "%d.%m.%Y"}')
    read = bench.load("vendor.call_attempts", fixed)
    assert (read.rows_read, read.rows_rejected, read.keys_new, read.live_keys) == (3, 0, 3, 3)
    assert bench.load("vendor.call_attempts", fixed).rows_read == 0
    forced = bench.load("vendor.call_attempts", fixed, force=True)
    assert (forced.rows_read, forced.rows_appended, forced.live_keys) == (3, 0, 3)
    # Changed back, the profile is a changed one too.
    assert bench.load("vendor.call_attempts", PLAIN).rows_rejected == 3


def test_books_of_files_from_before_get_their_new_columns(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + "a,v,2026-01-05,true,1,\n")
    bench.load("vendor.call_attempts", PLAIN)
    admin = psycopg2.connect(bench.warehouse.cluster.dsn(bench.warehouse.database))
    with admin, admin.cursor() as cur:
        cur.execute(
            "truncate raw.file_statements; drop index ops.files_once;"
            "alter table ops.files drop column source_hash, drop column contract_hash,"
            " add unique (table_name, file, sha256);"
            "alter table ops.source_shapes drop column source_hash"
        )
    install_schemas(admin)
    install_schemas(admin)
    admin.close()
    again = bench.load("vendor.call_attempts", PLAIN)
    assert (again.rows_read, again.rows_appended) == (1, 0)
    assert bench.load("vendor.call_attempts", PLAIN).rows_read == 0


def test_a_missing_folder_is_not_a_quiet_day(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a"))
    bench.load("vendor.call_attempts", PLAIN)
    shutil.rmtree(bench.folder / "calls")
    with pytest.raises(ExtractError, match=r"files cannot be read: .*FileNotFoundError.*Nothing of this table"):
        bench.load("vendor.call_attempts", PLAIN)


def test_only_files_that_match_are_taken_at_any_depth(bench: Bench) -> None:
    (bench.folder / "calls" / "2026" / "01").mkdir(parents=True)
    drop(bench, "2026/01/05.csv", HEADER + call("a"))
    drop(bench, "2026/01/06.csv.part", "half of a fi")
    drop(bench, "top.csv", HEADER + call("b"))
    deep = PLAIN.replace("calls/*.csv", "calls/*/*/*.csv")
    assert bench.load("vendor.call_attempts", deep).rows_read == 1
    assert bench.load("vendor.call_attempts", PLAIN.replace("calls/*.csv", "calls/**/*.csv")).rows_read == 1
    assert bench.query("select file from ops.files order by 1") == [("2026/01/05.csv",), ("top.csv",)]


class Opened:
    """Which files a load opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        really = Drops.open

        def counted(drops: Drops, path: str) -> object:
            self.names.append(Path(path).name)
            return really(drops, path)

        monkeypatch.setattr(Drops, "open", counted)

    def take(self) -> list[str]:
        names, self.names = self.names, []
        return names


def test_known_files_are_not_opened_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    first = drop(bench, "1.csv", HEADER + call("a", 1))
    drop(bench, "2.csv", HEADER + call("b", 1))
    bench.load("vendor.call_attempts", PLAIN)
    assert opened.take() == ["1.csv", "2.csv"]
    bench.load("vendor.call_attempts", PLAIN)
    assert opened.take() == []
    # Touched only: hashed once, remembered, not loaded.
    os.utime(first, (1, 1))
    assert bench.load("vendor.call_attempts", PLAIN).rows_read == 0
    assert opened.take() == ["1.csv"]
    bench.load("vendor.call_attempts", PLAIN)
    assert opened.take() == []


def test_a_replaced_file_of_the_same_size_is_noticed_by_its_time(bench: Bench) -> None:
    path = drop(bench, "1.csv", HEADER + call("a", 1))
    os.utime(path, (1, 1))
    bench.load("vendor.call_attempts", PLAIN)
    path.write_text(HEADER + call("a", 2))
    os.utime(path, (2, 2))
    assert bench.load("vendor.call_attempts", PLAIN).rows_appended == 1
    assert seconds_by_attempt(bench) == {"a": 2}


def test_a_late_old_file_does_not_overwrite_what_a_newer_one_said(bench: Bench) -> None:
    drop(bench, "01-05.csv", HEADER + call("a", 5) + call("b", 5))
    drop(bench, "01-07.csv", HEADER + call("a", 7))
    bench.load("vendor.call_attempts", PLAIN)
    # The 7th is known. What the 6th says of `a` is older, of `b` newer than the 5th, of `c` new.
    drop(bench, "01-06.csv", HEADER + call("a", 6) + call("b", 6) + call("c", 6))
    late = bench.load("vendor.call_attempts", PLAIN)
    assert (late.rows_read, late.rows_rejected, late.rows_appended, late.live_keys) == (3, 0, 2, 3)
    assert seconds_by_attempt(bench) == {"a": 7, "b": 6, "c": 6}


def test_a_row_restated_unchanged_counts_as_said_by_the_newer_file(bench: Bench) -> None:
    drop(bench, "01-05.csv", HEADER + call("a", 1))
    bench.load("vendor.call_attempts", PLAIN)
    drop(bench, "01-07.csv", HEADER + call("a", 1))
    assert bench.load("vendor.call_attempts", PLAIN).rows_appended == 0
    drop(bench, "01-06.csv", HEADER + call("a", 6))
    assert bench.load("vendor.call_attempts", PLAIN).rows_appended == 0
    assert seconds_by_attempt(bench) == {"a": 1}


def test_a_replaced_files_rows_replace_its_own_and_none_of_a_newer_file(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a", 1) + call("b", 1) + call("gone", 1))
    drop(bench, "2.csv", HEADER + call("b", 2))
    bench.load("vendor.call_attempts", PLAIN)
    drop(bench, "1.csv", HEADER + call("a", 10) + call("b", 10))
    again = bench.load("vendor.call_attempts", PLAIN)
    assert (again.rows_appended, again.keys_deleted, again.live_keys) == (1, 0, 3)
    # What the file no longer has stays, and is counted.
    assert seconds_by_attempt(bench) == {"a": 10, "b": 2, "gone": 1}
    assert bench.query("select file, keys_not_restated from ops.files order by file_id") == [
        ("1.csv", None), ("2.csv", None), ("1.csv", 1),
    ]  # fmt: skip


TICKETS = """
zone: UTC
tables:
  helpdesk.tickets: {files: "${DROPS}/calls/*.csv"}
"""


def ticket(status: str, updated_on: str) -> str:
    return f"ticket_id,status,opened_at,updated_at\n1,{status},2026-01-01,{updated_on}\n"


def test_where_rows_say_when_they_were_written_that_decides_not_the_name(bench: Bench) -> None:
    # Names that do not sort: the 31st of January before the 1st of February.
    drop(bench, "01.02.csv", ticket("closed", "2026-02-01"))
    drop(bench, "31.01.csv", ticket("open", "2026-01-31"))
    bench.load("helpdesk.tickets", TICKETS)
    latest = "select status from raw.helpdesk__tickets order by _load_id desc limit 1"
    assert bench.query(latest) == [("closed",)]
    drop(bench, "30.01.csv", ticket("new", "2026-01-30"))
    assert bench.load("helpdesk.tickets", TICKETS).rows_appended == 0
    # A file that is corrected takes back what it said, whenever that was.
    drop(bench, "01.02.csv", ticket("pending", "2026-01-29"))
    bench.load("helpdesk.tickets", TICKETS)
    assert bench.query(latest) == [("pending",)]


def test_a_row_that_its_file_repeats_does_not_decide_between_files(bench: Bench) -> None:
    # The 12th is a reject: the 11th is the last that counts.
    drop(bench, "a.csv", ticket("open", "2026-01-10") + "1,closed,2026-01-01,2026-01-12\n")
    drop(bench, "b.csv", ticket("pending", "2026-01-11"))
    loaded = bench.load("helpdesk.tickets", TICKETS)
    assert (loaded.rows_rejected, loaded.rows_appended) == (1, 1)
    assert bench.query("select status from raw.helpdesk__tickets") == [("pending",)]
    # Of a file read again it is counted what it does not state any more.
    drop(bench, "b.csv", "ticket_id,status,opened_at,updated_at\n2,open,2026-01-01,2026-01-11\n")
    bench.load("helpdesk.tickets", TICKETS)
    assert bench.query("select keys_not_restated from ops.files order by file_id") == [(None,), (None,), (1,)]
