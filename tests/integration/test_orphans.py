"""Rows without a parent: a warning on their first night; then quarantine, or a stop, until the parent comes."""

from collections.abc import Iterator

import pytest
from quality_kit import Nights, nights

from conftest import Warehouse
from retention.quality.raw_versions import tonights_rows
from retention.quality.verdict import GateFailed
from retention.sources.contract import load_contract

PARTIES, SUBSCRIPTIONS, USAGE = "crm.parties", "crm.subscriptions", "crm.usage_months"
NAME = "has_parent(party_id in crm.parties)"


@pytest.fixture
def gate(warehouse: Warehouse) -> Iterator[Nights]:
    """An open night on an empty warehouse."""
    with nights(warehouse) as opened:
        yield opened


def subscriptions(*parties: str) -> list[dict[str, str]]:
    """A subscription for each party: s0, s1 and so on."""
    return [{"subscription_id": f"s{number}", "party_id": party} for number, party in enumerate(parties)]


def remembered(gate: Nights) -> list[tuple[object, ...]]:
    """(key, since) of the orphans in the books."""
    return gate.rows("select key ->> 'subscription_id', batch_id from ops.orphans order by 1")


def test_an_orphan_is_a_warning_then_set_aside_and_back_when_its_parent_comes(gate: Nights) -> None:
    gate.load(PARTIES, [{"party_id": "p1"}])
    load_id = gate.load(SUBSCRIPTIONS, subscriptions("p1", "nobody", "late"))
    for _ in range(2):
        verdict = gate.check()
        (warning,) = verdict.warnings
        assert (warning.name, warning.rows_examined, warning.rows_failed) == (NAME, 3, 2)
        assert warning.failing_keys == ({"subscription_id": "s1"}, {"subscription_id": "s2"})
        assert remembered(gate) == [("s1", 1), ("s2", 1)]
    assert gate.in_quarantine() == []

    gate.open()
    gate.load(PARTIES, [{"party_id": "late"}])
    for _ in range(2):
        (check,) = gate.check().quarantined
        assert (check.table, check.name, check.rows_failed, check.rows_examined) == (SUBSCRIPTIONS, NAME, 1, 3)
        assert gate.in_quarantine() == [(load_id, "s1")]
        assert remembered(gate) == [("s1", 1)]

    gate.open()
    verdict = gate.check()
    assert (verdict.quarantined, verdict.critical_failures, verdict.warnings) == ((), (), ())
    assert gate.in_quarantine() == [(load_id, "s1")]

    gate.open()
    gate.load(PARTIES, [{"party_id": "nobody"}])
    gate.check()
    assert gate.in_quarantine() == []
    assert gate.released() == [(load_id, 4, "passes")]
    assert remembered(gate) == []


def test_many_old_orphans_stop_the_night(gate: Nights) -> None:
    gate.load(SUBSCRIPTIONS, subscriptions(*["nobody"] * 30))
    gate.check()
    gate.open()
    with pytest.raises(GateFailed, match=r"still no such row in crm\.parties a night later; 30 of 30 rows fail"):
        gate.check()
    assert gate.in_quarantine() == []
    assert len(remembered(gate)) == 30


def test_a_newer_version_is_judged_on_its_own(gate: Nights) -> None:
    gate.load(SUBSCRIPTIONS, subscriptions("nobody", "nobody", "nobody"))
    gate.check()
    gate.open()
    gate.load(PARTIES, [{"party_id": "p1"}])
    # One got a parent, one is new, one is deleted.
    new = {"subscription_id": "s3", "party_id": "nobody either"}
    gate.load(SUBSCRIPTIONS, [*subscriptions("p1"), new, {"subscription_id": "s1", "_op": "d"}])
    gate.load(SUBSCRIPTIONS, [{"subscription_id": "s2", "_op": "d"}])
    assert [warning.rows_failed for warning in gate.check().warnings] == [1]
    assert remembered(gate) == [("s3", 2)]
    assert gate.in_quarantine() == []


def test_an_orphan_that_is_updated_each_night_is_set_aside_with_its_older_versions(gate: Nights) -> None:
    gate.load(PARTIES, [{"party_id": "p1"}])
    loads = [gate.load(SUBSCRIPTIONS, subscriptions("p1", "nobody"))]
    assert [warning.rows_failed for warning in gate.check().warnings] == [1]
    for night in (2, 3):
        gate.open()
        update = {"subscription_id": "s1", "party_id": "nobody", "activated_at": f"2026-02-0{night} 10:00+00"}
        others = [{"subscription_id": f"t{night}{number}", "party_id": "p1"} for number in range(30)]
        loads.append(gate.load(SUBSCRIPTIONS, [update, *others]))
        for _ in range(2):
            assert [check.rows_failed for check in gate.check().quarantined] == [1]
            assert remembered(gate) == [("s1", 1)]
            assert gate.in_quarantine() == [(load_id, "s1") for load_id in loads]
        assert "s1" not in dict(gate.shown(SUBSCRIPTIONS, "subscription_id"))
    gate.open()
    gate.load(PARTIES, [{"party_id": "nobody"}])
    gate.check()
    assert gate.in_quarantine() == []
    assert dict(gate.shown(SUBSCRIPTIONS, "subscription_id"))["s1"] == loads[-1]


def test_the_child_of_a_deleted_parent_is_no_orphan(gate: Nights) -> None:
    gate.load(PARTIES, [{"party_id": "p1"}])
    gate.open()
    gate.load(PARTIES, [{"party_id": "p1", "_op": "d"}])
    gate.load(SUBSCRIPTIONS, subscriptions("p1"))
    assert gate.check().warnings == ()


def test_a_reference_to_a_table_that_is_not_supplied_is_not_looked_at(gate: Nights) -> None:
    gate.load(SUBSCRIPTIONS, subscriptions("nobody"))
    assert gate.check(tables=[SUBSCRIPTIONS]).warnings == ()
    assert remembered(gate) == []


def test_only_tonights_rows_are_read(gate: Nights) -> None:
    """Of 100,000 old months none is looked at again: the load's blocks are found by the index of loads."""
    old = gate.load(USAGE, [])
    with gate.conn, gate.conn.cursor() as cur:
        cur.execute(
            "insert into raw.crm__usage_months (subscription_id, month_on, updated_at, _load_id)"
            " select 's' || n, '2025-01-01', now(), %s from generate_series(1, 100000) as n",
            (old,),
        )
        cur.execute("select brin_summarize_new_values('raw.crm__usage_months_loads')")
    gate.open()
    new = gate.load(USAGE, [{"subscription_id": "stranger", "month_on": "2025-02-01"}])
    with gate.conn, gate.conn.cursor() as cur:
        cur.execute("analyze raw.crm__usage_months")
    rows = tonights_rows(load_contract().tables[USAGE], [new], ["subscription_id"]).as_string(gate.conn)
    plan = "\n".join(line for (line,) in gate.rows(f"explain {rows}"))
    assert "Bitmap Index Scan on crm__usage_months_loads" in plan
    assert "Seq Scan" not in plan
