"""Macros against Python oracles, on the real database."""

import random
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dbt.cli.main import dbtRunner
from planting import MOSCOW, PROJECT

from conftest import Warehouse

ZONES = ("Europe/Moscow", "Asia/Vladivostok", "Europe/Kaliningrad", "America/New_York")
EXPRESSIONS = {
    "normalise_msisdn": "{{ normalise_msisdn('%(a)s') }}",
    "nullify": "{{ nullify('%(a)s') }}",
    "known_word": "{{ known_word('%(a)s', ['mass', 'vip']) }}",
    "add_days": "{{ add_days('%(a)s', '%(b)s') }}",
    "add_hours": "{{ add_hours('%(a)s', '-%(b)s') }}",
    "seconds_between": "{{ seconds_between('%(a)s', '%(b)s') }}",
    "local_day": "{{ local_day('%(a)s', '%(b)s') }}",
    "day_start": "{{ day_start('%(a)s', '%(b)s') }}",
    "shift_day": "{{ shift_day('%(a)s', '%(b)s') }}",
    "quarter_start": "{{ quarter_start('%(a)s', '%(b)s') }}",
}
Evaluate = Callable[..., object]


@pytest.fixture(scope="module")
def evaluate(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluate]:
    """Function (macro, a, b) -> value; the macros are compiled once, with placeholders as arguments."""
    from retention.transform import Project

    target = tmp_path_factory.mktemp("dbt")
    query = "select " + ", ".join(
        f"'{name}', $${expression % {'a': '<a>', 'b': '<b>'}}$$" for name, expression in EXPRESSIONS.items()
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in Project(PROJECT, target, shared_warehouse.dsn("etl")).environment().items():
            patch.setenv(name, value)
        flags = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)]
        result = dbtRunner().invoke(["--quiet", "--log-level-file", "none", "compile", "--inline", query, *flags])
    assert result.success, result.exception
    compiled = result.result.results[0].node.compiled_code
    parts = dict(re.findall(r"'(\w+)', \$\$(.*?)\$\$", compiled, flags=re.DOTALL))
    assert parts.keys() == EXPRESSIONS.keys()
    conn = shared_warehouse.connect("etl")
    types = {str: "text", int: "integer", datetime: "timestamptz", date: "date"}

    def value_of(macro: str, a: object, b: object = None) -> object:
        with conn, conn.cursor() as cur:
            # The session's zone must not matter.
            cur.execute("set local timezone to 'America/New_York'")
            statement = parts[macro]
            for placeholder, argument in (("<a>", a), ("<b>", b)):
                literal = cur.mogrify("%s", (argument,)).decode()
                statement = statement.replace(placeholder, f"cast({literal} as {types.get(type(argument), 'text')})")
            cur.execute("select " + statement)
            (value,) = cur.fetchone() or (None,)
            return value

    yield value_of
    conn.close()


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("+7 495 123-45-67", "74951234567"), ("8 (495) 123-45-67", "74951234567"), ("7-495-123-45-67", "74951234567"),
        ("4951234567 ", "74951234567"), ("  84951234567", "74951234567"), ("8495I234567", "74951234567"),
        ("+7 9О1 ООО ОО З1", "79010000031"), ("+49 30 1234567", "49301234567"), ("+86 138 001 38", "8613800138"),
        ("+1 202 555 01", "120255501"), ("N/A", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_number_has_one_key(evaluate: Evaluate, written: str | None, key: str | None) -> None:
    assert evaluate("normalise_msisdn", written) == key


@pytest.mark.parametrize("missing", ["", "  ", "N/A", "n/a", " NULL", None])
def test_what_is_missing(evaluate: Evaluate, missing: str | None) -> None:
    assert evaluate("nullify", missing) is None


@pytest.mark.parametrize("value", ["x", "0", "nab", "N/A but something", " kept "])
def test_what_is_there_is_not_touched(evaluate: Evaluate, value: str) -> None:
    assert evaluate("nullify", value) == value


@pytest.mark.parametrize(
    ("word", "known"),
    [("vip", "vip"), ("smb", "unknown"), ("VIP", "unknown"), (" ", None), ("N/A", None), (None, None)],
)
def test_a_word_that_nobody_knows_is_unknown(evaluate: Evaluate, word: str | None, known: str | None) -> None:  # 50
    assert evaluate("known_word", word) == known


def test_time_agrees_with_python(evaluate: Evaluate) -> None:
    rng = random.Random(3)
    for _ in range(60):
        instant = datetime(2025, 1, 1, tzinfo=MOSCOW) + timedelta(seconds=rng.randrange(2 * 365 * 86400))
        zone = rng.choice(ZONES)
        days = rng.randrange(-200, 200)
        local = instant.astimezone(ZoneInfo(zone))
        assert evaluate("add_days", instant, days) == instant + timedelta(days=days)
        assert evaluate("add_hours", instant, 5) == instant - timedelta(hours=5)
        later = instant + timedelta(seconds=rng.random() * 1e6)
        assert evaluate("seconds_between", instant, later) == pytest.approx((later - instant).total_seconds(), abs=1e-5)
        assert evaluate("local_day", instant, zone) == local.date()
        assert evaluate("day_start", local.date(), zone) == datetime.combine(
            local.date(), datetime.min.time(), ZoneInfo(zone)
        )
        assert evaluate("shift_day", local.date(), days) == local.date() + timedelta(days=days)
        assert evaluate("quarter_start", instant, zone) == date(local.year, 3 * ((local.month - 1) // 3) + 1, 1)
