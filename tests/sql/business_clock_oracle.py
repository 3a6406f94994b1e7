"""Business time by walking: every second of a clock is looked at on the wall of its zone, and counted or not.

Slow and plain on purpose, without anything of the models: rows in the form of the seeds, `zoneinfo`, and a loop.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
#: Stands for an end that has not come.
MISSING = datetime(9000, 1, 1, tzinfo=UTC)
Pause = tuple[datetime, datetime | None]
Row = dict[str, str]


@dataclass(frozen=True)
class Clock:
    """What the models get: open without `stopped_at`; no target without `target`, which is in seconds."""

    code: str
    zone: str
    started_at: datetime
    stopped_at: datetime | None = None
    target: int | None = None
    pauses: tuple[Pause, ...] = ()


@dataclass(frozen=True)
class Walked:
    """What the walk counted, in seconds."""

    business: int
    paused: int
    due_at: datetime | None


def read_seed(name: str) -> list[Row]:
    """Rows of a seed."""
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def minute_of(time: str) -> int:
    """HH:MM as minutes of the day."""
    return int(time[:2]) * 60 + int(time[3:])


class Oracle:
    """Calendars given as rows of the seeds `calendars` and `calendar_days`."""

    def __init__(self, hours: Iterable[Row], days: Iterable[Row]) -> None:
        """Nothing is looked at yet."""
        self.hours = list(hours)
        self.days = {(row["country"], date.fromisoformat(row["day_on"])): row for row in days}
        self._windows = cache(self._windows_of)
        self.is_open = cache(self._is_open)

    def _windows_of(self, code: str, day: date) -> Sequence[tuple[int, int]]:
        windows, shorter = [], 0
        for row in self.hours:
            if row["calendar_code"] != code:
                continue
            special = self.days.get((row["holiday_country"], day), {})
            weekday = int(special.get("as_weekday") or day.isoweekday())
            is_valid = row["valid_from"] <= day.isoformat() < (row["valid_to"] or "9999")
            if special.get("kind") == "holiday" or weekday != int(row["weekday"]) or not is_valid:
                continue
            opens, closes = minute_of(row["opens_at"]), minute_of(row["closes_at"])
            windows.append((opens, closes if opens < closes else closes + 1440))
            shorter = int(special.get("closes_earlier_minutes") or 0)
        last = max((closes for _, closes in windows), default=0) - shorter
        return [(opens, min(closes, last)) for opens, closes in windows]

    def _is_open(self, code: str, zone: str, minute: int) -> bool:
        wall = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
        now, today = wall.hour * 60 + wall.minute, wall.date()
        return any(opens <= now < closes for opens, closes in self._windows(code, today)) or any(
            opens <= now + 1440 < closes for opens, closes in self._windows(code, today - timedelta(days=1))
        )

    def walk(self, clock: Clock, until: datetime | None = None) -> Walked:
        """Count a clock's seconds up to its stop (or `until`), and find when its target is used up.

        The due instant is looked for up to a fortnight past the end; a stop ends a pause. No second of a closed minute
        counts, so those are passed by the minute.
        """
        ended_at = clock.stopped_at or until
        assert ended_at is not None
        start, end = round(clock.started_at.timestamp()), round(ended_at.timestamp())
        pauses = [(begin.timestamp(), (stop or MISSING).timestamp()) for begin, stop in clock.pauses]
        business = paused = used = 0
        due = start if clock.target == 0 else None
        for minute in range(start // 60, max(start, end) // 60 + 14 * 1440):
            if minute * 60 >= end and (due is not None or clock.target is None):
                break
            if not self.is_open(clock.code, clock.zone, minute):
                continue
            for second in range(max(minute * 60, start), minute * 60 + 60):
                is_over = second >= end
                is_stopped = is_over and clock.stopped_at is not None
                in_pause = not is_stopped and any(begin <= second < stop for begin, stop in pauses)
                business += not is_over and not in_pause
                paused += not is_over and in_pause
                used += not in_pause
                if due is None and used == clock.target:
                    due = second + 1
        return Walked(business, paused, None if due is None else datetime.fromtimestamp(due, UTC))
