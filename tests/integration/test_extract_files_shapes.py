"""Files as vendors make them: encodings, delimiters, dates, and rows that are none; each bad row with its reason."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from extract_kit import Bench
from files_kit import HEADER, PLAIN, call, drop, empty_bench

from retention.extract import DriftError, ExtractError
from retention.local.postgres import Cluster

if TYPE_CHECKING:
    from tests.conftest import Warehouse

TABLE = "vendor.call_attempts"


@pytest.fixture
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path: Path) -> Bench:
    return empty_bench(cluster, shared_warehouse, tmp_path)


def by_profile(**settings: str) -> str:
    words = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return PLAIN.replace('*.csv"', f'*.csv*", {words}')


def rejects(bench: Bench) -> list[tuple[str, int, str]]:
    return bench.query("select file, line, reason from raw.rejects order by file, line")  # type: ignore[return-value]


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


def test_tabs_between_columns(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER.replace(",", "\t") + call("a").replace(",", "\t"))
    assert bench.load(TABLE, by_profile(delimiter='"\\t"')).keys_new == 1


def test_another_delimiter_than_the_profile_says_stops_the_table(bench: Bench) -> None:
    drop(bench, "1.csv", (HEADER + call("a")).replace(",", ";"))
    with pytest.raises(DriftError, match=r'file 1\.csv has no column for "attempt_id"'):
        bench.load(TABLE, PLAIN)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(bench: Bench, encoding: str) -> None:
    drop(bench, "1.csv", (HEADER + call("номер")).encode(encoding))
    assert bench.load(TABLE, by_profile(encoding="cp1251")).rows_rejected == 0
    assert bench.query("select attempt_id from raw.vendor__call_attempts") == [("номер",)]


def test_utf16_without_a_mark_by_profile(bench: Bench) -> None:
    drop(bench, "1.csv", (HEADER + call("номер")).encode("utf-16-le"))
    assert bench.load(TABLE, by_profile(encoding="utf-16-le")).keys_new == 1


def test_utf16_cut_in_the_middle_stops_the_table(bench: Bench) -> None:
    drop(bench, "1.csv", (HEADER + call("a")).encode("utf-16")[:-1])
    with pytest.raises(ExtractError, match=r"file 1\.csv, near line \d: not utf-16"):
        bench.load(TABLE, by_profile(encoding="utf-16"))
    assert bench.query("select count(*) from ops.files") == [(0,)]


def test_cp1251_read_as_utf8_is_rejected_row_by_row(bench: Bench) -> None:
    drop(bench, "1.csv", (HEADER + call("a") + call("Привет")).encode("cp1251"))
    assert bench.load(TABLE, PLAIN).keys_new == 1
    assert rejects(bench) == [("1.csv", 3, "bytes that are not utf-8")]
    assert bench.load(TABLE, by_profile(encoding="cp1251")).keys_new == 1


def test_swapped_day_and_month_by_profile(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a", 1, "01/05/26 10:30 PM"))
    bench.load(TABLE, by_profile(formats='{timestamptz: "%m/%d/%y %I:%M %p"}'))
    one = "select attempted_at = '2026-01-05 22:30+03' from raw.vendor__call_attempts order by _load_id desc limit 1"
    assert bench.query(one) == [(True,)]
    bench.load(TABLE, by_profile(formats='{attempted_at: "%d/%m/%y %I:%M %p"}'))
    assert bench.query(one.replace("01-05", "05-01")) == [(True,)]


def test_a_decimal_comma_by_profile_only(bench: Bench) -> None:
    profile = """
zone: UTC
tables:
  web.public_reviews: {files: "${DROPS}/calls/*.csv", delimiter: ";"}
"""
    drop(bench, "1.csv", "review_id;rating;posted_at\n1;4,5;2026-01-05\n2;4.5;2026-01-05\n3;1.234,5;2026-01-05\n")
    bench.load("web.public_reviews", profile)
    assert [line for _, line, _ in rejects(bench)] == [2, 4]
    bench.load("web.public_reviews", profile.replace('";"}', '";", decimal: ","}'))
    found = bench.query("select review_id, rating::text from raw.web__public_reviews order by _load_id, 1")
    assert found == [("2", "4.5"), ("1", "4.5")]


def test_line_ends_inside_quotes_and_of_every_system(bench: Bench) -> None:
    drop(bench, "1.csv", (HEADER + call('"a\r\nb\nc"') + "\n" + call("d") + call("e", "x")).replace("x\n", "x\r\n"))
    assert bench.load(TABLE, PLAIN).keys_new == 2
    assert bench.query("select attempt_id from raw.vendor__call_attempts order by 1") == [("a\r\nb\nc",), ("d",)]
    # Lines are those of the file, as an editor counts them.
    assert rejects(bench) == [("1.csv", 7, "column connected_seconds is not an integer")]


def test_packed_files(bench: Bench) -> None:
    drop(bench, "1.csv.gz", gzip.compress((HEADER + call("a")).encode()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner.csv", HEADER + call("b"))
    drop(bench, "2.csv.zip", packed.getvalue())
    assert bench.load(TABLE, by_profile()).keys_new == 2
    drop(bench, "3.csv.gz", gzip.compress((HEADER + call("c")).encode())[:-10])
    with pytest.raises(ExtractError, match=r"file 3\.csv\.gz, near line \d: cut short or damaged"):
        bench.load(TABLE, by_profile())


def test_a_quote_that_is_never_closed_loses_no_row_silently(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a") + call('"b') + call("c"))
    result = bench.load(TABLE, PLAIN)
    assert (result.rows_read, result.keys_new, rejects(bench)) == (2, 1, [("1.csv", 3, "1 columns, the header has 6")])


def test_a_pattern_makes_what_does_not_match_a_reject(bench: Bench) -> None:
    ruled = by_profile(columns="{attempt_id: {column: attempt_id, pattern: '^\\d+$'}}")
    drop(bench, "1.csv", HEADER + call("17") + call("seventeen") + call("") + call("18 "))
    assert bench.load(TABLE, ruled).keys_new == 1
    assert rejects(bench) == [
        ("1.csv", 3, "column attempt_id does not match ^\\d+$"),
        ("1.csv", 4, "key attempt_id is NULL"),
        ("1.csv", 5, "column attempt_id does not match ^\\d+$"),
    ]
