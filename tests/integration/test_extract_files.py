"""Extraction from delimited files: each once, bad rows kept with a reason, the rest loaded."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from extract_kit import Bench, make_bench

from retention.extract import DriftError, ExtractError
from retention.local.postgres import Cluster
from retention.warehouse.install import install_schemas

if TYPE_CHECKING:
    from tests.conftest import Warehouse

PLAIN = """
zone: Europe/Moscow
tables:
  vendor.call_attempts: {files: "${DROPS}/calls/*.csv"}
"""
HEADER = "attempt_id,vendor_id,attempted_at,is_answered,connected_seconds,ignored\n"


@pytest.fixture
def bench(cluster: Cluster, warehouse: "Warehouse", tmp_path: Path) -> Bench:
    (tmp_path / "calls").mkdir()
    return make_bench(cluster, warehouse, tmp_path)


def drop(bench: Bench, name: str, content: str | bytes) -> None:
    (bench.folder / "calls" / name).write_bytes(content.encode() if isinstance(content, str) else content)


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


def test_bad_rows_are_rejects_with_file_line_and_reason(bench: Bench) -> None:
    good = "ok,v,2026-01-05,true,1,\n"
    bad = [
        ("a,v,05.01.2026,true,1,", "column attempted_at is not a timestamptz"),
        ("b,v,2026-02-30,true,1,", "column attempted_at is not a timestamptz"),
        ("c,v,now,true,1,", "column attempted_at is not a timestamptz"),
        ("d,v,2026-01-05,perhaps,1,", "column is_answered is not a boolean"),
        ("e,v,2026-01-05,true,1.5,", "column connected_seconds is not an integer"),
        ("f,v,2026-01-05", "3 columns, the header has 6"),
        (",v,2026-01-05,true,1,", "key attempt_id is NULL"),
        ("ok,v,2026-01-05,true,2,", "key attempt_id is not unique in the file"),
        ("g,v,2026-01-05,true,1,\udcff", "bytes that are not utf-8"),
        ("h,v,2026-01-05,true,1,\0", "a NUL character"),
    ]
    content = HEADER + good + '"two\nlines",v,2026-01-05,true,1,\n' + "".join(f"{row}\n" for row, _ in bad)
    drop(bench, "1.csv", content.encode(errors="surrogateescape"))
    result = bench.load("vendor.call_attempts", PLAIN)
    assert (result.rows_read, result.rows_rejected, result.live_keys) == (12, 10, 2)
    rejects = bench.query("select file, line, reason from raw.rejects order by line")
    assert rejects == [("1.csv", 5 + n, reason) for n, (_, reason) in enumerate(bad)]
    assert bench.query("select count(*) from raw.rejects where row_text is null") == [(0,)]
    assert bench.query("select rows_read, rows_rejected from ops.files") == [(12, 10)]


def test_a_later_file_restates_a_row_of_the_same_load(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + "a,v,2026-01-05,true,1,\nb,v,2026-01-05,true,1,\n")
    drop(bench, "2.csv", HEADER + "a,v,2026-01-05,true,2,\n")
    result = bench.load("vendor.call_attempts", PLAIN)
    assert (result.rows_read, result.rows_rejected, result.keys_new) == (3, 0, 2)
    seconds = bench.query("select attempt_id, connected_seconds from raw.vendor__call_attempts order by 1")
    assert seconds == [("a", 2), ("b", 1)]


def test_other_shapes_by_profile(bench: Bench) -> None:
    profile = """
zone: Europe/Moscow
tables:
  web.public_reviews:
    files: ${DROPS}/calls/*.csv.gz
    delimiter: ";"
    encoding: cp1251
    decimal: ","
    zone: Asia/Yekaterinburg
    formats: {timestamptz: "%d.%m.%Y %H:%M"}
    columns:
      review_id: "№"
      site: {column: Сайт, map: {б: banki}, default: other}
      posted_at: Когда
      rating: Оценка
      body: Текст
      msisdn: null
"""
    text = (
        "№;Сайт;Когда;Оценка;Текст;msisdn\n"
        '1;б;05.01.2026 10:00;4,5;"Плохо; ""уйду""\nсовсем";79160000000\n'
        "2;я;1/5/26;4;;\n"
    )
    (bench.folder / "calls" / "r.csv.gz").write_bytes(gzip.compress(text.encode("cp1251")))
    result = bench.load("web.public_reviews", profile)
    assert (result.rows_read, result.rows_rejected) == (2, 1)
    rows = bench.query("select review_id, site, posted_at = '2026-01-05 05:00Z', rating::text, body, msisdn"
                       " from raw.web__public_reviews")  # fmt: skip
    assert rows == [("1", "banki", True, "4.5", 'Плохо; "уйду"\nсовсем', None)]
    assert bench.query("select line, reason from raw.rejects") == [
        (4, "column posted_at is not a timestamptz in the given format")
    ]


def test_a_file_without_a_mapped_column_stops_the_table(bench: Bench) -> None:
    drop(bench, "1.csv", "\ufeff" + HEADER + "a,v,2026-01-05,true,1,\n")
    assert bench.load("vendor.call_attempts", PLAIN).keys_new == 1
    drop(bench, "2.csv", "attempt_id,vendor_id,attempted_at\nb,v,2026-01-06\n")
    with pytest.raises(DriftError, match=r'column "is_answered" is gone from file 2\.csv; column "connected_seconds"'):
        bench.load("vendor.call_attempts", PLAIN)
    assert bench.query("select count(*) from raw.vendor__call_attempts") == [(1,)]
    assert bench.query("select count(*) from ops.files") == [(1,)]


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
            "drop index ops.files_once;"
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
