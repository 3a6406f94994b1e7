"""Raw tables follow the contract: created, extended, never silently retyped."""

from typing import TYPE_CHECKING

import psycopg2
import pytest

from retention.sources.contract import Contract, ContractError, create_raw_tables, load_contract, parse_contract

if TYPE_CHECKING:
    from tests.conftest import Warehouse

HEAD = """
version: 1
defaults: {overlap: 2 hours, max_delete_ratio: 0.05}
tables:
  crm.plans:
    description: Tariff plans.
    key: [plan_id]
    deletes: none
    columns:
      plan_id: {type: text, required: true}
      fee: {type: "numeric(12,2)"}
"""


def columns(warehouse: "Warehouse") -> dict[str, tuple[str, str | None]]:
    conn = warehouse.connect()
    with conn, conn.cursor() as cur:
        cur.execute(
            "select attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) from pg_attribute"
            " where attrelid = 'raw.crm__plans'::regclass and attnum > 0"
        )
        found = {name: (type_name, comment) for name, type_name, comment in cur.fetchall()}
    conn.close()
    return found


def apply(warehouse: "Warehouse", contract: Contract) -> None:
    conn = warehouse.connect()
    create_raw_tables(conn, contract)
    conn.close()


def test_a_new_column_and_a_new_comment_arrive_and_a_retyped_one_is_refused(warehouse: "Warehouse") -> None:
    apply(warehouse, parse_contract(HEAD))
    assert set(columns(warehouse)) == {"plan_id", "fee", "_load_id", "_op"}
    extended = HEAD + "      owner: {type: text, pii: true, description: who signs}\n"
    apply(warehouse, parse_contract(extended))
    assert columns(warehouse)["owner"] == ("text", "who signs; personal data")
    with pytest.raises(ContractError, match=r"crm\.plans: column fee is numeric\(12,2\) in raw\.crm__plans and bigint"):
        apply(warehouse, parse_contract(extended.replace("numeric(12,2)", "bigint")))


def test_all_tables_are_created_once_and_rows_need_a_load(warehouse: "Warehouse") -> None:
    apply(warehouse, load_contract())
    apply(warehouse, load_contract())
    conn = warehouse.connect()
    with conn.cursor() as cur:
        cur.execute("select count(*) from pg_tables where schemaname = 'raw' and tablename like '%\\_\\_%'")
        assert cur.fetchone() == (len(load_contract().tables),)
        with pytest.raises(psycopg2.errors.UndefinedObject):
            cur.execute("insert into raw.crm__plans (plan_id) values ('a')")
    conn.close()
