"""Types and values of other databases: what PostgreSQL types hold them, and their text for COPY."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]

from retention.extract.reader import AWARE, SourceColumn
from retention.sources.mapping import Mapped

#: Gives a value its COPY text; raises Unfit.
Encoder = Callable[[Any], str]
NULL = r"\N"
NAIVE_TIMESTAMP = "timestamp without time zone"
SPECIAL = re.compile(r"[\\\n\r\t\0]")
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
#: MySQL's "no date". Its own drivers give it as NULL, and so does `is null` there.
ZERO_DATE = "0000-00-00"
#: A number as a boolean; in Python 1 is True.
TRUE, FALSE = {True, "1", b"\x01"}, {False, "0", b"\x00"}
#: MySQL's and MariaDB's types by the code on the wire: their word, and PostgreSQL's for the same values. That an
#: integer is unsigned is not told: one that is too large stops the table by row and column.
WIRE: dict[int, tuple[str, str]] = {
    FIELD_TYPE.TINY: ("tinyint", "smallint"),
    FIELD_TYPE.SHORT: ("smallint", "smallint"),
    FIELD_TYPE.YEAR: ("year", "smallint"),
    FIELD_TYPE.INT24: ("mediumint", "integer"),
    FIELD_TYPE.LONG: ("int", "integer"),
    FIELD_TYPE.LONGLONG: ("bigint", "bigint"),
    FIELD_TYPE.NEWDECIMAL: ("decimal", "numeric"),
    FIELD_TYPE.FLOAT: ("float", "real"),
    FIELD_TYPE.DOUBLE: ("double", "double precision"),
    FIELD_TYPE.DATE: ("date", "date"),
    FIELD_TYPE.DATETIME: ("datetime", NAIVE_TIMESTAMP),
    FIELD_TYPE.TIMESTAMP: ("timestamp", AWARE),
    FIELD_TYPE.TIME: ("time", "interval"),
    FIELD_TYPE.BIT: ("bit", "bit"),
    FIELD_TYPE.JSON: ("json", "json"),
    FIELD_TYPE.BLOB: ("text", "text"),
    FIELD_TYPE.VAR_STRING: ("varchar", "text"),
    FIELD_TYPE.STRING: ("char", "text"),
}
#: What SQLAlchemy reflects, the narrower class first.
REFLECTED: tuple[tuple[type[Any], str], ...] = (
    (sa.Boolean, "boolean"),
    (sa.SmallInteger, "smallint"),
    (sa.BigInteger, "bigint"),
    (sa.Integer, "integer"),
    (sa.Float, "double precision"),
    (sa.Numeric, "numeric"),
    (sa.DateTime, NAIVE_TIMESTAMP),
    (sa.Date, "date"),
    (sa.String, "text"),
)


class Unfit(Exception):
    """A value that the contract's type cannot hold; the message names the column and not the value."""


def of_wire(code: Any, length: int | None, scale: int | None) -> SourceColumn:
    """A column of MySQL or MariaDB by its description in a result."""
    word, kind = WIRE.get(code, (f"type {code}", "text"))
    if length == 1 and code in (FIELD_TYPE.TINY, FIELD_TYPE.BIT):
        # BOOLEAN is another name for tinyint(1) there; nothing keeps other numbers out.
        return SourceColumn(f"{word}(1)", None, ("boolean", kind))
    return SourceColumn(word, scale if kind == "numeric" else None, (kind,))


def of_reflection(kind: sa.types.TypeEngine[Any]) -> SourceColumn:
    """A column as SQLAlchemy's inspector found it."""
    word = str(getattr(kind, "__visit_name__", type(kind).__name__)).lower()
    if isinstance(kind, sa.DateTime) and kind.timezone:
        return SourceColumn(f"{word} with time zone", None, (AWARE,))
    found = next((name for of, name in REFLECTED if isinstance(kind, of)), None)
    scale = kind.scale if found == "numeric" and isinstance(kind, sa.Numeric) else None
    return SourceColumn(word, scale, (found,) if found else ())


def instant(value: object, zone: tzinfo) -> datetime | None:
    """A source's timestamp or date as UTC; `zone` is that of one without an offset."""
    if value is None or str(value).startswith(ZERO_DATE):
        return None
    at = datetime.fromisoformat(str(value))
    try:
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        # The last day of the year 9999 is how some say "never".
        return at.replace(tzinfo=UTC)


def word(value: object) -> str | None:
    """The plain text of a value, as PostgreSQL writes it; None for NULL."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)


def words_of(field: Mapped, column: SourceColumn | None) -> Callable[[Any], str | None]:
    """What takes a source's value to the field's text: through its map, as a constant, or as it is."""
    if column is None:
        fixed = word(field.rule.value)
        return lambda _: fixed
    plain = _bits if column.type.startswith("bit") else word
    if field.rule.map is None:
        return plain
    targets = {source: word(target) for source, target in field.rule.map.items()}
    if field.rule.has_default:
        other = word(field.rule.default)
        return lambda value: targets.get(str(plain(value)), other) if value is not None else other
    return lambda value: targets.get(str(plain(value)), plain(value)) if value is not None else None


def encoder(field: Mapped, column: SourceColumn | None, is_key: bool) -> Encoder:
    """What takes a source's value to the contract column's COPY text. `column` is None for a constant."""
    if column is not None and field.is_plain:
        if field.type == "boolean":
            return _boolean(field.name)
        if field.type in ("timestamptz", "date"):
            return _moment(field, "+00" if AWARE in column.kinds else "", is_key)
    to_word = words_of(field, column)

    def encode(value: Any) -> str:
        text = value if type(value) is str and to_word is word else to_word(value)
        if text is None:
            return NULL
        if SPECIAL.search(text):
            if "\0" in text:
                raise Unfit(f"column {field.name} holds a NUL character")
            return text.translate(ESCAPES)
        return text

    return encode


def _boolean(name: str) -> Encoder:
    def encode(value: Any) -> str:
        if value is None:
            return NULL
        if value in TRUE:
            return "t"
        if value in FALSE:
            return "f"
        raise Unfit(f"column {name} is not a boolean")

    return encode


def _moment(field: Mapped, offset: str, is_key: bool) -> Encoder:
    parse = date.fromisoformat if field.type == "date" else datetime.fromisoformat

    def encode(value: Any) -> str:
        if value is None:
            return NULL
        text = str(value)
        if text.startswith(ZERO_DATE) and not is_key:
            return NULL
        try:
            at = parse(text)
        except ValueError:
            raise Unfit(f"column {field.name} is not a {field.type}") from None
        # An offset that is there is told by the text itself.
        return text if getattr(at, "tzinfo", None) else text + offset

    return encode


def _bits(value: object) -> str | None:
    return str(int.from_bytes(value, "big")) if isinstance(value, bytes) else word(value)


def bound(since: datetime, column: SourceColumn, zone: ZoneInfo) -> datetime | date:
    """`since` as the source writes it in a column, no later than any row that was written after it."""
    if AWARE in column.kinds:
        return since.astimezone(UTC)
    local, later = since.astimezone(zone), (since + timedelta(hours=1)).astimezone(zone)
    if (fallen := (local.utcoffset() or timedelta()) - (later.utcoffset() or timedelta())) > timedelta():
        # Clocks go back within the hour: later rows tell an earlier time.
        local -= fallen
    return local.date() if "date" in column.kinds else local.replace(tzinfo=None)
