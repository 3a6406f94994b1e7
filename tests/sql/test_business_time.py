"""Business time in SQL against a walk second by second, and the worked values of the definitions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from business_clock_oracle import Clock, Oracle, Row, read_seed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planting import MOSCOW, Planted, at
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from conftest import Warehouse
from retention.transform import Built

ZONES = ("Europe/Moscow", "Asia/Yekaterinburg", "Asia/Vladivostok", "Europe/Berlin", "America/New_York")
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
CODES = ("24x7", "office_9_18", "office_lunch", "six_days", "line_8_22", "overlapping", "nights", "moved", "plain")
#: Days around which something happens: holidays, a short and a working day, clocks set forward and back.
DAYS = ("2024-12-27", "2025-03-08", "2025-03-29", "2025-04-30", "2025-06-10", "2025-10-25", "2025-10-31", "2025-11-01")
QUERY = """
with

clocks as (select * from given_clocks),

pauses as (select * from given_pauses),

{{ clock_ctes('clocks', 'pauses') }},

now_at_calendar as ({{ with_open_seconds('clocks', ['as_of']) }})

select
    clock_times.clock_id, calendar_seconds, business_seconds, paused_seconds, due_at, is_paused, is_outside_calendar,
    {{ business_seconds_until('clock_times', 'now_at_calendar.as_of_open_seconds') }} as business_so_far,
    {{ paused_seconds_until('clock_times', 'now_at_calendar.as_of_open_seconds') }} as paused_so_far
from clock_times
inner join now_at_calendar on clock_times.clock_id = now_at_calendar.clock_id
order by clock_times.clock_id
"""
INSTANTS = """
with

given as (select clock_id, calendar_id, started_at, stopped_at, as_of, target_seconds as n from given_clocks),

timed as ({{ with_open_seconds('given', ['started_at', 'stopped_at', 'as_of']) }}),

ends as (select timed.*, started_at_open_seconds + n as n_open_seconds from timed),

dued as ({{ with_due('ends', 'n_open_seconds', 'due_at') }}),

before as (select dued.*, {{ add_seconds('due_at', -1) }} as before_due_at from dued),

checked as ({{ with_open_seconds('before', ['due_at', 'before_due_at']) }})

select
    started_at_open_seconds, stopped_at_open_seconds, as_of_open_seconds, n_open_seconds,
    due_at_open_seconds, before_due_at_open_seconds, due_at
from checked
order by clock_id
"""
VERDICT = """
select {{ clock_verdict('stopped_at', 'due_at', 'as_of', 'known_until', 'has_target', 'is_paused') }}
from (values (
    cast(%s as timestamptz), cast(%s as timestamptz), cast(%s as timestamptz), cast(%s as timestamptz), %s, %s
)) as given (stopped_at, due_at, as_of, known_until, has_target, is_paused)
"""


def row(number: int, code: str, weekday: int, opens: str, closes: str, country: str = "", **valid: str) -> Row:
    """A row of the seed `calendars`."""
    values = {"valid_from": "2000-01-01", "valid_to": "", **valid}
    return {"calendar_no": str(number), "calendar_code": code, "weekday": str(weekday), "opens_at": opens,
            "closes_at": closes, "holiday_country": country, **values}  # fmt: skip


#: Beside the seed's: overlapping, nested and touching windows; nights; hours that changed; holidays but no short days.
ODD_HOURS = [
    *(row(90, "overlapping", day, *window.split("-")) for day in range(1, 6)
      for window in ("09:00-13:00", "10:00-11:00", "12:00-15:00", "15:00-16:30", "18:00-19:00")),
    *(row(91, "nights", day, "22:00", "06:00") for day in (1, 3, 5, 6)),
    *(row(92, "moved", day, "09:00", "18:00", valid_to="2025-04-30") for day in range(1, 8)),
    *(row(92, "moved", day, "10:00", "16:00", valid_from="2025-04-30") for day in range(1, 8)),
    *(row(93, "plain", day, "09:00", "18:00", "XX") for day in range(1, 6)),
]  # fmt: skip


@dataclass(frozen=True)
class Timed:
    """A row of `clock_times`, and what an open clock has at as_of."""

    calendar: int | None
    business: int | None
    paused: int | None
    due_at: datetime | None
    is_paused: bool
    is_outside: bool
    business_so_far: int
    paused_so_far: int


@dataclass
class Sql:
    """The macros, compiled once, over cases given as rows."""

    conn: Connection
    statements: dict[str, str]

    def clocks(self, clocks: Sequence[Clock], as_of: datetime) -> list[Timed]:
        """All clocks in one query."""
        self._give(clocks, [as_of] * len(clocks))
        return [Timed(*values[1:]) for values in self._rows("clocks")]

    def instants(self, cases: Sequence[tuple[Clock, datetime]]) -> list[tuple[int, ...]]:
        """F of start, stop, a third instant, of the due and of the second before it, in one query."""
        self._give([clock for clock, _ in cases], [third for _, third in cases])
        return self._rows("instants")

    def verdict(self, *values: object) -> object:
        """The verdict of (stopped_at, due_at, as_of, known_until, has_target, is_paused)."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(self.statements["verdict"], values)
            return (cur.fetchone() or (None,))[0]

    def _give(self, clocks: Sequence[Clock], thirds: Sequence[datetime]) -> None:
        with self.conn, self.conn.cursor() as cur:
            cur.execute("truncate given_clocks, given_pauses")
            execute_values(
                cur,
                "insert into given_clocks select v.id, v.id, c.calendar_id, v.started, cast(v.stopped as timestamptz),"
                " v.target, v.third from (values %s) as v (id, code, zone, started, stopped, target, third)"
                " left join intermediate.int_calendars as c on c.calendar_code = v.code and c.time_zone = v.zone",
                [
                    (i, c.code, c.zone, c.started_at, c.stopped_at, c.target, third)
                    for i, (c, third) in enumerate(zip(clocks, thirds, strict=True))
                ],
                template="(%s, %s, %s, %s::timestamptz, %s::timestamptz, %s::bigint, %s::timestamptz)",
                page_size=10_000,
            )
            pauses = [(i, *pause) for i, clock in enumerate(clocks) for pause in clock.pauses]
            if pauses:
                execute_values(cur, "insert into given_pauses values %s", pauses)
            cur.execute("analyze given_clocks; analyze given_pauses")

    def _rows(self, statement: str) -> list[tuple[int, ...]]:
        with self.conn, self.conn.cursor() as cur:
            # The session's zone must not matter.
            cur.execute("set local timezone to 'America/New_York'")
            cur.execute(self.statements[statement])
            return cur.fetchall()


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """The calendars of five zones, with the odd hours among the seed's."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    warehouse.open(at(0))
    warehouse.load("crm.regions", [{"region_id": zone, "time_zone": zone} for zone in [*ZONES[1:], "Mars/Phobos"]])
    built = Built()
    warehouse.dbt._run(["seed", "--select", "calendars", "calendar_days", "time_zones"], built)
    with conn, conn.cursor() as cur:
        execute_values(
            cur,
            f"insert into seeds.calendars ({', '.join(ODD_HOURS[0])}) values %s",
            [[value or None for value in one.values()] for one in ODD_HOURS],
            template="(%s::smallint, %s, %s::smallint, %s, %s, %s, %s::date, %s::date)",
        )
        # Two years are enough here.
        cur.execute("delete from seeds.calendar_days where day_on < '2024-01-01' or '2026-01-01' <= day_on")
        cur.execute(
            "insert into seeds.calendar_days select 'XX', day_on, kind, 0, as_weekday, is_provisional, name"
            " from seeds.calendar_days where kind <> 'short'"
        )
    build(warehouse)
    yield warehouse
    conn.close()


def build(warehouse: Planted) -> dict[str, int]:
    """Run the calendars' models and what they read; rows written by model."""
    built = Built()
    models = ["stg_helpdesk__teams", "stg_crm__regions", "path:models/intermediate/calendars"]
    warehouse.dbt._run(["run", "--select", *models], built)
    return built.rows


@pytest.fixture(scope="module")
def sql(planted: Planted) -> Sql:
    """The compiled macros and tables for the cases."""
    queries = {"clocks": QUERY, "instants": INSTANTS, "verdict": VERDICT}
    statements = dict(zip(queries, planted.compiled(*queries.values()), strict=True))
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(
            "create temp table given_clocks (clock_id integer, pause_key integer, calendar_id smallint,"
            " started_at timestamptz, stopped_at timestamptz, target_seconds bigint, as_of timestamptz);"
            "create temp table given_pauses (pause_key integer, paused_at timestamptz, resumed_at timestamptz)"
        )
    return Sql(planted.conn, statements)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    """The same calendars, walked."""
    days = read_seed("calendar_days")
    plain = [{**day, "country": "XX", "closes_earlier_minutes": "0"} for day in days if day["kind"] != "short"]
    return Oracle([*read_seed("calendars"), *ODD_HOURS], [*days, *plain])


def moscow(text: str) -> datetime:
    """An instant by the clock on Moscow's wall."""
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """A clock near one of the days, of hours rather than weeks, with up to three pauses in any order."""
    start = datetime.fromisoformat(draw(st.sampled_from(DAYS))).replace(tzinfo=UTC)
    start += timedelta(seconds=draw(st.integers(0, 3 * 86_400)))
    code = draw(st.sampled_from(CODES))
    longest = 6 * 3600 if code == "24x7" else 3 * 86_400
    length = st.one_of(st.integers(0, 120), st.integers(0, longest))
    offset = st.integers(-7_200, 2 * 86_400)
    pauses = [
        (start + timedelta(seconds=draw(offset)), draw(st.one_of(st.none(), st.integers(-60, 86_400))))
        for _ in range(draw(st.integers(0, 3)))
    ]
    return Clock(
        code=code,
        zone=draw(st.sampled_from(ZONES)),
        started_at=start,
        stopped_at=draw(st.one_of(st.none(), length.map(lambda seconds: start + timedelta(seconds=seconds)))),
        target=draw(st.one_of(st.none(), st.integers(0, 14_400))),
        pauses=tuple((at, None if long is None else at + timedelta(seconds=long)) for at, long in pauses),
    )


many = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(st.lists(clocks(), min_size=25, max_size=50))
def test_clocks_agree_with_a_walk_second_by_second(sql: Sql, oracle: Oracle, cases: list[Clock]) -> None:
    as_of = datetime(2025, 11, 10, tzinfo=UTC)
    for clock, timed in zip(cases, sql.clocks(cases, as_of), strict=True):
        # An open clock is walked for as long as its due instant is looked for, not for months.
        until = clock.started_at + timedelta(days=1)
        walked = oracle.walk(clock, None if clock.stopped_at else until)
        assert not timed.is_outside
        if clock.stopped_at is not None:
            elapsed = (clock.stopped_at - clock.started_at).total_seconds()
            assert (timed.calendar, timed.business, timed.paused) == (elapsed, walked.business, walked.paused), clock
        else:
            assert (timed.calendar, timed.business, timed.paused) == (None, None, None)
        if clock.target is None:
            assert timed.due_at is None
        elif timed.is_paused:
            assert clock.stopped_at is None
            assert timed.due_at is None or clock.target == 0
            # Never used up while the pause lasts.
            assert walked.due_at is None or clock.target == 0
        else:
            assert timed.due_at == walked.due_at, clock
        assert min(timed.business_so_far, timed.paused_so_far) >= 0


@many
@given(st.lists(st.tuples(clocks(), st.integers(1, 2 * 86_400)), min_size=20, max_size=40))
def test_an_open_clock_goes_on_to_as_of(sql: Sql, oracle: Oracle, cases: list[tuple[Clock, int]]) -> None:
    as_of = datetime(2025, 5, 2, 7, 30, 15, tzinfo=UTC)
    # Only what has happened by then is there.
    opened = [
        replace(
            clock,
            stopped_at=None,
            started_at=as_of - timedelta(seconds=age),
            pauses=tuple(
                (as_of - timedelta(seconds=age // 2), None) if stop is None else (
                    as_of - timedelta(seconds=age // 3), as_of - timedelta(seconds=age // 4)
                )
                for _, stop in clock.pauses
            ),
        )
        for clock, age in cases
    ]  # fmt: skip
    for clock, timed in zip(opened, sql.clocks(opened, as_of), strict=True):
        walked = oracle.walk(replace(clock, target=None), as_of)
        assert (timed.business_so_far, timed.paused_so_far) == (walked.business, walked.paused), clock


@many
@given(
    st.lists(
        st.tuples(clocks(), st.integers(0, 9 * 86_400), st.integers(0, 9 * 86_400), st.integers(1, 400_000)),
        min_size=50, max_size=200,
    )
)  # fmt: skip
def test_open_time_adds_up_and_due_is_its_inverse(sql: Sql, cases: list[tuple[Clock, int, int, int]]) -> None:
    given_cases = []
    for clock, first, second, n in cases:
        middle = clock.started_at + timedelta(seconds=first)
        given_cases.append((replace(clock, stopped_at=middle, target=n), middle + timedelta(seconds=second)))
    for (clock, _), values in zip(given_cases, sql.instants(given_cases), strict=True):
        at_start, at_middle, at_third, wanted, at_due, before_due, due_at = values
        assert 0 <= at_start <= at_middle <= at_third
        assert at_middle - at_start <= (clock.stopped_at - clock.started_at).total_seconds()
        assert (at_middle - at_start) + (at_third - at_middle) == at_third - at_start
        # The first such instant: a second before, one is missing.
        assert (at_due, before_due) == (wanted, wanted - 1)
        assert due_at > clock.started_at


@many
@given(st.lists(st.tuples(st.sampled_from(ZONES), st.integers(0, 8 * 86_400), st.integers(0, 8 * 86_400)), min_size=50))
def test_nothing_passes_out_of_hours(sql: Sql, cases: list[tuple[str, int, int]]) -> None:
    shut = []
    for zone, first, second in cases:
        # From the first to the eighth of January nobody works.
        new_year = datetime(2025, 1, 1, tzinfo=ZoneInfo(zone))
        begin, end = sorted((first, second))
        shut.append(Clock("office_9_18", zone, new_year + timedelta(seconds=begin), new_year + timedelta(seconds=end)))
    assert {timed.business for timed in sql.clocks(shut, at(0))} == {0}


def due(sql: Sql, code: str, zone: str, started_at: datetime, minutes: int) -> datetime:
    """When so many open minutes have passed."""
    (timed,) = sql.clocks([Clock(code, zone, started_at, target=minutes * 60)], at(0))
    assert timed.due_at is not None
    return timed.due_at


def test_the_worked_values(sql: Sql) -> None:
    wednesday = moscow("2025-04-30 17:30")
    assert due(sql, "plain", "Europe/Moscow", wednesday, 120) == moscow("2025-05-05 10:30")
    assert due(sql, "office_9_18", "Europe/Moscow", wednesday, 120) == moscow("2025-05-05 11:00")
    ural = datetime(2025, 5, 5, 11, tzinfo=ZoneInfo("Asia/Yekaterinburg"))
    assert due(sql, "plain", "Asia/Yekaterinburg", wednesday, 120) == ural
    paused = Clock(
        "plain", "Europe/Moscow", moscow("2025-04-28 10:00"), moscow("2025-04-28 11:25"),
        pauses=((moscow("2025-04-28 10:20"), moscow("2025-04-28 10:50")),),
    )  # fmt: skip
    (timed,) = sql.clocks([paused], at(0))
    assert (timed.business, timed.paused, timed.calendar) == (55 * 60, 30 * 60, 85 * 60)


def business(sql: Sql, code: str, zone: ZoneInfo, begin: str, end: str) -> int | None:
    """Open seconds between two times on the wall of a zone."""
    ends = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (begin, end))
    (timed,) = sql.clocks([Clock(code, str(zone), *ends)], at(0))
    return timed.business


def test_edge_29_opened_and_solved_out_of_hours_is_a_row_with_nothing(sql: Sql) -> None:
    assert business(sql, "office_9_18", MOSCOW, "2025-04-26 11:00", "2025-04-27 12:00") == 0
    assert business(sql, "office_9_18", MOSCOW, "2025-04-28 18:00", "2025-04-29 09:00") == 0


def test_edge_31_the_seed_wins_over_the_weekday(sql: Sql) -> None:
    # A holiday from Thursday to Sunday, the short Wednesday before it, and a working Saturday that is short, too.
    assert business(sql, "office_9_18", MOSCOW, "2025-04-30 00:00", "2025-05-05 00:00") == 8 * 3600
    assert business(sql, "office_9_18", MOSCOW, "2025-11-01 00:00", "2025-11-05 00:00") == 8 * 3600
    assert business(sql, "office_9_18", MOSCOW, "2024-12-28 00:00", "2025-01-09 00:00") == 9 * 3600
    # It has the hours of the Monday it stands for, not a Saturday's.
    assert business(sql, "six_days", MOSCOW, "2025-11-01 00:00", "2025-11-02 00:00") == 11 * 3600
    assert business(sql, "six_days", MOSCOW, "2025-10-25 00:00", "2025-10-26 00:00") == 6 * 3600
    assert business(sql, "office_lunch", MOSCOW, "2025-04-30 00:00", "2025-05-05 00:00") == 7 * 3600
    assert business(sql, "24x7", MOSCOW, "2025-04-30 00:00", "2025-05-05 00:00") == 5 * 86_400


def test_edge_32_overlapping_rows_are_a_union_and_lunch_splits(sql: Sql) -> None:
    assert business(sql, "overlapping", MOSCOW, "2025-04-28 00:00", "2025-04-29 00:00") == 8.5 * 3600
    assert business(sql, "overlapping", MOSCOW, "2025-04-28 12:30", "2025-04-28 18:30") == 4.5 * 3600
    assert business(sql, "office_lunch", MOSCOW, "2025-04-28 12:30", "2025-04-28 14:30") == 3600
    assert due(sql, "office_lunch", "Europe/Moscow", moscow("2025-04-28 12:30"), 60) == moscow("2025-04-28 14:30")
    assert due(sql, "office_lunch", "Europe/Moscow", moscow("2025-04-28 12:30"), 30) == moscow("2025-04-28 13:00")


def test_edge_33_days_of_23_and_25_hours_and_times_that_come_twice(sql: Sql) -> None:
    assert business(sql, "24x7", BERLIN, "2025-03-30 00:00", "2025-03-31 00:00") == 23 * 3600
    assert business(sql, "24x7", BERLIN, "2025-10-26 00:00", "2025-10-27 00:00") == 25 * 3600
    assert business(sql, "24x7", NEW_YORK, "2025-11-02 00:00", "2025-11-03 00:00") == 25 * 3600
    assert business(sql, "line_8_22", BERLIN, "2025-03-30 00:00", "2025-03-31 00:00") == 14 * 3600
    # Nights are longer and shorter by the hour.
    assert business(sql, "nights", BERLIN, "2025-03-29 12:00", "2025-03-30 12:00") == 7 * 3600
    assert business(sql, "nights", BERLIN, "2025-10-25 12:00", "2025-10-26 12:00") == 9 * 3600
    # 02:30 comes twice: two instants an hour apart, in UTC.
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    (timed,) = sql.clocks([Clock("24x7", "Europe/Berlin", first, first + timedelta(hours=1))], at(0))
    assert first.astimezone(BERLIN).hour == (first + timedelta(hours=1)).astimezone(BERLIN).hour == 2
    assert timed.business == 3600


def test_edge_34_the_contract_s_zone_rules(sql: Sql) -> None:
    # 17:30 in Moscow is 19:30 on the Urals and past midnight in Vladivostok: the calendar's zone decides, no other one.
    instant = moscow("2025-04-28 17:30")
    ends = {zone: due(sql, "office_9_18", zone, instant, 60).astimezone(ZoneInfo(zone)) for zone in ZONES}
    assert ends["Europe/Moscow"] == moscow("2025-04-29 09:30")
    assert ends["Asia/Yekaterinburg"].isoformat() == "2025-04-29T10:00:00+05:00"
    assert ends["Asia/Vladivostok"].isoformat() == "2025-04-29T10:00:00+10:00"
    assert ends["America/New_York"].isoformat() == "2025-04-28T11:30:00-04:00"


def test_edge_37_pauses_nested_unclosed_and_late_are_a_union(sql: Sql) -> None:
    start, stop = moscow("2025-04-28 10:00"), moscow("2025-04-28 12:00")
    nested = ((moscow("2025-04-28 10:30"), moscow("2025-04-28 11:00")),
              (moscow("2025-04-28 10:10"), moscow("2025-04-28 11:10")),
              (moscow("2025-04-28 11:10"), moscow("2025-04-28 11:20")),
              (moscow("2025-04-28 09:00"), moscow("2025-04-28 10:05")),
              (moscow("2025-04-28 11:50"), moscow("2025-04-28 11:40")))  # fmt: skip
    clock = Clock("office_9_18", "Europe/Moscow", start, stop, 3600, nested)
    unclosed = replace(clock, pauses=((moscow("2025-04-28 11:30"), None),))
    late = replace(clock, pauses=((moscow("2025-04-28 13:00"), moscow("2025-04-28 14:00")),))
    over_it = replace(clock, pauses=((moscow("2025-04-28 09:00"), None),))
    is_open = replace(unclosed, stopped_at=None, target=3 * 3600)
    of_nested, of_unclosed, of_late, of_over, of_open = sql.clocks([clock, unclosed, late, over_it, is_open], at(0))
    assert (of_nested.business, of_nested.paused, of_nested.due_at) == (45 * 60, 75 * 60, moscow("2025-04-28 12:15"))
    # After the target was used up a pause moves nothing.
    assert (of_unclosed.business, of_unclosed.due_at) == (90 * 60, moscow("2025-04-28 11:00"))
    assert (of_late.business, of_late.paused) == (120 * 60, 0)
    assert (of_over.business, of_over.paused) == (0, 120 * 60)
    assert (of_open.is_paused, of_open.due_at, of_open.business_so_far) == (True, None, 90 * 60)


def test_a_stop_before_the_start_has_no_time(sql: Sql) -> None:
    (timed,) = sql.clocks(
        [Clock("24x7", "Europe/Moscow", moscow("2025-04-28 10:00"), moscow("2025-04-28 09:00"))], at(0)
    )
    assert (timed.calendar, timed.business) == (0, 0)


def test_what_lies_beyond_the_seed_is_not_judged(sql: Sql) -> None:
    last = datetime(2025, 12, 30, 12, tzinfo=UTC)
    cases = [
        Clock("office_9_18", "Europe/Moscow", last, last + timedelta(hours=1), 3600),
        Clock("office_9_18", "Europe/Moscow", last, last + timedelta(days=1), 3600),
        Clock("office_9_18", "Europe/Moscow", last, None, 86_400),
        Clock("office_9_18", "Europe/Moscow", datetime(2023, 12, 31, tzinfo=UTC), last, None),
        Clock("nobody_knows", "Europe/Moscow", last, last, 60),
        Clock("24x7", "Mars/Phobos", last, last, 60),
    ]
    timed = sql.clocks(cases, at(0))
    assert [one.is_outside for one in timed] == [False, True, True, True, True, True]
    assert [one.business for one in timed] == [3600, None, None, None, None, None]
    assert [one.paused for one in timed] == [0, None, None, None, None, None]
    assert [one.due_at is None for one in timed] == [False, False, True, True, True, True]


def test_hours_without_holidays_do_not_end_with_the_holidays_seed(sql: Sql) -> None:
    for year, is_known in ((2009, False), (2010, True), (2035, True), (2036, False)):
        noon = datetime(year, 6, 1, 12, tzinfo=UTC)
        (timed,) = sql.clocks([Clock("24x7", "Europe/Moscow", noon, noon + timedelta(hours=2), 3600)], at(0))
        assert (timed.is_outside, timed.business) == (not is_known, 7200 if is_known else None), year


def test_edge_28_two_tenths_of_a_second_over_midnight(sql: Sql) -> None:
    start = moscow("2025-04-28 23:59:59.9")
    pause = (start + timedelta(seconds=0.3), start + timedelta(seconds=1.6))
    cases = [
        Clock("24x7", "Europe/Moscow", start, start + timedelta(seconds=0.2), 60),
        Clock("24x7", "Europe/Moscow", start, start + timedelta(seconds=1), 60),
        Clock("24x7", "Europe/Moscow", start, start + timedelta(seconds=2.9), 60, (pause,)),
        Clock("24x7", "Europe/Moscow", start, start, 0),
    ]
    timed = sql.clocks(cases, at(0))
    assert [(one.calendar, one.business, one.paused) for one in timed] == [(0, 0, 0), (1, 1, 0), (2, 1, 1), (0, 0, 0)]
    assert timed[0].due_at == moscow("2025-04-29 00:00:59")
    assert timed[3].due_at == start


def test_a_target_of_nothing_is_due_at_once(sql: Sql) -> None:
    sunday = moscow("2025-04-27 12:00")
    (timed,) = sql.clocks([Clock("office_9_18", "Europe/Moscow", sunday, None, 0)], at(0))
    assert timed.due_at == sunday


def test_edge_30_at_the_deadline_is_met_a_second_later_breached(sql: Sql) -> None:
    end, later = moscow("2025-04-28 12:00"), moscow("2025-04-28 12:00:01")
    now, known = moscow("2025-05-01 00:00"), moscow("2025-05-01 00:00")
    assert sql.verdict(end, end, now, known, True, False) == "met"
    assert sql.verdict(end + timedelta(milliseconds=900), end, now, known, True, False) == "met"
    assert sql.verdict(later, end, now, known, True, False) == "breached"


def test_verdicts_of_clocks_that_run(sql: Sql) -> None:
    end, before, after = (moscow(f"2025-04-28 {hour}:00") for hour in (12, 11, 13))
    assert sql.verdict(None, end, before, before, True, False) == "open_in_time"
    assert sql.verdict(None, end, end, end, True, False) == "open_in_time"
    assert sql.verdict(None, end, after, after, True, False) == "breached_open"
    # What could have stopped it in time has not been loaded.
    assert sql.verdict(None, end, after, end, True, False) == "not_yet_known"
    assert sql.verdict(None, end, after, None, True, False) == "not_yet_known"
    assert sql.verdict(after, end, after, before, True, False) == "not_yet_known"
    assert sql.verdict(before, end, after, before, True, False) == "met"


def test_verdicts_without_a_due_instant(sql: Sql) -> None:
    now = moscow("2025-04-28 12:00")
    assert sql.verdict(now, None, now, now, False, False) == "no_target"
    assert sql.verdict(None, None, now, now, True, False) == "outside_calendar"
    assert sql.verdict(None, None, now, now, True, True) == "open_in_time"
    assert sql.verdict(now, None, now, now, True, True) == "met"


def test_a_zone_that_comes_and_goes_is_computed_once(planted: Planted, sql: Sql) -> None:
    rows = "select count(*), count(distinct calendar_id) from intermediate.int_calendar_segments"
    before = planted.row(rows)
    assert build(planted)["int_calendar_segments"] == 0
    planted.load("crm.regions", [{"region_id": "new", "time_zone": "Asia/Omsk"}])
    written = build(planted)
    assert planted.row(rows)[1] == len(CODES) * (len(ZONES) + 1)
    assert written["int_calendar_segments"] < before[0]
    assert business(sql, "office_9_18", ZoneInfo("Asia/Omsk"), "2025-04-30 00:00", "2025-05-05 00:00") == 8 * 3600
    planted.load("crm.regions", deleted=[{"region_id": "new"}])
    build(planted)
    assert planted.row(rows) == before
