"""The contract holds together, and says so when it does not."""

import pytest
from pydantic import ValidationError

from retention.sources.contract import load_contract, parse_contract, raw_table

TEXT = """
version: 1
defaults: {overlap: 90 minutes, max_delete_ratio: 0.05}
tables:
  crm.plans:
    description: Plans.
    key: [plan_id]
    cursor: updated_at
    deletes: none
    columns:
      plan_id: {type: text, required: true}
      updated_at: {type: timestamptz}
"""


def test_defaults_reach_tables() -> None:
    table = parse_contract(TEXT).tables["crm.plans"]
    assert (table.overlap.total_seconds(), table.max_delete_ratio, table.raw) == (5400, 0.05, "raw.crm__plans")
    assert raw_table("helpdesk.ticket_events") == "raw.helpdesk__ticket_events"


def test_the_hash_changes_with_the_shape_only() -> None:
    first = parse_contract(TEXT).tables["crm.plans"].hash
    assert parse_contract(TEXT.replace("Plans.", "Tariffs.")).tables["crm.plans"].hash == first
    assert (
        parse_contract(TEXT.replace("timestamptz}", "timestamptz}\n      a: {type: date}")).tables["crm.plans"].hash
        != first
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("key: [plan_id]", "key: [id]", "crm.plans: id is not among the columns"),
        ("cursor: updated_at", "cursor: plan_id", "the cursor plan_id must be a timestamptz"),
        ("timestamptz}", "datetime}", r"tables\.`crm\.plans`\.columns\.updated_at\.type"),
        ("90 minutes", "soon", r"tables\.`crm\.plans`\.overlap"),
    ],
)
def test_contradictions_are_named(old: str, new: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse_contract(TEXT.replace(old, new))


def test_the_shipped_contract_marks_what_is_personal() -> None:
    pii = load_contract().pii_columns()
    for table, spec in load_contract().tables.items():
        for column in {"msisdn", "full_name", "email", "body", "comment", "author_name"} & set(spec.columns):
            assert column in pii[table], f"{table}.{column}"
