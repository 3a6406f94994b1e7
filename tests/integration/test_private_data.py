"""No personal data and no secret outside the places that may hold them, after a night in which everything goes wrong.

Everything a source holds in a personal column is searched, and planted values where errors like to quote rows.
"""

import json
from pathlib import Path

import pytest

from aftermath import EMAIL, JUNK, NAME, PHONE, PLANTED, TEXT, Aftermath, change
from harness import scalar
from private_data import Leak, search_database, search_files
from retention.warehouse.install import ROLES

# The night's own time counts as the first test's.
pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]


def test_things_went_wrong_as_planned(aftermath: Aftermath) -> None:
    """Else the searches below would say nothing."""
    assert {"a refused row", "a failing model", "check_marts"} <= set(aftermath.failures)
    assert scalar(aftermath.spec.etl_dsn, "select count(*) from raw.rejects where row_text like %s", f"%{JUNK}%") != 0
    assert scalar(aftermath.spec.etl_dsn, "select count(*) from ops.quarantine") != 0
    said = (aftermath.files / "errors.log").read_text(encoding="utf-8")
    assert all(f"== {what}: " in said for what in aftermath.failures)
    assert "Traceback" in said
    for query in (
        f"select count(*) from marts_private.subscription_contacts where full_name = '{NAME}'",
        f"select count(*) from marts_private.contact_texts where body = '{TEXT}'",
    ):
        assert scalar(aftermath.warehouse.dsn("outreach"), query) != 0
    assert len(aftermath.values) > 300


def test_no_file_holds_personal_data(aftermath: Aftermath) -> None:
    """Work folder, dbt's targets and logs, everything logged, printed and raised; the server's log."""
    work = Path(aftermath.spec.work)
    sources = {work / "drops", work / "state", work / "truth"}
    assert (aftermath.files / "errors.log").stat().st_size > 1000
    found = search_files(
        aftermath.values, [work, aftermath.warehouse.cluster.log], lambda path: bool(sources & set(path.parents))
    )
    assert found == []


def test_no_table_holds_personal_data_but_those_that_may(aftermath: Aftermath, tmp_path: Path) -> None:
    found = search_database(aftermath.values, aftermath.warehouse.dsn("postgres"), aftermath.allowed, tmp_path)
    assert found == []


@pytest.mark.parametrize("role", ["bi_reader", "analyst"])
def test_a_role_without_personal_data_can_read_none(aftermath: Aftermath, tmp_path: Path, role: str) -> None:
    """Whatever it may read, without any list of exceptions."""
    assert search_database(aftermath.values, aftermath.warehouse.dsn(role), (), tmp_path) == []


def test_planted_leaks_are_found(aftermath: Aftermath, tmp_path: Path) -> None:
    """In files of any format, in columns of any type, by substring, and in the places on the list without the list."""
    leaks = tmp_path / "leaks"
    leaks.mkdir()
    (leaks / "a.json").write_text('{"error": "Key (full_name)=(' + NAME.encode("unicode_escape").decode() + ')"}')
    (leaks / "b.bin").write_bytes(b"\0\1\2" + PHONE.removeprefix("+").encode() + b"\0")
    (leaks / "c.log").write_text("nothing to see")
    assert [Path(leak.place).name for leak in search_files(PLANTED, [leaks], lambda _: False)] == ["a.json", "b.bin"]
    owner = aftermath.warehouse.dsn("postgres")
    change(
        owner,
        "create schema planted",
        "create table planted.leaks (a jsonb, b bigint, c text[], d json, e text)",
        f"""insert into planted.leaks values ('{{"k": "{EMAIL}"}}', {PHONE[1:]}, array['x', 'so: {TEXT}!'],
            '{json.dumps({"k": NAME})}', 'clean')""",
    )
    try:
        found = search_database(aftermath.values, owner, aftermath.allowed, tmp_path / "columns", ["planted"])
        assert [leak.place for leak in found] == [f"planted.leaks.{column}" for column in "abcd"]
    finally:
        change(owner, "drop schema planted cascade")
    places = {leak.place for leak in search_database(aftermath.values, owner, (), tmp_path / "columns")}
    assert {
        "raw.crm__parties.full_name", "raw.rejects.row_text", "staging.stg_helpdesk__contacts.body",
        "marts_private.contact_texts.body", "intermediate.int_contacts_gathered.msisdn_named",
        "live_staging.stg_helpdesk__contacts.body",
    } <= places  # fmt: skip
    with pytest.raises(ValueError, match="nothing to search for"):
        search_files(set(), [leaks], lambda _: False)


def test_no_secret_is_in_a_file_or_table(aftermath: Aftermath, tmp_path: Path) -> None:
    secrets = {aftermath.warehouse.passwords[role] for role in ROLES} | {aftermath.warehouse.cluster.password}
    work = Path(aftermath.spec.work)
    assert search_files(secrets, [work, aftermath.warehouse.cluster.log], lambda _: False) == []
    assert search_database(secrets, aftermath.warehouse.dsn("postgres"), (), tmp_path) == []
    leak = tmp_path / "leak.log"
    leak.write_text(f"connecting to {aftermath.spec.etl_dsn}")
    assert search_files(secrets, [leak], lambda _: False) == [Leak(str(leak), 1)]
