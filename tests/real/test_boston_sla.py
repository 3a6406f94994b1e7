"""The city of Boston judged its own cases against its own targets: our verdict of each is the city's flag."""

import csv
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import pytest
from psycopg2.extras import execute_values

from conftest import Warehouse

MACROS = Path(__file__).resolve().parents[2] / "dbt_project" / "macros" / "clock_times.sql"
#: Later than every case of the sample, all of which are closed.
AS_OF = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def cases(real_data: Path) -> list[dict[str, str]]:
    with (real_data / "boston_311_sla" / "raw_sample.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def verdicts(shared_warehouse: Warehouse, cases: list[dict[str, str]]) -> list[str]:
    """The macro that fct_clocks uses, over the cases in their order. It is plain Jinja: dbt is not needed for it."""
    call = "{{ clock_verdict('stopped_at', 'due_at', 'as_of', 'as_of') }}"
    verdict = jinja2.Environment().from_string(MACROS.read_text(encoding="utf-8") + call).render()
    conn = shared_warehouse.connect("etl")
    with conn, conn.cursor() as cur:
        cur.execute("set local timezone to 'UTC'")
        cur.execute(
            "create temp table given (id integer, stopped_at timestamptz, due_at timestamptz, as_of timestamptz)"
        )
        execute_values(
            cur,
            "insert into given values %s",
            [(i, case["CLOSED_DT"] or None, case["TARGET_DT"] or None, AS_OF) for i, case in enumerate(cases)],
        )
        cur.execute(f"select {verdict} from given order by id")
        found = [value for (value,) in cur.fetchall()]
    conn.close()
    return found


def test_verdicts_are_the_city_s_on_every_flagged_row(cases: list[dict[str, str]], verdicts: list[str]) -> None:
    # The city counts a case without a target as on time; here it is a case without a target.
    flags = {"met": "ONTIME", "no_target": "ONTIME", "breached": "OVERDUE"}
    flagged = [(case, verdict) for case, verdict in zip(cases, verdicts, strict=True) if case["OnTime_Status"]]
    assert len(flagged) == 4_994
    differing = [case["CASE_ENQUIRY_ID"] for case, verdict in flagged if flags.get(verdict) != case["OnTime_Status"]]
    assert differing == []


def test_both_readings_of_compliance(cases: list[dict[str, str]], verdicts: list[str]) -> None:
    counts = Counter(v for case, v in zip(cases, verdicts, strict=True) if case["OnTime_Status"])
    assert counts == {"met": 3_809, "no_target": 711, "breached": 474}
    the_city_s = (counts["met"] + counts["no_target"]) / counts.total()
    ours = counts["met"] / (counts["met"] + counts["breached"])
    print(f"\non time: {the_city_s:.1%} when no target is on time, {ours:.1%} of the cases with a target")
    assert (round(100 * the_city_s, 1), round(100 * ours, 1)) == (90.5, 88.9)
