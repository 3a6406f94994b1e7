"""Hashes, tokens and numbers as SQL computes them, against Python and dbt's macro; and the models that hold people."""

import string
from pathlib import Path

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from conftest import Warehouse
from harness import PROJECT
from retention.erasure.copies import personal_models
from retention.erasure.errors import ErasureError
from retention.erasure.pseudonyms import TOKEN_PATTERN, arm, hash_of, hashed, normalised, token
from retention.sources.contract import load_contract

KEYS = ("short secret of sixteen", "длинный секрет " * 9)
MACRO = (PROJECT / "dbt_project" / "macros" / "values.sql").read_text(encoding="utf-8")


def rendered(expression: str) -> str:
    return jinja2.Template(MACRO + expression).render().strip()


@pytest.mark.parametrize("key", KEYS)
def test_sql_hashes_as_python_does(shared_warehouse: Warehouse, key: str) -> None:
    conn = shared_warehouse.connect()
    with conn, conn.cursor() as cur:
        arm(cur, key)
        for value in ("P1", "Ёж №1", "", "x" * 200):
            cur.execute(sql.SQL("select {}").format(hashed("party", sql.Literal(value))))
            assert cur.fetchone() == (hash_of("party", value, key),)
            assert hash_of("party", value, key) != hash_of("number", value, key)
    conn.close()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.text(alphabet=string.digits + "+-() ОоOлlI" + string.ascii_letters, max_size=24))
def test_numbers_are_read_as_the_macro_reads_them_and_tokens_survive_it(
    shared_warehouse: Warehouse, number: str
) -> None:
    conn = shared_warehouse.connect()
    with conn, conn.cursor() as cur:
        arm(cur, KEYS[0])
        ours, ours_token = normalised(sql.SQL("value")), token(sql.Literal("P1"), sql.SQL("value"))
        cur.execute(
            sql.SQL(
                "select {ours}, {macro}, token, {normalised_token}, token ~ {pattern}"
                " from (select value, {token} as token from (select {number}::text as value) as v) as v"
            ).format(
                ours=ours, macro=sql.SQL(rendered("{{ normalise_msisdn('value') }}")), token=ours_token,
                normalised_token=sql.SQL(rendered("{{ normalise_msisdn('token') }}")),
                pattern=sql.Literal(TOKEN_PATTERN), number=sql.Literal(number),
            )
        )  # fmt: skip
        here, there, made, survived, is_token = cur.fetchone() or (None,) * 5
    conn.close()
    assert here == there
    assert made == survived
    assert is_token


def test_a_model_whose_people_cannot_be_told_apart_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "bad.yml").write_text(
        "models: [{name: private_things, columns: [{name: thing}, {name: email, config: {meta: {pii: true}}}]}]"
    )
    with pytest.raises(ErasureError, match=r"private_things has personal columns \(email\) and none of contact_id"):
        personal_models(tmp_path, load_contract())
    found = personal_models(PROJECT / "dbt_project", load_contract())
    assert len(found) >= 10
    assert found["stg_crm__parties"] == ["full_name", "email"]


def test_every_personal_table_says_whose_its_rows_are() -> None:
    staff = {"helpdesk.agents"}
    tables = load_contract().tables.values()
    assert {table.name for table in tables if table.personal and not table.person} == staff
    assert [table.name for table in tables if table.personal and table.person and len(table.key) != 1] == []
