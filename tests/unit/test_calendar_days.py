"""The seed of special days: written by the command, checked against the law and against the list of short days."""

import csv
import re
from datetime import date, timedelta
from pathlib import Path

import holidays
import pytest

from retention.calendars.days import (
    CalendarError,
    ShortDays,
    as_csv,
    days_of,
    parse_years,
    read_short_days,
    refuse_lost_years,
)  # fmt: skip

SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "calendar_days.csv"


def seed_rows() -> list[dict[str, str]]:
    with SEED.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_seed_is_what_the_command_writes() -> None:
    years = sorted({int(row["day_on"][:4]) for row in seed_rows()})
    assert len(years) >= 3
    written = as_csv(days_of(range(years[0], years[-1] + 1), read_short_days()))
    assert written == SEED.read_text(encoding="utf-8"), "run `retention calendars --years FIRST-LAST`"


def shortened_by_law(year: int) -> set[date]:
    """Working days right before a holiday itself, not before a day off that was moved there.

    A working Saturday has the length of the day it stands in for (Labour Code of Russia, articles 95 and 112).
    """
    off = holidays.country_holidays("RU", years=(year, year + 1), language="en_US")
    moved = {
        day: date(int(found[3]), int(found[1]), int(found[2]))
        for day, name in off.items() if (found := re.search(r"substituted from (\d+)/(\d+)/(\d+)", name))
    }  # fmt: skip
    eves = {day - timedelta(days=1) for day, name in off.items() if day not in moved and "observed" not in name}
    worked = {moved[eve] if moved.get(eve) in off.weekend_workdays else eve for eve in eves}
    return {
        day for day in worked if day.year == year
        and (day in off.weekend_workdays or (day not in off and day.isoweekday() <= 5))
    }  # fmt: skip


@pytest.mark.parametrize("year", range(2021, 2029))
def test_the_checked_short_days_are_those_that_the_law_shortens(year: int) -> None:
    listed = {day for day in read_short_days().minutes if day.year == year}
    assert len(listed) >= 3
    assert listed == shortened_by_law(year)


def test_short_days_are_working_days_before_holidays() -> None:
    days = {date.fromisoformat(row["day_on"]): row for row in seed_rows()}
    short = {day for day, row in days.items() if int(row["closes_earlier_minutes"])}
    assert len(short) >= 20
    for day in short:
        assert days[day]["kind"] in ("short", "working")
        following = day + timedelta(days=1)
        if days[day]["kind"] == "short":
            assert day.isoweekday() <= 5
            assert days[following]["kind"] == "holiday", day


def test_moved_working_days_have_the_hours_of_the_day_they_stand_in_for() -> None:
    working = {row["day_on"]: row for row in seed_rows() if row["kind"] == "working"}
    assert {day: row["as_weekday"] for day, row in working.items()} == {
        "2024-04-27": "1", "2024-11-02": "2", "2024-12-28": "1", "2025-11-01": "1", "2027-02-20": "1",
    }  # fmt: skip
    assert {row["closes_earlier_minutes"] for day, row in working.items() if day in ("2024-04-27", "2024-12-28")} == {
        "0"
    }


def test_a_year_that_nobody_checked_is_refused() -> None:
    with pytest.raises(CalendarError, match=r"no short days of 2019, 2020\. Nothing was written"):
        days_of(range(2019, 2022), read_short_days())


@pytest.mark.parametrize("day", [date(2025, 5, 1), date(2025, 4, 27)])
def test_a_short_day_on_which_nobody_works_is_refused(day: date) -> None:
    with pytest.raises(CalendarError, match=f"{day} is not a working day"):
        days_of(range(2025, 2026), ShortDays({day: 60}, {2025: False}))


@pytest.mark.parametrize("text", ["", "20", "2025-2024", "2024,2025"])
def test_years_are_the_first_and_the_last(text: str) -> None:
    with pytest.raises(CalendarError, match="Nothing was written"):
        parse_years(text)


def test_years_of_the_seed_do_not_go_without_a_word(tmp_path: Path) -> None:
    years = sorted({int(row["day_on"][:4]) for row in seed_rows()})
    refuse_lost_years(range(years[0] - 1, years[-1] + 2), SEED)
    refuse_lost_years(range(years[-1], years[-1] + 1), tmp_path / "none_yet.csv")
    with pytest.raises(CalendarError, match=rf"days of {years[0]}, too.*Ask for {years[0]}-{years[-1]}"):
        refuse_lost_years(range(years[0] + 1, years[-1] + 1), SEED)
