"""Values of other databases as COPY text, and the bound of a cursor where clocks change."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention.extract.reader import AWARE, SourceColumn
from retention.extract.sql_values import NULL, Unfit, bound, encoder, instant, of_wire
from retention.sources.mapping import Mapped
from retention.sources.profile import ColumnRule

BERLIN = ZoneInfo("Europe/Berlin")
TEXT = SourceColumn("varchar", None, ("text",))
DATETIME = SourceColumn("datetime", None, ("timestamp without time zone",))
TIMESTAMP = SourceColumn("timestamp", None, (AWARE,))
UNESCAPED = {r"\\": "\\", r"\n": "\n", r"\r": "\r", r"\t": "\t"}


def encode(value: Any, kind: str, column: SourceColumn, is_key: bool = False, **rule: Any) -> str:
    return encoder(Mapped("c", kind, ColumnRule(column="c", **rule)), column, is_key)(value)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_can_be_read_back(text: str) -> None:
    told = encode(text, "text", TEXT)
    assert not set("\n\r\t") & set(told)
    assert told != NULL
    assert "".join(_parts(told)) == text


def _parts(told: str) -> list[str]:
    """A COPY text's characters with their escapes undone."""
    found, i = [], 0
    while i < len(told):
        width = 2 if told[i] == "\\" else 1
        found.append(UNESCAPED.get(told[i : i + width], told[i : i + width]))
        i += width
    return found


@pytest.mark.parametrize(
    ("value", "kind", "column", "told"),
    [
        (None, "text", TEXT, NULL),
        ("", "text", TEXT, ""),
        (r"\N", "text", TEXT, r"\\N"),
        (Decimal("1E+3"), "numeric(12,2)", SourceColumn("decimal", 2, ("numeric",)), "1000"),
        (b"\xff\x00", "text", TEXT, r"\\xff00"),
        (b"\x01", "boolean", of_wire(16, 1, 0), "t"),
        (b"\x05", "text", of_wire(16, 8, 0), "5"),
        (False, "boolean", of_wire(1, 1, 0), "f"),
        ("2026-01-01 03:00:00.5", "timestamptz", DATETIME, "2026-01-01 03:00:00.5"),
        ("2026-01-01 03:00:00.5", "timestamptz", TIMESTAMP, "2026-01-01 03:00:00.5+00"),
        (datetime(2026, 1, 1, 3, tzinfo=UTC), "timestamptz", DATETIME, "2026-01-01 03:00:00+00:00"),
        (date(2026, 1, 1), "date", SourceColumn("date", None, ("date",)), "2026-01-01"),
        ("0000-00-00 00:00:00", "timestamptz", DATETIME, NULL),
    ],
)
def test_values_as_the_warehouse_reads_them(value: object, kind: str, column: SourceColumn, told: str) -> None:
    assert encode(value, kind, column) == told


@pytest.mark.parametrize(
    ("value", "kind", "is_key", "reason"),
    [
        ("a\0b", "text", False, "column c holds a NUL character"),
        ("2026-02-31 00:00:00", "timestamptz", False, "column c is not a timestamptz"),
        ("2026-00-15", "date", False, "column c is not a date"),
        ("0000-00-00", "date", True, "column c is not a date"),
        ("2", "boolean", False, "column c is not a boolean"),
    ],
)
def test_what_the_warehouse_cannot_hold_is_named_without_its_value(
    value: str, kind: str, is_key: bool, reason: str
) -> None:
    with pytest.raises(Unfit) as caught:
        encode(value, kind, DATETIME, is_key)
    assert str(caught.value) == reason


def test_maps_tell_words_apart_byte_by_byte() -> None:
    words: dict[str, Any] = {"map": {"TEL": "call", "1": True, "none": None}}
    assert [encode(word, "text", TEXT, **words) for word in ("TEL", "tel", "1", "none", None)] == [
        "call", "tel", "true", NULL, NULL,
    ]  # fmt: skip
    assert [encode(word, "text", TEXT, **words, default="email") for word in ("tel", None)] == ["email", "email"]


@given(st.integers(-7200, 7200), st.integers(0, 7200), st.sampled_from(["2026-03-29", "2026-10-25", "2026-07-01"]))
def test_no_row_written_after_the_bound_is_below_it(start: int, later: int, day: str) -> None:
    since = datetime.fromisoformat(f"{day} 01:00+00:00") + timedelta(seconds=start)
    written = (since + timedelta(seconds=later)).astimezone(BERLIN).replace(tzinfo=None)
    at = bound(since, DATETIME, BERLIN)
    assert isinstance(at, datetime)
    assert written >= at
    assert at >= since.astimezone(BERLIN).replace(tzinfo=None) - timedelta(hours=1)


def test_instants_of_a_source() -> None:
    assert instant("2026-07-01 02:00:00", BERLIN) == datetime(2026, 7, 1, tzinfo=UTC)
    assert instant("9999-12-31 23:59:59", ZoneInfo("America/New_York")) is not None
    assert instant("0000-00-00 00:00:00", BERLIN) is None
    assert instant(date(2026, 1, 1), BERLIN) == datetime(2025, 12, 31, 23, tzinfo=UTC)
