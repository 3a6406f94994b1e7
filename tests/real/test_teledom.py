"""Contracts that only have a beginning and an end (TeleDom, 7,043), from files to churn in marts, by a profile alone.

The figures of SOURCE.md: 458, 485, 466 and 460 ended in October 2019 to January 2020, 5,174 are active on 2020-02-01.
"""

import csv
from bisect import bisect_left
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from conftest import Warehouse
from harness import MOSCOW, NightSpec, prepare, run_steps, scalar

pytestmark = pytest.mark.deep
AS_OF = datetime(2020, 2, 1, 2, tzinfo=MOSCOW)
PROFILE = Path(__file__).with_name("teledom_contracts.yml")
ENDED = {"2019-10": 458, "2019-11": 485, "2019-12": 466, "2020-01": 460}

# Who was there when the month began, and who of them was still there when it was over. An end at 00:00 of the first day
# of a month falls into that month, the subscription was there when it began.
RETENTION = """
    with months as (
        select
            month_start, month_start + interval '1 month' as next_month_start
        from (
            select distinct date_trunc('month', churned_at at time zone 'Europe/Moscow') as month_start
            from marts_a.fct_churn_events where is_churn
        ) as ended
    )
    select
        to_char(months.month_start, 'YYYY-MM'),
        count(*),
        count(*) - count(churn.churn_event_id)
    from months
    inner join marts_a.dim_subscription as subscriptions
        on subscriptions.activated_at at time zone 'Europe/Moscow' < months.month_start
    left join marts_a.fct_churn_events as earlier
        on subscriptions.subscription_id = earlier.subscription_id
        and earlier.is_churn
        and earlier.churned_at at time zone 'Europe/Moscow' < months.month_start
    left join marts_a.fct_churn_events as churn
        on subscriptions.subscription_id = churn.subscription_id
        and churn.is_churn
        and churn.churned_at at time zone 'Europe/Moscow' >= months.month_start
        and churn.churned_at at time zone 'Europe/Moscow' < months.next_month_start
    where earlier.churn_event_id is null
    group by months.month_start
    order by months.month_start
"""


@pytest.fixture(scope="module")
def contracts(real_data: Path) -> list[dict[str, str]]:
    with (real_data / "teledom_contracts" / "contract.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def built(shared_warehouse: Warehouse, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> NightSpec:
    """One night of it, up to the marts of its slot."""
    work = tmp_path_factory.mktemp("teledom")
    spec = prepare(shared_warehouse, work, {}, str(PROFILE), REAL_DATA_DIR=str(real_data))
    run_steps(spec.night(), AS_OF, "build_marts")
    return spec


def query(spec: NightSpec, statement: str) -> list[tuple[Any, ...]]:
    conn = psycopg2.connect(spec.etl_dsn)
    try:
        with conn.cursor() as cur:
            cur.execute(statement)
            return cur.fetchall()
    finally:
        conn.close()


def test_a_contract_is_a_subscription_and_an_end_is_an_event(built: NightSpec, contracts: list[dict[str, str]]) -> None:
    assert scalar(built.etl_dsn, "select count(*) from raw.crm__subscriptions") == len(contracts) == 7_043
    assert scalar(built.etl_dsn, "select count(*) from raw.crm__subscription_events") == 1_869
    # What goes on has no end to be read: each such row is told, none is guessed.
    rejects = query(built, "select table_name, reason, count(*) from raw.rejects group by 1, 2")
    assert rejects == [("crm.subscription_events", r"column event_at does not match ^\d{4}-\d{2}-\d{2}", 5_174)]


def test_the_known_ends_of_each_month(built: NightSpec) -> None:
    by_month = query(
        built,
        """select to_char(churned_at at time zone 'Europe/Moscow', 'YYYY-MM'), count(*) from marts_a.fct_churn_events
        where is_churn and kind = 'disconnect' and churn_group = 'voluntary_without_complaint' group by 1 order by 1""",
    )
    assert dict(by_month) == ENDED
    assert scalar(built.etl_dsn, "select count(*) from marts_a.fct_churn_events") == sum(ENDED.values()) == 1_869
    assert query(built, "select status, count(*) from marts_a.dim_subscription group by 1 order by 1") == [
        ("active", 5_174), ("terminated", 1_869),
    ]  # fmt: skip


def test_monthly_retention_is_that_of_the_file(built: NightSpec, contracts: list[dict[str, str]]) -> None:
    begun = sorted(contract["BeginDate"] for contract in contracts)
    ended = sorted(contract["EndDate"][:10] for contract in contracts if contract["EndDate"] != "No")
    expected = []
    for month, count in ENDED.items():
        first = f"{month}-01"
        # Began before the month and had not ended before it.
        there = bisect_left(begun, first) - bisect_left(ended, first)
        expected.append((month, there, there - count))
    found = query(built, RETENTION)
    assert found == expected
    assert [f"{kept / there:.2%}" for _, there, kept in found] == ["92.50%", "91.76%", "91.73%", "91.47%"]


def test_without_complaints_the_marts_about_them_are_empty(built: NightSpec) -> None:
    assert scalar(built.etl_dsn, "select count(*) from marts_a.complaint_to_churn") == 0
    assert scalar(built.etl_dsn, "select count(*) from marts_a.retention_metrics where value is not null") == 0
