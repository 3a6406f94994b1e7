"""Profiles: read whole, and wrong ones answered with every error by name."""

import json
from pathlib import Path

import pytest

from retention.sources.contract import load_contract
from retention.sources.doctor import MartSources, diagnose, marts_of_manifest
from retention.sources.mapping import map_columns
from retention.sources.profile import ColumnRule, FilesSource, ProfileError, SqlSource, load_profile


def errors_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "sources" / "x.yml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    return caught.value.errors


def test_the_simulator_supplies_every_canonical_table() -> None:
    profile = load_profile("simulator")
    assert set(profile.tables) == set(load_contract().tables)
    assert profile.connections == ["crm", "helpdesk"]


def test_all_errors_come_at_once_with_file_table_and_field(tmp_path: Path) -> None:
    text = """
zone: Europe/Moskow
owner: me
tables:
  helpdesk.tickets: {connection: db, table: tickets, columns: {opend_at: opened, ticket_id: null}}
  helpdesk.ticket: {connection: db, table: t}
  crm.parties:
    connection: db
    table: people
    query: select 1
    columns:
      kind: {column: typ, map: {P: persn}}
      region_id: {colum: region}
  crm.plans: {connection: db, tabel: plans}
  crm.consents: {connection: db, table: c, columns: {kind: {value: emails}, party_id: {column: a, default: x}}}
  crm.regions: nothing
  vendor.call_attempts: {files: x.csv, delimiter: ";;", zone: Mars/Base, formats: {atempted_at: "%d"}}
  vendor.survey_responses: {files: x.csv, formats: {atempted_at: "%d"}}
  web.public_reviews: {files: "sftp://me:word@host/*.csv", columns: {rating: {value: 1, pattern: "^.$"}}}
  helpdesk.agents: {connection: db, table: a, columns: {agent_id: {column: id, pattern: "^A"}}}
  helpdesk.teams: {files: x.csv, columns: {team_id: {column: id, pattern: "["}}}
  vendor.survey_invitations: {files: x.csv, columns: {survey_kind: {column: k, map: {no: csat}}}}
"""
    errors = errors_of(tmp_path, text)
    expected = [
        "field owner is not known",
        "zone: Europe/Moskow is not an IANA time zone",
        "helpdesk.tickets: column opend_at is not in the contract; did you mean opened_at?",
        "helpdesk.tickets: column ticket_id is required and cannot be taken out",
        "helpdesk.ticket is not a canonical table; did you mean helpdesk.tickets?",
        "crm.parties: give either table or query",
        "crm.parties: column kind: persn is not one of person, organisation",
        "crm.parties: field columns.region_id.colum is not known; did you mean column?",
        "crm.plans: give either table or query",
        "crm.plans: field tabel is not known; did you mean table?",
        "crm.consents: column kind: emails is not one of marketing_calls, surveys, data_processing",
        "crm.consents: columns.party_id: default needs a map",
        "crm.regions: give a connection and a table or query, or files",
        "vendor.call_attempts: zone: Mars/Base is not an IANA time zone",
        "vendor.call_attempts: delimiter: String should have at most 1 character",
        "vendor.call_attempts: formats: atempted_at is neither a column nor a type; did you mean attempted_at?",
        "vendor.survey_responses: formats: atempted_at is neither a column nor a type",
        "web.public_reviews: columns.rating: pattern needs a column",
        "web.public_reviews: files: the URL holds credentials: give the name of a connection that has them",
        "helpdesk.agents: columns.agent_id.pattern: of files only; a database's rows are chosen by a query",
        (
            "helpdesk.teams: columns.team_id.pattern: [ is not a regular expression: "
            "unterminated character set at position 0"
        ),
        (
            "vendor.survey_invitations: columns.survey_kind.map: the word False was read by YAML as a value:"
            " put it in quotes"
        ),
    ]
    assert sorted(errors) == sorted(f"sources/x.yml: {error}" for error in expected)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("zone: [", "sources/x.yml: not YAML: "),
        ("just words", "sources/x.yml: a profile is a mapping with `zone` and `tables`"),
    ],
)
def test_what_is_not_a_profile_is_said_so(tmp_path: Path, text: str, start: str) -> None:
    (error,) = errors_of(tmp_path, text)
    assert error.startswith(start)


def test_an_unknown_name_lists_the_shipped_profiles() -> None:
    with pytest.raises(ProfileError, match="no such profile: give a YAML file or one of: simulator"):
        load_profile("simulater")


def test_globs_take_names_from_the_environment() -> None:
    profile = load_profile("simulator")
    source = profile.resolved({"RETENTION_DROPS": "/drops"}).tables["vendor.call_attempts"]
    assert isinstance(source, FilesSource)
    assert source.files == "/drops/call_attempts/*.csv"
    with pytest.raises(ProfileError) as caught:
        profile.resolved({})
    assert caught.value.errors[0].endswith(
        "vendor.call_attempts: files: the environment variable RETENTION_DROPS is not set"
    )
    with pytest.raises(ProfileError, match="files: the URL holds credentials: name a connection instead") as caught:
        profile.resolved({"RETENTION_DROPS": "sftp://me:secret@host/drops"})
    assert "secret" not in str(caught.value)
    assert len(caught.value.errors) == 4


def test_columns_map_by_rule_then_by_name() -> None:
    table = load_contract().tables["crm.regions"]
    source = SqlSource(connection="db", table="r", columns={"time_zone": ColumnRule(column="tz"), "name": None})
    mapping = map_columns(table, source, ["region_id", "name", "manager"])
    assert [field.name for field in mapping.mapped] == ["region_id"]
    assert (mapping.gone, mapping.absent, mapping.unused) == ((("time_zone", "tz"),), ("name",), ("name", "manager"))
    assert mapping.missing_required(table) == ["time_zone"]


def test_the_doctor_answers_without_any_source(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("attempt_id,vendor_id,when\n")
    (tmp_path / "none").mkdir()
    path = tmp_path / "x.yml"
    path.write_text(f"""
zone: Europe/Moscow
tables:
  helpdesk.tickets: {{connection: db, table: tickets}}
  helpdesk.agents: {{connection: other, table: agents}}
  vendor.call_attempts: {{files: "{tmp_path}/*.csv"}}
  vendor.survey_responses: {{files: "{tmp_path}/no such folder/*.csv"}}
  web.public_reviews: {{files: "{tmp_path}/none/*.csv"}}
""")
    churn, contacts = {"crm.subscriptions", "crm.usage_months"}, {"crm.subscriptions", "helpdesk.tickets"}
    marts = {
        "dim_agent": MartSources(frozenset({"helpdesk.agents"}), frozenset({"helpdesk.agents"})),
        "fct_churn_events": MartSources(frozenset(churn | contacts), frozenset(churn)),
        "fct_contacts": MartSources(frozenset(contacts), frozenset({"helpdesk.tickets"})),
        "metrics": MartSources(frozenset({"crm.parties"}), frozenset()),
    }
    diagnosis = diagnose(load_profile(path), {"db": "postgresql://nobody@127.0.0.1:1/none"}, marts)
    found = {table.table: table for table in diagnosis.tables}
    assert not diagnosis.is_healthy
    assert found["crm.parties"].state == "not supplied"
    assert found["helpdesk.tickets"].state == "unreachable"
    assert "refused" in str(found["helpdesk.tickets"].problem)
    assert found["helpdesk.agents"].problem == "connection other is not configured"
    calls = found["vendor.call_attempts"]
    assert (calls.state, calls.missing_required, calls.unmapped) == ("unusable", ("attempted_at",), ("when",))
    assert found["web.public_reviews"].origin.startswith("0 files of ")
    assert found["vendor.survey_responses"].state == "unreachable"
    assert "FileNotFoundError" in str(found["vendor.survey_responses"].problem)
    assert [(mart.mart, mart.is_empty) for mart in diagnosis.marts] == [
        ("fct_churn_events", True),
        ("fct_contacts", False),
        ("metrics", False),
    ]


def test_the_tables_of_a_mart_come_from_the_manifest(tmp_path: Path) -> None:
    model = {"resource_type": "model"}
    manifest = {
        "sources": {"source.a": {"name": "crm__plans", "schema": "raw"}, "source.b": {"name": "run", "schema": "ops"}},
        "nodes": {
            "model.stg": model | {"name": "stg", "fqn": ["retention", "staging", "stg"]},
            "model.dim": model
            | {"name": "dim", "fqn": ["retention", "marts", "dim"], "config": {"meta": {"rows_from": ["crm.plans"]}}},
        },
        "parent_map": {"model.dim": ["model.stg", "source.b"], "model.stg": ["source.a"]},
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    assert marts_of_manifest(path) == {"dim": MartSources(frozenset({"crm.plans"}), frozenset({"crm.plans"}))}
