"""Suites agree with the contract, and a bad suite file is refused by file and field."""

import re
from pathlib import Path

import pytest
import yaml

from retention.quality.suites import SuiteError, load_suites
from retention.quality.verdict import Check, GateFailed, Verdict
from retention.sources.contract import load_contract

SUITES = Path(__file__).resolve().parents[2] / "expectations"
CONTRACT = load_contract()
RAW = {suite.table: suite for suite in load_suites(SUITES, "raw")}


def test_every_canonical_table_has_a_suite_and_no_other() -> None:
    assert set(RAW) == set(CONTRACT.tables)


@pytest.mark.parametrize("name", list(CONTRACT.tables))
def test_the_contract_s_promises_are_critical(name: str) -> None:
    table, suite = CONTRACT.tables[name], RAW[name]
    critical = [e for e in suite.expectations if e.severity == "critical"]
    not_null = {e.columns[0] for e in critical if e.type == "expect_column_values_to_not_be_null"}
    assert not_null >= set(table.required())
    for severity, is_required in (("critical", True), ("warning", False)):
        sets = {
            e.columns[0]: tuple(e.kwargs["value_set"])
            for e in suite.expectations
            if e.type == "expect_column_values_to_be_in_set" and e.severity == severity
        }
        # An unknown word of an optional column is `unknown` and a warning: no reason to lose the row.
        wanted = {c: spec.values for c, spec in table.columns.items() if spec.values and spec.required == is_required}
        assert wanted.items() <= sets.items()
        assert is_required is False or sets == wanted
    assert set(suite.columns) <= set(table.columns)


def test_staging_knows_the_words_of_optional_columns() -> None:
    folder = SUITES.parent / "dbt_project" / "models" / "staging"
    found = {}
    for path in folder.glob("*/stg_*.sql"):
        for column, words in re.findall(r"known_word\('(\w+)', \[(.*?)\]\)", path.read_text(encoding="utf-8")):
            found[path.stem, column] = tuple(re.findall(r"'(\w+)'", words))
    assert found == {
        (f"stg_{name.replace('.', '__')}", column): spec.values
        for name, table in CONTRACT.tables.items()
        for column, spec in table.columns.items()
        if spec.values and not spec.required
    }
    assert len(found) > 5


def test_a_set_of_words_may_be_a_seed_s(tmp_path: Path) -> None:
    topics = next(e for e in RAW["helpdesk.contacts"].expectations if e.columns == ["topic_code"])
    assert "network_coverage" in topics.kwargs["value_set"]
    (tmp_path / "marts").mkdir()
    (tmp_path / "marts" / "t.yml").write_text(GOOD.replace("column: a", "column: a, value_set: {seed: no, column: b}"))
    with pytest.raises(SuiteError, match=r"expectations\[0\]: value_set wanted a seed and a column"):
        load_suites(tmp_path, "marts")


def test_failing_rows_are_shown_by_surrogate_keys_only() -> None:
    for name, suite in RAW.items():
        assert suite.key == CONTRACT.tables[name].key or suite.key == ()
        assert not set(suite.key) & set(CONTRACT.pii_columns().get(name, []))


def test_every_mart_has_a_suite_on_its_key_and_its_promises() -> None:
    marts = {}
    for path in (SUITES.parent / "dbt_project" / "models" / "marts").glob("*/*.yml"):
        # A file may hold unit tests only.
        models = yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
        marts.update({model["name"]: model for model in models})
    suites = {suite.table: suite for suite in load_suites(SUITES, "marts")}
    assert set(suites) == set(marts)
    assert marts
    for name, suite in suites.items():
        columns = {column["name"]: column for column in marts[name]["columns"]}
        assert set(suite.columns) <= set(columns), name
        unique = [e.columns for e in suite.expectations if e.type.endswith("_unique") and e.severity == "critical"]
        assert list(suite.key) in unique, name
        not_null = {e.columns[0] for e in suite.expectations if e.type == "expect_column_values_to_not_be_null"}
        promised = {c for c, spec in columns.items() if {"type": "not_null"} in spec.get("constraints", [])}
        assert promised - {"_batch_id"} | set(suite.key) <= not_null, name


GOOD = "name: t\nmeta: {key: [id]}\nexpectations:\n  - {type: x, kwargs: {column: a}, severity: warning}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("name: t", "name: other"), "name is 'other', the file's place says 't'"),
        (GOOD.replace("{key: [id]}", "{}"), "meta needs key"),
        (GOOD.replace("{key: [id]}", "{key: [id], owner: me}"), "meta needs key"),
        (GOOD.replace("warning", "fatal"), r"expectations\[0\]: severity is 'fatal', allowed: critical, warning"),
        (GOOD.replace("kwargs", "arguments"), r"expectations\[0\]: wanted the fields type, kwargs and severity"),
        ("name: t\nmeta: {key: [id]}\nexpectations: []\n", "expectations is empty"),
        ("name: t\n", "wanted the fields name, meta and expectations"),
    ],
)
def test_a_bad_suite_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "marts").mkdir()
    (tmp_path / "marts" / "t.yml").write_text(text)
    with pytest.raises(SuiteError, match=message):
        load_suites(tmp_path, "marts")


def test_a_gate_without_suites_does_not_pass_by_default(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="nothing would be checked"):
        load_suites(tmp_path, "raw")


def test_at_most_twenty_keys_are_told() -> None:
    keys = tuple({"id": f"k{i}"} for i in range(20))
    check = Check("t", "c", "critical", False, 900, 500, keys, None)
    message = str(GateFailed("raw", Verdict((check,)), "marts still serve batch 11 of 2026-02-04 23:00 UTC"))
    assert "c failed for 500 of 900 rows. Keys (id; the first 20): k0; k1;" in message
    assert "Nothing was published; marts still serve batch 11 of 2026-02-04 23:00 UTC." in message
