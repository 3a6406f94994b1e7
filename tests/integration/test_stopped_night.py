"""A night that a check stops: yesterday's marts serve on, the reason is booked, the corrected source goes through."""

from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from conftest import Warehouse
from harness import as_of_after, continue_night, scalar, simulate
from retention.quality.verdict import GateFailed
from retention.simulator.run import forward
from retention.warehouse.batches import BatchError

DAYS = 60
LIVE = "select distinct _batch_id from marts.fct_contacts"
PLANTED = "a word of the source that nobody knows"


def change(dsn: str, statement: str, *values: object) -> int:
    conn = psycopg2.connect(dsn)
    with conn, conn.cursor() as cur:
        cur.execute(statement, values)
        changed = cur.rowcount
    conn.close()
    return changed


@pytest.mark.deep
def test_a_critical_check_stops_the_night_and_a_reload_lets_it_go_on(warehouse: Warehouse, tmp_path: Path) -> None:
    spec = simulate(warehouse, tmp_path, subscribers=300, days=DAYS, seed=3)
    spec.night("night 1").run(as_of_after(DAYS))
    forward(spec.sources["crm"], spec.sources["helpdesk"], tmp_path)
    changed = change(
        spec.sources["crm"],
        # More rows than are set aside.
        """update subscription_events set kind = %s, recorded_at = (select max(recorded_at) from subscription_events)
        where subscription_event_id in (
            select subscription_event_id from subscription_events order by recorded_at desc limit 25)""",
        PLANTED,
    )
    assert changed == 25

    night = spec.night("night 2")
    with pytest.raises(GateFailed) as stopped:
        night.run(as_of_after(DAYS + 1))
    message = str(stopped.value)
    assert "crm.subscription_events: expect_column_values_to_be_in_set(kind) failed for 25 of " in message
    assert "nothing was quarantined" in message
    assert "Keys (subscription_event_id; the first 20): " in message
    assert "Nothing was published; marts still serve batch 1 of " in message
    assert PLANTED not in message
    assert scalar(spec.etl_dsn, LIVE) == 1
    assert scalar(spec.etl_dsn, "select step from ops.failures where batch_id = 2") == "check_raw"
    assert scalar(spec.etl_dsn, "select message from ops.failures") == f"GateFailed: {message}"
    with pytest.raises(GateFailed):
        continue_night(night, as_of_after(DAYS + 1), "check_raw")

    change(spec.sources["crm"], "update subscription_events set kind = 'plan_change' where kind = %s", PLANTED)
    assert night.extract(2, "crm.subscription_events", force=True) == 25
    night.check_raw(2)
    # A step after it fails, and a table is loaded again: that load has passed no check.
    with pytest.raises(ZeroDivisionError), night._step(2, "transform"):
        raise ZeroDivisionError
    spec.night("retention reload").extract(2, "crm.plans", force=True)
    for step in (night.transform, night.build_marts, night.publish):
        with pytest.raises(BatchError, match=r"batch 2: crm\.plans loaded again since check_raw .* Nothing was done"):
            step(2)
    assert scalar(spec.etl_dsn, "select count(*) from ops.steps where batch_id = 2 and step = 'transform'") == 0
    continue_night(night, as_of_after(DAYS + 1), "check_raw")
    assert scalar(spec.etl_dsn, LIVE) == 2
    assert scalar(spec.etl_dsn, "select count(*) from ops.failures") == 0


def test_an_error_that_may_quote_a_row_is_booked_by_its_class_only(warehouse: Warehouse, tmp_path: Path) -> None:
    spec = simulate(warehouse, tmp_path, subscribers=50, days=5, seed=3)
    night = spec.night()
    batch_id = night.open(as_of_after(5))
    with pytest.raises(ZeroDivisionError), night._step(batch_id, "transform"):
        raise ZeroDivisionError("+79161234567")
    assert scalar(spec.etl_dsn, "select message from ops.failures") == "ZeroDivisionError"


def test_another_profile_is_refused_in_the_same_warehouse(warehouse: Warehouse, tmp_path: Path) -> None:
    spec = simulate(warehouse, tmp_path, subscribers=50, days=5, seed=3)
    spec.night().open(as_of_after(5))
    other = replace(spec, profile=str(Path(__file__).parents[1] / "real" / "bpic14_rabobank.yml"))
    with pytest.raises(BatchError, match="two operators do not share a warehouse"):
        other.night().open(as_of_after(6))
