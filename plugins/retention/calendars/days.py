"""Days that are not as their weekday says, for the seed calendar_days: holidays, moved working days, short days.

Holidays and moved days come from the package `holidays`; it knows no short days, so those are a list beside this module
that a person checks against the year's official calendar (short_days.csv). docs/business_time.md says how.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date
from io import StringIO
from pathlib import Path

import holidays

COUNTRY = "RU"
SHORT_DAYS = Path(__file__).with_name("short_days.csv")
_MOVED = re.compile(r"substituted from (\d\d)/(\d\d)/(\d{4})")


class CalendarError(RuntimeError):
    """The days of a year cannot be written; the message says which and what to do."""


@dataclass(frozen=True)
class CalendarDay:
    """A row of the seed. `as_weekday` (1-7) is set on a moved working day: the weekday whose hours it has."""

    country: str
    day_on: date
    kind: str
    closes_earlier_minutes: int
    as_weekday: int | None
    is_provisional: bool
    name: str


@dataclass(frozen=True)
class ShortDays:
    """The checked list: minutes by day, and for each year in it whether its moved days are still to be decreed."""

    minutes: dict[date, int]
    is_provisional: dict[int, bool]


def read_short_days(path: Path = SHORT_DAYS) -> ShortDays:
    """The checked list of short days."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    days = {date.fromisoformat(row["day_on"]): row for row in rows}
    return ShortDays(
        minutes={day: int(row["closes_earlier_minutes"]) for day, row in days.items()},
        is_provisional={day.year: row["year_is_provisional"] == "true" for day, row in days.items()},
    )


def days_of(years: range, short: ShortDays) -> list[CalendarDay]:
    """The rows of these years, by day.

    Raises CalendarError for a year without checked short days, and for a short day on which nobody works.
    """
    unchecked = [year for year in years if year not in short.is_provisional]
    if unchecked:
        raise CalendarError(
            f"{SHORT_DAYS.name}: no short days of {', '.join(map(str, unchecked))}. Nothing was written. "
            "Add them from the official calendar of that year, see docs/business_time.md"
        )
    return [day for year in years for day in _days_of_year(year, short)]


def refuse_lost_years(years: range, seed: Path) -> None:
    """Raises CalendarError when the seed holds days of other years than these: they would go without a word."""
    if not seed.exists():
        return
    with seed.open(encoding="utf-8", newline="") as stream:
        held = {date.fromisoformat(row["day_on"]).year for row in csv.DictReader(stream)}
    lost = sorted(held - set(years))
    if lost:
        raise CalendarError(
            f"{seed.name} holds days of {', '.join(map(str, lost))}, too: without them clocks of those years would run "
            f"through holidays. Nothing was written. Ask for {min(held | set(years))}-{max(held | set(years))}; to let "
            "those years go all the same, delete their lines first"
        )


def _days_of_year(year: int, short: ShortDays) -> list[CalendarDay]:
    off = holidays.country_holidays(COUNTRY, years=year, language="en_US")
    moved = {
        date(int(found[3]), int(found[1]), int(found[2])): day
        for day, name in off.items() if (found := _MOVED.search(name))
    }  # fmt: skip
    provisional = short.is_provisional[year]
    rows = [CalendarDay(COUNTRY, day, "holiday", 0, None, provisional, name) for day, name in off.items()]
    for day in off.weekend_workdays:
        minutes = short.minutes.get(day, 0)
        name = f"Working day instead of {moved[day].isoformat()}"
        rows.append(CalendarDay(COUNTRY, day, "working", minutes, moved[day].isoweekday(), provisional, name))
    for day, minutes in short.minutes.items():
        if day.year != year or day in off.weekend_workdays:
            continue
        if day in off or day.isoweekday() > 5:
            raise CalendarError(f"{SHORT_DAYS.name}: {day} is not a working day. Nothing was written")
        rows.append(CalendarDay(COUNTRY, day, "short", minutes, None, provisional, "Day before a holiday"))
    return sorted(rows, key=lambda row: row.day_on)


def parse_years(text: str) -> range:
    """`2024-2028` or `2025` as years; CalendarError for anything else."""
    found = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", text)
    years = range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)
    if not years:
        raise CalendarError(f"years `{text}`: wanted the first and the last one, as 2023-2028. Nothing was written")
    return years


def as_csv(rows: Sequence[CalendarDay]) -> str:
    """The seed's text: header, one line per row, the same for the same rows."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(CalendarDay))
    for row in rows:
        writer.writerow(str(value).lower() if isinstance(value, bool) else value for value in astuple(row))
    return text.getvalue()
