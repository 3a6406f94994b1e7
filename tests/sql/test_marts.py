"""The marts over sources that behave badly: their tests pass, their gates fail when they should, no personal data."""

import copy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner
from documented import published, queries, rebuilt
from mischief import Mischief
from planting import PROJECT, Planted

from conftest import Warehouse
from retention.mart_views import is_private
from retention.outcomes.track import track_outcomes
from retention.quality.reconcile import reconcile
from retention.quality.verdict import GateFailed
from retention.sources.contract import load_contract

RECONCILIATIONS = (
    "clock_segments_add_up",
    "compliance_holds_every_clock",
    "churn_is_conserved",
    "complaints_and_churn_agree",
    "every_mart_is_of_this_batch",
    "marts_hold_every_row",
    "one_owner_at_any_instant",
)


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Two nights of mischief, their outcomes and marts; those of the second stay, in marts_a."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    mischief = Mischief(warehouse, seed=7)
    for day in (100, 260):
        mischief.night(day, 0.9)
        ((as_of,),) = warehouse.rows("select as_of from ops.current_run")
        track_outcomes(conn, as_of, warehouse.batch_id)  # type: ignore[arg-type]
        warehouse.dbt.build_models(("marts",), {})
    yield warehouse
    conn.close()


def dbt_test(planted: Planted, monkeypatch: pytest.MonkeyPatch, selection: Sequence[str]) -> dict[str, str]:
    """Status of each dbt test of a selection."""
    project = planted.dbt.project
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    folders = ["--project-dir", project.folder, "--profiles-dir", project.folder, "--target-path", project.target]
    quiet = ["--quiet", "--log-level-file", "none"]
    arguments = [*quiet, "test", "--select", *selection, *map(str, folders)]
    result = dbtRunner(manifest=planted.dbt.manifest).invoke(arguments)
    return {one.node.name: str(one.status) for one in result.result.results}


def test_keys_relations_units_and_reconciliations_hold(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = dbt_test(planted, monkeypatch, ["path:models/marts", "path:tests/marts"])
    assert len(statuses) > 50
    assert set(RECONCILIATIONS) <= set(statuses)
    assert {name for name, status in statuses.items() if status != "pass"} == set()


def test_the_mischief_reached_the_marts(planted: Planted) -> None:
    """Else the tests above would say nothing."""
    groups = planted.rows("select churn_group from marts_a.fct_churn_events group by 1 order by 1 nulls last")
    assert [group for (group,) in groups] == [
        "involuntary", "technical", "voluntary_after_complaint", "voluntary_without_complaint", None
    ]  # fmt: skip
    statuses = {status for (status,) in planted.rows("select distinct status_any from marts_a.complaint_to_churn")}
    assert {"left", "left_involuntary", "returned", "not_yet_known"} <= statuses
    assert planted.row("select count(*) > 0, bool_or(is_left_before) from marts_a.fct_complaint_episodes") == (
        True,
        True,
    )
    assert planted.row("select count(distinct agent_id) > 0 from marts_a.dim_agent") == (True,)


def test_churn_and_curves_counted_once_more_agree(planted: Planted, tmp_path: Path) -> None:
    """Total churn straight from the log and usage, attribution from the complaints, over sources that behave badly."""
    for law in ("churn_adds_up", "curves_meet_metrics"):
        shutil.copy(PROJECT.parent / "expectations" / "reconciliation" / f"{law}.yml", tmp_path)
    assert reconcile(planted.dsn, planted.batch_id, tmp_path, "marts_a").critical_failures == ()
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute("update intermediate.int_churn_events set is_churn = false where kind = 'debt'")
        cur.execute("update marts_a.fct_churn_events set is_churn = false, churn_group = null where kind = 'debt'")
    # Intermediate and the mart err together, and the sources contradict them.
    with pytest.raises(GateFailed, match="involuntary"):
        reconcile(planted.dsn, planted.batch_id, tmp_path, "marts_a")
    mended = "where kind = 'debt' and outcome = 'left'"
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(f"update intermediate.int_churn_events set is_churn = true {mended}")
        cur.execute(f"update marts_a.fct_churn_events set is_churn = true, churn_group = 'involuntary' {mended}")
    assert reconcile(planted.dsn, planted.batch_id, tmp_path, "marts_a").critical_failures == ()


@pytest.mark.parametrize("page", ["outcomes.md", "metrics.md"])
def test_the_documented_queries_work(planted: Planted, page: str) -> None:
    found = [planted.rows(query) for query in queries(page, "marts_a")]
    assert len(found) > 4
    assert sum(map(bool, found)) > 2


def test_the_documented_queries_lead_to_their_cells(planted: Planted) -> None:
    """Every n, and every numerator that is told; also of metrics that metric_episodes does not hold."""
    cells = published(planted, "(select * from marts_a.retention_metrics where is_latest) as latest")
    seen = set()
    for found in rebuilt(planted, "metrics.md", "marts_a"):
        for place, (n, numerator) in found.items():
            told = cells[place]
            assert told == (n, told[1] if told[1] is None else numerator), place
            seen.add(place[0])
    assert {"survey_invitation_rate", "share_left_by_audit_crude"} <= seen


def personal_in_public(marts: Sequence[Any], personal: set[str]) -> list[str]:
    """Columns of marts that BI reads which the contract calls personal by name, or the model itself by meta.pii."""
    return [
        f"{mart.name}.{name}"
        for mart in marts
        for name, column in mart.columns.items()
        if not is_private(mart.name) and (name in personal or column.config.meta.get("pii"))
    ]


def test_a_planted_personal_column_is_found(planted: Planted) -> None:
    """A private mart that loses its prefix, and a personal column under another name."""
    contacts, texts = (
        copy.deepcopy(planted.dbt.manifest.nodes[f"model.retention.{name}"])
        for name in ("private_subscription_contacts", "private_contact_texts")
    )
    assert personal_in_public([contacts, texts], {"msisdn"}) == []
    contacts.name = "subscription_contacts"
    assert personal_in_public([contacts], {"msisdn"}) == [
        f"subscription_contacts.{name}" for name in ("full_name", "msisdn", "email")
    ]
    texts.name, texts.columns = "contact_texts", {"words": texts.columns["body"]}
    assert personal_in_public([texts], {"msisdn"}) == ["contact_texts.words"]


def test_personal_columns_of_private_marts_have_the_contracts_names(planted: Planted) -> None:
    """Erasure finds them by name."""
    personal = {c for table in load_contract().tables.values() for c, spec in table.columns.items() if spec.pii}
    marked = {
        name: {column for column, spec in node.columns.items() if spec.config.meta.get("pii")}
        for name, node in ((node.name, node) for node in planted.dbt.manifest.nodes.values())
        if is_private(name)
    }
    assert marked == {
        "private_subscription_contacts": {"full_name", "msisdn", "email"},
        "private_contact_texts": {"body"},
    }
    assert all(columns <= personal for columns in marked.values())


def test_no_personal_data_reaches_the_marts(planted: Planted) -> None:
    personal = {
        column for table in load_contract().tables.values() for column, spec in table.columns.items() if spec.pii
    }
    assert "msisdn" in personal
    marts = [
        node for node in planted.dbt.manifest.nodes.values() if node.resource_type == "model" and node.fqn[1] == "marts"
    ]
    assert len(marts) == len(list((PROJECT / "models" / "marts").rglob("*.sql"))) > 20
    assert personal_in_public(marts, personal) == []
    values = planted.rows(
        "select msisdn from raw.helpdesk__contacts where msisdn is not null "
        "union select body from raw.helpdesk__contacts where length(body) > 3"
    )
    assert values
    for mart in marts:
        text = str(planted.rows(f"select * from marts_a.{mart.name}"))
        if mart.name == "private_subscription_contacts":
            # Where they belong the same search finds them.
            assert [value for (value,) in values if str(value) in text], mart.name
        elif not is_private(mart.name):
            assert [value for (value,) in values if str(value) in text] == [], mart.name


def test_every_mart_has_a_contract_an_owner_and_a_described_grain(planted: Planted) -> None:
    for node in planted.dbt.manifest.nodes.values():
        if node.resource_type != "model" or node.fqn[1] != "marts":
            continue
        assert node.config.contract.enforced, node.name
        assert node.config.materialized == "table", node.name
        assert node.config.meta["owner"], node.name
        assert node.description.startswith("One row per "), node.name
        assert [name for name, column in node.columns.items() if not column.description] == [], node.name


def test_every_reconciliation_fails_on_a_planted_fault(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(
            """
            delete from marts_a.fct_churn_events where churn_group = 'involuntary';
            update marts_a.complaint_to_churn set attributed_churn_count = 7 where is_attributed and horizon_days = 90;
            update marts_a.metrics set _batch_id = 99 where metric = 'survival';
            update marts_a.fct_clock_segments set calendar_seconds = calendar_seconds + 1;
            update marts_a.sla_compliance set excluded_count = excluded_count + 1;
            update marts_a.owner_history set valid_to = valid_to + interval '1 second'
            """
        )
    statuses = dbt_test(planted, monkeypatch, ["path:tests/marts"])
    assert statuses == dict.fromkeys(RECONCILIATIONS, "fail")
