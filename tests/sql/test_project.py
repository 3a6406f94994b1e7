"""The dbt project itself: its own tests, its layers, and what it takes from the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dbt.cli.main import dbtRunner
from mischief import Mischief
from planting import PROJECT, Planted

from conftest import Warehouse
from retention.sources.contract import load_contract

ORDER = {"staging": 0, "intermediate": 1, "marts": 2}


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """One night of mischief: every table has rows."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    Mischief(warehouse, seed=5).night(100, 0.9)
    yield warehouse
    conn.close()


def dbt_test(planted: Planted, monkeypatch: pytest.MonkeyPatch, *selection: str) -> dict[str, str]:
    """Status of each dbt test of a selection."""
    project = planted.dbt.project
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    flags = [
        "--project-dir",
        str(project.folder),
        "--profiles-dir",
        str(project.folder),
        "--target-path",
        str(project.target),
    ]
    arguments = [
        "--quiet",
        "--log-level-file",
        "none",
        "test",
        "--indirect-selection",
        "cautious",
        "--select",
        *selection,
        *flags,
    ]
    result = dbtRunner(manifest=planted.dbt.manifest).invoke(arguments)
    return {one.node.name: str(one.status) for one in result.result.results}


def test_the_unit_tests_beside_the_models_pass(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = dbt_test(planted, monkeypatch, "path:models/intermediate,test_type:unit")
    assert len(statuses) >= 5
    assert {name for name, status in statuses.items() if status != "pass"} == set()


def test_keys_are_unique_and_present(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [f"path:models/{layer},test_type:data" for layer in ("staging", "intermediate")]
    statuses = dbt_test(planted, monkeypatch, *layers)
    assert len(statuses) > 120
    assert {name for name, status in statuses.items() if status != "pass"} == set()


def back_edges(manifest: dict[str, tuple[str, list[str]]]) -> list[tuple[str, str]]:
    """(model, parent) pairs that break the layers: `manifest` maps a model to its layer and its parents' names."""
    layers = {name: ORDER[layer] for name, (layer, _) in manifest.items()}
    return [
        (name, parent)
        for name, (layer, parents) in manifest.items()
        for parent in parents
        if parent in layers and (layers[parent] > ORDER[layer] or (layer == "marts" and layers[parent] == 0))
    ]


def test_nothing_flows_backwards(planted: Planted) -> None:
    nodes = [node for node in planted.dbt.manifest.nodes.values() if node.resource_type == "model"]
    models = {node.name: (node.fqn[1], [parent.split(".")[-1] for parent in node.depends_on.nodes]) for node in nodes}
    assert len(models) > 40
    assert back_edges(models) == []
    staging_models = [(node.name, node.depends_on.nodes) for node in nodes if node.fqn[1] == "staging"]
    assert [name for name, parents in staging_models if any(not uid.startswith("source.") for uid in parents)] == []
    raw_readers = {
        node.name for node in nodes if any(uid.startswith("source.retention.raw.") for uid in node.depends_on.nodes)
    }
    assert {name for name in raw_readers if models[name][0] != "staging"} == set()


def test_a_planted_back_edge_is_found() -> None:
    models = {"stg_a": ("staging", []), "int_b": ("intermediate", ["fct_c"]), "fct_c": ("marts", ["stg_a"])}
    assert back_edges(models) == [("int_b", "fct_c"), ("fct_c", "stg_a")]


def test_staging_has_every_table_and_column_of_the_contract(planted: Planted) -> None:
    for name, table in load_contract().tables.items():
        staged = f"stg_{name.replace('.', '__')}"
        columns = planted.rows(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'staging' and table_name = %s order by ordinal_position",
            staged,
        )
        assert [column for column, _ in columns] == [*table.columns, "_load_id"], staged
        (node,) = [node for node in planted.dbt.manifest.nodes.values() if node.name == staged]
        documented = {column: bool(spec.config.meta.get("pii")) for column, spec in node.columns.items()}
        assert {column for column, pii in documented.items() if pii} == {
            c for c, spec in table.columns.items() if spec.pii
        }
        assert set(documented) == {*table.columns, "_load_id"}


def test_every_model_and_column_is_documented(planted: Planted) -> None:
    nodes = [node for node in planted.dbt.manifest.nodes.values() if node.resource_type == "model"]
    assert [node.name for node in nodes if not node.description] == []
    undocumented = [
        f"{node.name}.{column}" for node in nodes if node.fqn[1] == "intermediate"
        for column, spec in node.columns.items() if not spec.description and column != "agent_id"
    ]  # fmt: skip
    assert undocumented == []


def test_a_column_that_becomes_personal_has_its_table_made_anew(planted: Planted) -> None:
    (node,) = (node for node in planted.dbt.manifest.nodes.values() if node.name == "stg_crm__parties")
    before = planted.dbt.hashes("staging")
    meta = node.columns["segment"].config.meta
    meta["pii"] = True
    try:
        after = planted.dbt.hashes("staging")
    finally:
        del meta["pii"]
    assert {name for name in before if before[name] != after[name]} == {"stg_crm__parties"}
    assert planted.dbt.hashes("staging") == before


def test_every_seed_has_a_table_and_types(planted: Planted) -> None:
    properties = yaml.safe_load((PROJECT / "seeds" / "_seeds.yml").read_text(encoding="utf-8"))["seeds"]
    typed = {seed["name"]: set(seed["config"]["column_types"]) for seed in properties}
    for path in sorted(Path(PROJECT / "seeds").glob("*.csv")):
        header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        if path.stem in typed:
            assert typed[path.stem] == set(header), path.stem
