"""A person is erased between two nights: gone everywhere, nothing else changes, and nothing comes back."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import erasure_kit as kit
import psycopg2
import pytest
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from quality_kit import nights

from conftest import Warehouse
from harness import PROJECT, NightSpec, as_of_after, hashes, scalar, simulate
from retention.erasure.acts import Act
from retention.erasure.erase import Eraser
from retention.erasure.errors import ErasureError
from retention.erasure.pseudonyms import KEY_VARIABLE, TOKEN_PATTERN, hash_of
from retention.erasure.suppression import suppress_batch, suppress_load, suppress_party
from retention.erasure.upkeep import Upkeep
from retention.rebuild import RebuildError, rebuild
from retention.simulator.run import forward
from retention.sources.contract import load_contract, raw_identifier
from retention.text.read import APPLIED_NAME
from retention.warehouse import batches

DAYS = 60
KEY = "a secret of this installation"
#: What the sources tell of the person after the erasure.
LATER = ("новый текст того же Планетова", "planted.again@example.org", "+79990007788", "9990007788")
PUBLIC = ("marts", "outcomes")


@dataclass(frozen=True)
class Case:
    """The operator, what its marts held before, and what erasing reported."""

    spec: NightSpec
    warehouse: Warehouse
    eraser: Eraser
    before: dict[str, tuple[int, str]]
    contacts_before: list[tuple[object, ...]]
    act: Act
    planned: Act


CONTACTS = """
    select contact_id, subject_id, subscription_id, link_method, exclusion_reason, topic
    from intermediate.int_contacts_linked order by 1
"""
LEVELS = "select contact_id, rule_id from intermediate.int_contact_signals where contact_id = 'c_named'"


def everything(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """Every row of every table and view of the warehouse as text, read as superuser: (schema.table, row)."""
    dsn = warehouse.dsn("postgres")
    for schema, table in kit.run(
        dsn,
        """select table_schema::text, table_name::text from information_schema.tables
        where table_schema not in ('pg_catalog', 'information_schema')""",
    ):
        for (row,) in kit.run(dsn, f'select t::text from "{schema}"."{table}" as t'):
            yield f"{schema}.{table}", str(row)


@pytest.fixture(scope="module")
def case(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A published night and a ten-minute run, then the erasure."""
    source = tmp_path_factory.mktemp("operator")
    spec = simulate(shared_warehouse, source, subscribers=200, days=DAYS, seed=11)
    work = tmp_path_factory.mktemp("work")
    spec = replace(spec, work=str(work), environment={**os.environ, **spec.environment, KEY_VARIABLE: KEY})
    kit.plant_person(spec.sources["crm"], spec.sources["helpdesk"])
    kit.plant_drops(source / "drops", "2025-03-01")
    spec.night("night 1").run(as_of_after(DAYS))
    spec.short_run().run(as_of_after(DAYS) + timedelta(minutes=10))
    (work / "exports").mkdir()
    (work / "exports" / "to_call.csv").write_text(f"number,email\n1,{kit.EMAIL}\n", encoding="utf-8")
    eraser = Eraser(spec.etl_dsn, spec.publisher_dsn, PROJECT, work, KEY, lease_wait_seconds=5)
    before = hashes(shared_warehouse.dsn("postgres"), *PUBLIC)
    contacts = kit.run(spec.etl_dsn, CONTACTS)
    planned = eraser.erase(kit.PARTY, "a tester", dry_run=True)
    assert kit.EMAIL in str(kit.run(spec.etl_dsn, "select email from raw.crm__parties"))
    assert scalar(spec.etl_dsn, "select count(*) from ops.suppressions") == 0
    admin = psycopg2.connect(shared_warehouse.cluster.dsn("postgres"))
    admin.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    with closing(admin), admin.cursor() as cur:
        cur.execute(f'create database "{shared_warehouse.database}_before_20260101t000000"')
        act = eraser.erase(kit.PARTY, "a tester", date(2025, 3, 1))
        cur.execute(f'drop database "{shared_warehouse.database}_before_20260101t000000"')
    return Case(spec, shared_warehouse, eraser, before, contacts, act, planned)


def test_a_dry_run_counts_what_the_erasure_takes(case: Case) -> None:
    counted = {item.place: item.rows for item in case.planned.items}
    erased = {item.place: item.rows for item in case.act.items}
    numbers = {f"{prefix}intermediate.int_contacts_gathered": 6 for prefix in ("", "live_")}
    assert erased == counted | numbers | {"file exports/to_call.csv": 1}


def test_the_act_says_what_was_erased_where_and_whom_only_by_hash(case: Case) -> None:
    places = {item.place: item.rows for item in case.act.items}
    assert {
        "raw.crm__parties": 1, "raw.crm__msisdn_periods": 2, "raw.helpdesk__tickets": 1, "raw.helpdesk__contacts": 5,
        "raw.vendor__call_attempts": 1, "raw.vendor__survey_responses": 1, "raw.web__public_reviews": 1,
        "raw.rejects": 2, "staging.stg_crm__parties": 1, "staging.stg_helpdesk__contacts": 5,
        "live_staging.stg_crm__parties": 1, "live_staging.stg_helpdesk__contacts": 5,
        "marts_a.private_contact_texts": 5, "marts_a.private_subscription_contacts": 2,
    }.items() <= places.items()  # fmt: skip
    assert case.act.found_after == []
    assert f"database {case.warehouse.database}_before_20260101t000000" in case.act.unread
    (path,) = (case.eraser.work / "acts").iterdir()
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["requested_on"] == "2025-03-01"
    assert kit.PARTY not in text
    assert not any(secret in text for secret in (*kit.SECRETS, kit.NAME, "9990001122"))
    booked = "select place, columns, rows from ops.erasure_items order by place"
    assert kit.run(case.spec.etl_dsn, booked) == sorted((i.place, list(i.columns), i.rows) for i in case.act.items)


def test_nothing_of_the_person_is_left_in_any_table_or_file(case: Case) -> None:
    found = [
        (table, secret) for table, row in everything(case.warehouse) for secret in kit.SECRETS if secret in row
    ]  # fmt: skip
    assert found == []
    files = [path for path in case.eraser.work.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if any(secret.encode() in path.read_bytes() for secret in kit.SECRETS)] == []
    held = kit.run(
        case.spec.etl_dsn,
        """select msisdn from raw.crm__msisdn_periods where subscription_id in ('S_ERASED', 'S_ERASED_2')
        union all select msisdn from raw.helpdesk__contacts where contact_id = any(%s)
        union all select msisdn_named from intermediate.int_contacts_gathered where contact_id = any(%s)
        union all select full_name from raw.crm__parties where party_id = %s""",
        list(kit.TEXTS), list(kit.TEXTS), kit.PARTY,
    )  # fmt: skip
    numbers = {number for (number,) in held if number is not None}
    assert len(numbers) == 3
    assert scalar(case.spec.etl_dsn, "select bool_and(n ~ %s) from unnest(%s) as n", TOKEN_PATTERN, list(numbers))


def test_the_next_holder_of_the_number_and_a_namesake_keep_everything(case: Case) -> None:
    etl = case.spec.etl_dsn
    texts = kit.run(
        etl, "select body from raw.helpdesk__contacts where contact_id like 'c\\_next%%' order by contact_id"
    )
    assert [text for (text,) in texts] == list(kit.OTHERS.values())
    number = "select msisdn from raw.vendor__call_attempts where attempt_id = 'a_3'"
    assert scalar(etl, number) == "79990001122"
    assert scalar(etl, "select body from raw.web__public_reviews where review_id = 'w_2'") == kit.NEXT_REVIEW
    assert scalar(etl, "select msisdn from raw.crm__msisdn_periods where msisdn_period_id = 'N_2'") == kit.NUMBER
    assert scalar(etl, "select row_text from raw.rejects where row_text like '%%a_5%%'") is not None
    assert scalar(etl, "select full_name from staging.stg_crm__parties where party_id = %s", kit.NAMESAKE) == kit.NAME
    assert case.act.values_shared == 2


def test_marts_and_outcomes_are_the_same_as_before(case: Case) -> None:
    assert hashes(case.warehouse.dsn("postgres"), *PUBLIC) == case.before
    assert len(case.before) > 10


def test_erasing_again_changes_nothing_and_an_unknown_party_is_an_error(case: Case) -> None:
    assert case.eraser.erase(kit.PARTY, "a tester").rows == 0
    assert scalar(case.spec.etl_dsn, "select count(*) from ops.erasures") == 1
    with pytest.raises(ErasureError, match=r"party P_NOBODY is unknown: .* Nothing was erased"):
        case.eraser.erase("P_NOBODY", "a tester")


def test_a_night_before_the_erasure_is_rebuilt_as_it_was_published(case: Case) -> None:
    night = case.spec.night()
    comparison = rebuild(night.etl_dsn, night.project, night.work, 1)
    assert comparison.differing == ()
    assert comparison.compared > 5


@pytest.fixture(scope="module")
def next_night(case: Case) -> Case:
    """The night after: the sources still tell of the person, and more than before; every table is read whole."""
    crm, helpdesk = case.spec.sources["crm"], case.spec.sources["helpdesk"]
    source = Path(case.spec.environment["RETENTION_DROPS"]).parent
    forward(crm, helpdesk, source)
    at = as_of_after(DAYS) + timedelta(hours=1)
    kit.run(crm, "update customers set email = %s, updated_at = %s where customer_id = %s", LATER[1], at, kit.PARTY)
    kit.run(crm, "insert into msisdn_periods values ('N_4', %s, 'S_ERASED', '2025-02-25Z', null, %s)", LATER[2], at)
    kit.run(helpdesk, "update interactions set ended_at = %s, updated_at = %s where interaction_id = 'c_named'", at, at)
    kit.run(
        helpdesk,
        """insert into interactions select (jsonb_populate_record(i, jsonb_build_object('interaction_id', 'c_new',
            'body', %s, 'subscription_id', null, 'msisdn', %s, 'started_at', %s, 'recorded_at', %s,
            'updated_at', %s))).* from interactions as i where interaction_id = 'c_named'""",
        LATER[0], LATER[2], at, at, at,
    )  # fmt: skip
    # Phrases are read anew, as after a change of the seed.
    kit.run(case.spec.etl_dsn, "delete from ops.applied_hashes where name = %s", APPLIED_NAME)
    night = case.spec.night("night 2")
    batch = night.open(as_of_after(DAYS + 1))
    for table in night.supplied_tables():
        night.extract(batch, table, force=True)
    night.run(as_of_after(DAYS + 1))
    return case


def test_later_loads_do_not_bring_the_person_back(next_night: Case) -> None:
    found = [
        (table, secret)
        for table, row in everything(next_night.warehouse)
        for secret in (*kit.SECRETS, *LATER)
        if secret in row
    ]
    assert found == []
    etl = next_night.spec.etl_dsn
    versions = "select contact_id, count(*) from raw.helpdesk__contacts where contact_id = any(%s) group by 1"
    assert dict(kit.run(etl, versions, [*kit.TEXTS, "c_new"])) == dict.fromkeys([*kit.TEXTS, "c_new"], 1) | {
        "c_named": 2
    }
    linked = "select subscription_id, link_method from marts.fct_contacts where contact_id = 'c_new'"
    assert kit.run(etl, linked) == [("S_ERASED", "msisdn")]
    kept = "select count(*) from raw.rejects where table_name = 'vendor.call_attempts' and row_text is not null"
    assert scalar(etl, kept) == 2, "the next holder's, in both loads"


def test_levels_outlive_the_text_they_rest_on(next_night: Case) -> None:
    etl = next_night.spec.etl_dsn
    assert scalar(etl, "select count(distinct load_id) from signals.phrase_hits where contact_id = 'c_named'") == 2
    rules = [rule for _, rule in kit.run(etl, LEVELS)]
    assert "leaving_phrase" in rules
    known = {row[0] for row in next_night.contacts_before}
    after = [row for row in kit.run(etl, CONTACTS) if row[0] in known]
    assert after == next_night.contacts_before


def test_a_load_without_the_right_key_stops(next_night: Case) -> None:
    for key, message in (("", f"{KEY_VARIABLE} is not set"), ("k" * 32, f"{KEY_VARIABLE} is not the key that ")):
        eraser = replace(next_night.eraser, key=key)
        with pytest.raises(ErasureError, match=message):
            eraser.erase(kit.NEXT, "a tester")
    spec = replace(next_night.spec, environment={**next_night.spec.environment, KEY_VARIABLE: ""})
    night = spec.night("night 3")
    batch = night.open(as_of_after(DAYS + 2))
    with pytest.raises(ErasureError, match="Nothing was done"):
        night.extract(batch, "crm.parties")
    assert scalar(spec.etl_dsn, "select count(*) from ops.loads where batch_id = %s", batch) == 0


def test_after_a_restore_the_acts_are_replayed_and_what_cannot_be_blanked_is_named(next_night: Case) -> None:
    etl = next_night.spec.etl_dsn
    tokens = kit.run(etl, "select token from ops.suppressions order by 1")
    kit.run(etl, "delete from ops.suppressions")
    kit.run(etl, "update raw.crm__parties set email = %s where party_id = %s", kit.EMAIL, kit.PARTY)
    kit.run(etl, "create table staging.planted as select %s::text as note", f"ask {kit.EMAIL}")
    with pytest.raises(ErasureError, match=r"still in staging.planted.note: 1 rows") as raised:
        next_night.eraser.replay("a tester")
    assert kit.EMAIL not in str(raised.value)
    kit.run(etl, "drop table staging.planted")
    assert scalar(etl, "select count(email) from raw.crm__parties where party_id = %s", kit.PARTY) == 0
    assert set(kit.run(etl, "select token from ops.suppressions")) <= set(tokens)
    assert [act.rows for act in next_night.eraser.replay("a tester")] == [0]


def test_upkeep_leaves_what_rebuilds_within_the_period_need(next_night: Case) -> None:
    etl = next_night.spec.etl_dsn
    upkeep = Upkeep(etl, PROJECT, frozenset({"vendor.call_attempts"}), lease_wait_seconds=5)
    done = {one.table: one for one in upkeep.run(as_of_after(DAYS + 450), ["versions"])}
    assert done["helpdesk.contacts"].rows > 0
    # The second night; between the two was the ten-minute run.
    assert done["helpdesk.contacts"].kept_from_batch_id == 3
    assert upkeep.run(as_of_after(DAYS + 450), ["versions"]) == []
    assert (
        scalar(etl, "select max(n) from (select count(*) as n from raw.helpdesk__tickets group by ticket_id) as t") == 1
    )
    night = next_night.spec.night("night 3")
    with pytest.raises(RebuildError, match=r"batch 1 cannot be rebuilt: .* nights before batch 3 saw"):
        rebuild(etl, night.project, night.work, 1)
    # Staging, intermediate and marts from what is left of raw equal what was published.
    assert rebuild(etl, night.project, night.work, 3).differing == ()
    batch = night.open(as_of_after(DAYS + 2))
    for table in night.supplied_tables():
        assert night.extract(batch, table) >= 0
    assert scalar(etl, "select sum(keys_new) from ops.loads where batch_id = %s", batch) == 0


def test_a_database_error_says_nothing_of_rows(case: Case) -> None:
    broken = replace(case.eraser, etl_dsn=case.warehouse.dsn("analyst"))
    with pytest.raises(ErasureError) as raised:
        broken.erase(kit.PARTY, "a tester")
    assert str(raised.value).startswith("erasure failed: InsufficientPrivilege (SQLSTATE 42501). ")


def test_an_owner_who_comes_a_night_after_the_row_and_its_reject(warehouse: Warehouse) -> None:
    with nights(warehouse) as night:
        environment = {KEY_VARIABLE: KEY}

        def load(table: str, **row: str) -> int:
            load_id = night.load(table, [row])
            with night.conn, night.conn.cursor() as cur:
                suppress_load(cur, load_contract().tables[table], raw_identifier(table), load_id, environment)
            return load_id

        with night.conn, night.conn.cursor() as cur:
            suppress_party(cur, "P", KEY)
        first = load("helpdesk.contacts", contact_id="c1", msisdn=kit.NUMBER, body=kit.THREAT)
        kit.run(
            warehouse.dsn(),
            "insert into raw.rejects (load_id, table_name, reason, row_text) values (%s, 'helpdesk.contacts', 'x', %s)",
            first, json.dumps({"contact_id": "c9", "msisdn": kit.NUMBER, "started_at": "bad"}),
        )  # fmt: skip
        # The first night died; what it loaded waits for the second.
        batch = batches.open_batch(night.conn, as_of_after(400), "second")
        batches.set_current_run(night.conn, batch)
        night.batch_id = batch.batch_id
        load("crm.msisdn_periods", msisdn_period_id="m1", msisdn=kit.NUMBER, subscription_id="S")
        load("crm.subscriptions", subscription_id="S", party_id="P")
        with night.conn, night.conn.cursor() as cur:
            suppress_batch(cur, environment)
        assert night.rows("select body from raw.helpdesk__contacts where contact_id = 'c1'") == [(None,)]
        left = [row for _, row in everything(warehouse) if kit.NUMBER.strip("+") in row]
        assert left == []


def test_whom_the_restored_warehouse_does_not_hold_is_put_on_the_list(warehouse: Warehouse, tmp_path: Path) -> None:
    act = tmp_path / "acts" / "1.json"
    act.parent.mkdir()
    act.write_text(json.dumps({"party_hash": hash_of("party", "P_IN_NO_BACKUP", KEY)}))
    with nights(warehouse) as night:
        eraser = Eraser(warehouse.dsn(), warehouse.dsn("publisher"), PROJECT, tmp_path, KEY)
        for _ in range(2):
            assert eraser.replay("a tester", [hash_of("party", "P_IN_NO_ACT", KEY)]) == []
        rows = [{"party_id": party, "full_name": kit.NAME} for party in ("P_IN_NO_BACKUP", "P_IN_NO_ACT", "P_OTHER")]
        load_id = night.load("crm.parties", rows)
        table = load_contract().tables["crm.parties"]
        with night.conn, night.conn.cursor() as cur:
            assert suppress_load(cur, table, raw_identifier(table.name), load_id, {KEY_VARIABLE: KEY}) == 2
        assert night.rows("select party_id from raw.crm__parties where full_name is not null") == [("P_OTHER",)]
