"""A few bad rows are set aside and come back when they are fixed; too many, or a doubt about them, stop the night."""

import io
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from quality_kit import NIGHT_1, SUITES, Nights, nights
from rich.console import Console

from conftest import Warehouse
from harness import PROJECT
from retention.local import set_aside
from retention.local.home import Home
from retention.quality import quarantine
from retention.quality.predicates import failing_rows
from retention.quality.suites import load_suites
from retention.quality.verdict import GateFailed
from retention.warehouse import batches

CONTACTS = "helpdesk.contacts"
USAGE = "crm.usage_months"
IN_SET = "expect_column_values_to_be_in_set(channel)"
#: Checks of a whole table, or of several rows at once.
NOT_OF_ROWS = ("expect_table_", "expect_compound_columns_to_be_unique", "expect_column_values_to_be_unique")


@pytest.fixture
def gate(warehouse: Warehouse) -> Iterator[Nights]:
    """An open night on an empty warehouse."""
    with nights(warehouse) as opened:
        yield opened


def contacts(*channels: str) -> list[dict[str, str]]:
    """A contact for each channel: c0, c1 and so on."""
    return [{"contact_id": f"c{number}", "channel": channel} for number, channel in enumerate(channels)]


def corrected(folder: Path, table: str, **meta_or_values: object) -> Path:
    """A copy of the suites in which the table's meta, or the set of words of a column, is another one."""
    shutil.copytree(SUITES, folder)
    (folder.parent / "dbt_project").symlink_to(SUITES.parent / "dbt_project")
    path = folder / "raw" / f"{table.replace('.', '/')}.yml"
    suite = yaml.safe_load(path.read_text())
    for name, value in meta_or_values.items():
        if name == "max_quarantine_ratio":
            suite["meta"][name] = value
        for expectation in suite["expectations"]:
            if expectation["type"].endswith("in_set") and expectation["kwargs"]["column"] == name:
                expectation["kwargs"]["value_set"] = value
    path.write_text(yaml.safe_dump(suite))
    return folder


def test_a_few_bad_rows_are_set_aside_and_booked(gate: Nights, caplog: pytest.LogCaptureFixture) -> None:
    load_id = gate.load(CONTACTS, contacts("pigeon", *["call"] * 200, "pigeon"))
    for _ in range(2):
        verdict = gate.check()
        assert verdict.critical_failures == ()
        (check,) = verdict.quarantined
        assert (check.name, check.severity, check.rows_failed) == (IN_SET, "critical", 2)
        assert gate.failed() == [
            (CONTACTS, IN_SET, "critical", True, 202, 2, [{"contact_id": "c0"}, {"contact_id": "c201"}])
        ]
        assert gate.in_quarantine() == [(load_id, "c0"), (load_id, "c201")]
    assert gate.rows("select distinct checks, batch_id, table_name from ops.quarantine") == [([IN_SET], 1, CONTACTS)]
    assert "2 of 202 rows of the table set aside" in caplog.text


def test_the_command_lists_checks_and_keys(gate: Nights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(set_aside.settings, "dsn", lambda *_: gate.warehouse.dsn())

    def shown(table: str | None = None) -> str:
        console = Console(record=True, width=200, file=io.StringIO())
        set_aside.show_quarantine(Home(PROJECT, tmp_path), console, table, 10)
        return console.export_text()

    assert "nothing is in quarantine" in shown()
    gate.load(CONTACTS, contacts("pigeon", "call"))
    gate.check()
    assert IN_SET in shown()
    assert "c0" not in shown()
    assert "c0" in shown(CONTACTS)
    assert "pigeon" not in shown() + shown(CONTACTS)


def test_a_row_may_fail_several_checks_and_a_key_may_have_several_columns(gate: Nights) -> None:
    bad = {"subscription_id": "s1", "month_on": "1990-01-01", "updated_at": None}
    load_id = gate.load(USAGE, [bad, {"subscription_id": "s1", "month_on": "2025-01-01"}])
    assert {check.name for check in gate.check().quarantined} == {
        "expect_column_values_to_be_between(month_on)", "expect_column_values_to_not_be_null(updated_at)",
    }  # fmt: skip
    assert gate.rows("select load_id, key, cardinality(checks) from ops.quarantine") == [
        (load_id, {"subscription_id": "s1", "month_on": "1990-01-01"}, 2)
    ]


@pytest.mark.parametrize(("bad", "good"), [(21, 1_000), (3, 0)])
def test_too_many_stop_the_night_and_nothing_is_set_aside(gate: Nights, bad: int, good: int) -> None:
    gate.load(CONTACTS, contacts(*["pigeon"] * bad, *["call"] * good))
    # Another table's few would be set aside on their own.
    gate.load(USAGE, [{"subscription_id": "s1", "month_on": f"{year}-01-01"} for year in (1990, 2020, 2021)])
    with pytest.raises(GateFailed) as stopped:
        gate.check()
    assert f"{bad:,} of {bad + good:,} rows fail critical checks, more than the share of 0.01" in str(stopped.value)
    assert "nothing was quarantined" in str(stopped.value)
    assert gate.in_quarantine() == []


def test_the_ratio_is_the_suite_s(gate: Nights, tmp_path: Path) -> None:
    gate.load(CONTACTS, contacts(*["pigeon"] * 21, *["call"] * 500))
    gate.suites = corrected(tmp_path / "expectations", CONTACTS, max_quarantine_ratio=0.05)
    assert len(gate.check().quarantined) == 1
    assert len(gate.in_quarantine()) == 21


def test_a_check_whose_rows_cannot_be_told_stops(gate: Nights, tmp_path: Path) -> None:
    suite = tmp_path / "raw" / "crm"
    suite.mkdir(parents=True)
    (suite / "parties.yml").write_text(
        "name: crm.parties\nmeta: {key: [party_id]}\nexpectations:\n"
        "  - {type: expect_column_values_to_match_regex, kwargs: {column: kind, regex: ^p}, severity: critical}\n"
        "  - {type: expect_column_values_to_be_unique, kwargs: {column: full_name}, severity: critical}\n"
    )
    gate.suites = tmp_path
    gate.load("crm.parties", [{"party_id": f"p{number}", "full_name": str(number // 2)} for number in range(100)])
    with pytest.raises(GateFailed, match="1 critical of 2 checks failed"):
        gate.check()
    gate.load("crm.parties", [{"party_id": "p1", "full_name": "x", "kind": "organisation"}])
    with pytest.raises(GateFailed, match="2 critical of 2 checks failed"):
        gate.check()
    assert gate.in_quarantine() == []


def test_a_condition_that_counts_otherwise_than_great_expectations_stops(
    gate: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overlooks(expectation: object, row: str) -> object:
        condition = failing_rows(expectation, row)  # type: ignore[arg-type]
        return condition and condition + quarantine.sql.SQL(" and r.contact_id <> 'c0'")

    monkeypatch.setattr(quarantine, "failing_rows", overlooks)
    gate.load(CONTACTS, contacts("pigeon", "call", "pigeon"))
    with pytest.raises(GateFailed, match=r"our own condition finds 1 rows: a fault of quality/predicates\.py"):
        gate.check()
    assert gate.in_quarantine() == []


def test_every_critical_check_of_rows_is_known(gate: Nights) -> None:
    critical = [e for suite in load_suites(SUITES, "raw") for e in suite.expectations if e.severity == "critical"]
    assert len(critical) > 100
    unknown = {e.label for e in critical if failing_rows(e, "r") is None and not e.type.startswith(NOT_OF_ROWS)}
    assert unknown == set()


def test_a_newer_version_that_passes_lets_all_back_and_one_that_fails_keeps_all(gate: Nights) -> None:
    gate.load(CONTACTS, contacts("call", "call"))
    gate.check()
    gate.open()
    first = gate.load(CONTACTS, contacts("pigeon"))
    gate.check()
    gate.open()
    second = gate.load(CONTACTS, contacts("owl"))
    gate.check()
    # The first would be shown if it were let back.
    assert gate.in_quarantine() == [(first, "c0"), (second, "c0")]
    gate.open()
    gate.load(CONTACTS, contacts("chat"))
    gate.check()
    assert gate.in_quarantine() == []
    assert gate.released() == [(first, 4, "replaced"), (second, 4, "replaced")]


def test_a_deleted_key_leaves_quarantine(gate: Nights) -> None:
    load_id = gate.load(CONTACTS, contacts("pigeon"))
    gate.check()
    gate.open()
    gate.load(CONTACTS, [{"contact_id": "c0", "_op": "d"}])
    gate.check()
    assert gate.released() == [(load_id, 2, "deleted")]


def test_a_corrected_check_lets_back_what_passes_it(gate: Nights, tmp_path: Path) -> None:
    load_id = gate.load(CONTACTS, contacts("pigeon", "owl", "call"))
    gate.check()
    gate.open()
    # No load of the table tonight: what is set aside is looked at all the same.
    gate.suites = corrected(tmp_path / "expectations", CONTACTS, channel=["call", "pigeon"])
    gate.check()
    assert gate.in_quarantine() == [(load_id, "c1")]
    assert gate.released() == [(load_id, 2, "passes")]


def test_an_older_version_that_fails_too_is_not_shown_instead(gate: Nights) -> None:
    good = gate.load(CONTACTS, contacts("call", "call", *["call"] * 50))
    gate.check()
    gate.open()
    # Two pending loads: the night before died, and of each key only the newest version is examined.
    first = gate.load(CONTACTS, contacts("pigeon", "chat", *["call"] * 50))
    second = gate.load(CONTACTS, contacts("owl", "owl"))
    third = gate.load(CONTACTS, [{"contact_id": f"d{number}"} for number in range(50)])
    for _ in range(2):
        gate.check()
        assert gate.in_quarantine() == [(first, "c0"), (second, "c0"), (second, "c1")]
    assert gate.shown(CONTACTS, "contact_id")[:3] == [("c0", good), ("c1", first), ("c10", first)]
    gate.open()
    gate.check()
    assert len(gate.in_quarantine()) == 3
    assert third > second
    last = gate.load(CONTACTS, contacts("call", "call"))
    gate.check()
    assert gate.in_quarantine() == []
    assert gate.released() == [(load_id, 3, "replaced") for load_id in (first, second, second)]
    assert gate.shown(CONTACTS, "contact_id")[:2] == [("c0", last), ("c1", last)]


def test_what_changes_after_the_transform_of_a_dying_night_is_told_to_the_next(gate: Nights, tmp_path: Path) -> None:
    load_id = gate.load(CONTACTS, contacts("pigeon", "chat"))
    gate.check()
    batches.consume_loads(gate.conn, gate.batch_id)
    with batches.recorded_step(gate.conn, gate.batch_id, "transform"):
        pass
    # The gate of the same night again with other suites, and the night dies.
    gate.suites = corrected(tmp_path / "expectations", CONTACTS, channel=["pigeon"])
    gate.load(CONTACTS, [{"contact_id": "d", "channel": "pigeon"}])
    gate.check()
    batch = batches.open_batch(gate.conn, NIGHT_1 + timedelta(days=9), "next")
    batches.set_current_run(gate.conn, batch)
    told = "select load_id, key ->> 'contact_id', is_set_aside, is_changed from ops.set_aside order by 1, 2"
    assert gate.rows(told) == [(load_id, "c0", False, True), (load_id, "c1", True, True)]
    with batches.recorded_step(gate.conn, batch.batch_id, "transform"):
        pass
    batches.set_current_run(gate.conn, batches.open_batch(gate.conn, NIGHT_1 + timedelta(days=10), "after"))
    assert gate.rows(told) == [(load_id, "c1", True, False)]
