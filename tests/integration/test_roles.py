"""Who may touch what, tried as each role: what it must not do, and what it must be able to do.

The night is small and real, so that the tables are those that dbt, the publisher and the loads make.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from dbt.cli.main import dbtRunner
from psycopg2 import errors, sql

from aftermath import Aftermath
from conftest import Warehouse
from harness import NightSpec
from retention.mart_views import FOR_OUTREACH, STANDING
from retention.sources.contract import load_contract
from retention.transform import Dbt, Project
from retention.warehouse.install import BI_SETTINGS, READERS, ROLES, install_schemas

# The night's own time counts as the first test's.
pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]
LIVE, IDLE = "marts_a", "marts_b"


@pytest.fixture(scope="module")
def shared_warehouse(aftermath: Aftermath) -> Warehouse:
    """A warehouse with a published night."""
    return aftermath.warehouse


@pytest.fixture(scope="module")
def operator(aftermath: Aftermath) -> NightSpec:
    """Its operator."""
    return aftermath.spec


@pytest.fixture(params=["first installed", "installed again"], scope="module")
def installed(request: pytest.FixtureRequest, operator: NightSpec, shared_warehouse: Warehouse) -> NightSpec:
    """Rights must be the same after `retention install` was repeated on a warehouse in use."""
    if request.param == "installed again":
        conn = shared_warehouse.connect("postgres")
        install_schemas(conn)
        conn.close()
    return operator


def run_as(warehouse: Warehouse, role: str, *statements: str) -> list[tuple[object, ...]]:
    """The rows of the last statement; nothing is kept."""
    conn = warehouse.connect(role)
    try:
        with conn.cursor() as cur:
            for statement in statements:
                cur.execute(statement)
            return cur.fetchall() if cur.description else []
    finally:
        conn.rollback()
        conn.close()


ANYBODYS = [
    "create schema mine", "create table public.t (a int)", "alter role etl superuser", "create role friend",
    "set role postgres", "select pg_read_file('/etc/passwd')", "copy (select 1) to program 'cat'",
    "select rolpassword from pg_authid", "truncate ops.batches", "delete from ops.loads",
    "update ops.checks set is_passed = true",
    "insert into ops.publications (batch_id, slot, action) values (1, 'marts_a', 'publish')",
    "select * from raw.crm__parties", "select * from raw.rejects", "delete from raw.rejects",
    "select * from signals.phrase_hits", "select msisdn from staging.stg_crm__msisdn_periods",
    "select full_name from staging.stg_crm__parties", "select * from staging.stg_crm__parties",
    "select entity_id from touched.stg_raw__keys_touched",
    "select msisdn_named from intermediate.int_contacts_gathered",
    "select body from intermediate.int_contact_texts", "select email from intermediate.int_subscription_people",
    "delete from marts.dim_agent", "drop view marts.dim_agent", "create view marts.mine as select 1 as one",
    "create or replace view marts.trust_nights as select 1 as one", "select subject_hash from ops.suppressions",
    f"select * from {LIVE}.dim_agent", f"select * from {IDLE}.private_contact_texts",
]  # fmt: skip
FORBIDDEN = {
    "bi_reader": [
        *ANYBODYS, "select * from marts_private.subscription_contacts", "select * from marts_private.contact_texts",
        "select * from ops.batches", "select * from seeds.horizons", "select * from outcomes.retention_metrics",
        "select party_id from staging.stg_crm__parties", "select * from intermediate.int_subscriptions",
        "create temporary table t (a int)", "create schema dev_mine", "select ops.create_dev_schema('dev_bi')",
    ],
    "outreach": [
        *ANYBODYS, "select * from marts.retention_metrics", "select * from marts.complaint_to_churn",
        "select * from ops.batches", "select party_id from staging.stg_crm__parties", "select * from seeds.horizons",
        "delete from marts_private.contact_texts", "create view marts_private.mine as select 1 as one",
        "create temporary table t (a int)", "select ops.create_dev_schema('dev_outreach')",
    ],
    "reviewer": [
        *ANYBODYS, "select * from marts.case_review", "select * from marts.complaint_to_churn",
        "select * from marts.fct_contacts", "select * from outcomes.case_review", "select * from ops.batches",
        "select * from seeds.review_codes", "select * from marts_private.contact_texts",
        "update reviews.case_decisions set cause_code = 'price'", "delete from reviews.case_decisions",
        "truncate reviews.case_decisions", "insert into reviews.case_decisions (recorded_at) values (now())",
        "create table reviews.t (a int)", "create temporary table t (a int)",
        "select ops.create_dev_schema('dev_reviewer')",
    ],
    "analyst": [
        *ANYBODYS, "select * from marts_private.subscription_contacts", "select body from marts_private.contact_texts",
        "create table staging.t (a int)", "delete from intermediate.int_contacts_matched",
        "update staging.stg_crm__parties set segment = 'vip'", "insert into seeds.horizons values (1)",
        "create schema dev_mine",
        "create temporary table t (a int)", "delete from outcomes.retention_metrics",
        "update ops.slots set state = 'idle'",
        "select ops.create_dev_schema('dev_others')",
    ],
    "publisher": [
        "select * from raw.crm__parties", "select * from raw.rejects", "select * from staging.stg_crm__parties",
        "select segment from staging.stg_crm__parties", "select * from intermediate.int_subscriptions",
        "select * from outcomes.retention_metrics", "select * from signals.phrase_hits", "create schema mine",
        f"insert into {LIVE}.dim_agent select * from {LIVE}.dim_agent", f"delete from {LIVE}.dim_agent",
        f"truncate {LIVE}.dim_agent", "insert into ops.loads select * from ops.loads", "delete from ops.batches",
        "update ops.checks set is_passed = true", "alter role publisher superuser", "set role etl",
        "select ops.create_dev_schema('dev_publisher')", "create table public.t (a int)",
    ],
    "etl": [
        f"select * from {LIVE}.dim_agent", f"insert into {LIVE}.dim_agent select * from {LIVE}.dim_agent",
        f"update {LIVE}.private_contact_texts set body = ''", f"drop table {LIVE}.dim_agent",
        f"truncate {LIVE}.dim_agent", f"create table {LIVE}.t (a int)", "drop view marts.dim_agent",
        "create view marts.mine as select 1 as one", "select * from marts_private.contact_texts",
        "create view marts_private.mine as select 1 as one",
        "alter role etl superuser", "set role publisher", "create role friend", "create table public.t (a int)",
    ],
}  # fmt: skip
ALLOWED = {
    "bi_reader": [
        "select * from marts.complaint_to_churn", "select * from marts.trust_link_rates",
        *(f"select * from marts.{view}" for view in sorted(STANDING)),
    ],
    "outreach": [
        "select full_name, msisdn, time_zone from marts_private.subscription_contacts",
        "select body from marts_private.contact_texts join marts.fct_contacts using (contact_id)",
        *(f"select * from marts.{mart}" for mart in sorted(FOR_OUTREACH)), "select * from marts.trust_nights",
    ],
    "reviewer": [
        "select * from marts.case_review_blinded", "select * from reviews.case_decisions",
        "insert into reviews.case_decisions (week_on, case_number, reviewer, cause_code, decision_code, is_preventable,"
        " decided_at) values ('2026-02-02', 1, 'r1', 'price', 'nothing', false, '2026-02-04')",
    ],
    "analyst": [
        "select party_id, segment from staging.stg_crm__parties", "select count(*) from staging.stg_crm__parties",
        "select * from staging.stg_crm__subscriptions", "select * from intermediate.int_contacts_linked",
        "select contact_id, subscription_named from intermediate.int_contacts_gathered", "select * from seeds.horizons",
        "select subscription_id, time_zone from intermediate.int_subscription_people", "select * from marts.dim_agent",
        "select * from outcomes.retention_metrics", "select * from touched.int_subjects_touched",
        "select failing_keys from ops.checks", "select * from marts.trust_restatements",
    ],
    "publisher": [f"select * from {LIVE}.dim_agent", f"update {LIVE}.private_contact_texts set body = null",
                  "select * from ops.loads"],
    "etl": ["select * from raw.rejects", "select * from staging.stg_crm__parties", "select * from marts.dim_agent",
            "create schema scratch"],
}  # fmt: skip


@pytest.mark.parametrize(("role", "statement"), [(role, one) for role, those in FORBIDDEN.items() for one in those])
def test_a_role_may_not(installed: NightSpec, shared_warehouse: Warehouse, role: str, statement: str) -> None:
    conn = shared_warehouse.connect("postgres")
    with conn, conn.cursor() as cur:
        cur.execute("create schema if not exists dev_others")
    conn.close()
    with pytest.raises(errors.InsufficientPrivilege):
        run_as(shared_warehouse, role, statement)


@pytest.mark.parametrize(("role", "statement"), [(role, one) for role, those in ALLOWED.items() for one in those])
def test_a_role_may(installed: NightSpec, shared_warehouse: Warehouse, role: str, statement: str) -> None:
    run_as(shared_warehouse, role, statement)


def test_every_role_is_tried() -> None:
    assert set(FORBIDDEN) == set(ALLOWED) == set(ROLES)


def may_read(warehouse: Warehouse, role: str) -> set[str]:
    """Every schema.table.column that a role may read."""
    rows = run_as(
        warehouse,
        "postgres",
        f"""
        select n.nspname || '.' || c.relname || '.' || a.attname
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v', 'p', 'm')
            and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_'
            and has_schema_privilege('{role}', n.oid, 'usage')
            and has_column_privilege('{role}', c.oid, a.attnum, 'select')
        """,
    )
    return {str(name) for (name,) in rows}


def personal_columns() -> set[str]:
    return {c for table in load_contract().tables.values() for c, spec in table.columns.items() if spec.pii}


@pytest.mark.parametrize("role", ["analyst", "bi_reader", "publisher"])
def test_no_personal_column_is_readable(installed: NightSpec, shared_warehouse: Warehouse, role: str) -> None:
    """By the contract's names, over the whole catalogue; the publisher sees the slots it publishes."""
    names = {column for column in may_read(shared_warehouse, role) if column.split(".")[2] in personal_columns()}
    if role == "publisher":
        names = {name for name in names if name.split(".")[0] not in {"marts_a", "marts_b", "marts_private"}}
    assert names == set()


def test_a_planted_grant_is_found(operator: NightSpec, shared_warehouse: Warehouse) -> None:
    run_as(shared_warehouse, "etl", "grant select (email) on staging.stg_crm__parties to analyst", "commit")
    try:
        assert "staging.stg_crm__parties.email" in may_read(shared_warehouse, "analyst")
    finally:
        run_as(shared_warehouse, "etl", "revoke select (email) on staging.stg_crm__parties from analyst", "commit")
    assert "staging.stg_crm__parties.email" not in may_read(shared_warehouse, "analyst")


def test_only_its_owner_reads_raw_and_the_public_has_nothing(installed: NightSpec, shared_warehouse: Warehouse) -> None:
    for role in set(ROLES) - {"etl"}:
        assert {name for name in may_read(shared_warehouse, role) if name.startswith("raw.")} == set(), role
    conn = shared_warehouse.connect("postgres")
    with conn, conn.cursor() as cur:
        cur.execute("select 1 from pg_roles where rolname = 'stranger'")
        if cur.fetchone() is None:
            cur.execute("create role stranger")
        cur.execute("select has_database_privilege('stranger', current_database(), privilege) from unnest("
                    "array['connect', 'create', 'temporary']) as privilege")  # fmt: skip
        assert set(cur.fetchall()) == {(False,)}
        cur.execute("select proname from pg_proc where pronamespace::regnamespace::text in ('ops', 'raw', 'marts') and "
                    "has_function_privilege('stranger', oid, 'execute')")  # fmt: skip
        assert cur.fetchall() == []
    conn.close()
    assert may_read(shared_warehouse, "stranger") == set()


@pytest.mark.parametrize("role", READERS)
def test_readers_give_way_to_publish(operator: NightSpec, shared_warehouse: Warehouse, role: str) -> None:
    names = sql.SQL(", ").join(sql.SQL("current_setting({})").format(sql.Literal(name)) for name in BI_SETTINGS)
    conn = shared_warehouse.connect(role)
    with conn.cursor() as cur:
        cur.execute(sql.SQL("select {}").format(names))
        assert cur.fetchone() == ("1min", "30s")
    conn.close()


def test_grants_follow_a_table_that_is_made_anew(
    operator: NightSpec, shared_warehouse: Warehouse, tmp_path: Path
) -> None:
    before = may_read(shared_warehouse, "analyst")
    assert len({name for name in before if name.startswith("staging.")}) > 150
    dbt = Dbt(Project(operator.night().project / "dbt_project", tmp_path, operator.etl_dsn))
    for full in ([], ["--full-refresh"]):
        dbt._invoke(["run", *full, "--select", "stg_crm__parties", "int_subscription_people", "int_contacts_gathered"])
        assert may_read(shared_warehouse, "analyst") == before


@pytest.fixture
def dev_schema(shared_warehouse: Warehouse) -> Iterator[str]:
    yield "dev_anna"
    run_as(shared_warehouse, "postgres", "drop schema if exists dev_anna cascade", "commit")


def test_an_analyst_builds_a_model_in_a_schema_of_her_own(
    operator: NightSpec, shared_warehouse: Warehouse, tmp_path: Path, dev_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parents are those of the platform: dbt defers to a manifest whose marts are the published views."""
    made = f"select ops.create_dev_schema('{dev_schema}')"
    assert run_as(shared_warehouse, "analyst", made, "commit", made) == [(dev_schema,)]
    with pytest.raises(psycopg2.Error, match="dev_<something>"):
        run_as(shared_warehouse, "analyst", "select ops.create_dev_schema('staging')")
    before = may_read(shared_warehouse, "etl")
    folder, dsn = operator.night().project / "dbt_project", shared_warehouse.dsn("analyst")
    (tmp_path / "state").mkdir()
    platform = Dbt(Project(folder, tmp_path / "state", dsn, slot="marts"))
    for name, value in {**platform.project.environment(), "RETENTION_DEV_SCHEMA": dev_schema}.items():
        monkeypatch.setenv(name, value)
    folders = ["--project-dir", folder, "--profiles-dir", folder, "--target-path", tmp_path / "dev"]
    quiet = ["--quiet", "--log-level", "none", "--log-level-file", "none"]
    deferred = ["--target", "dev", "--defer", "--favor-state", "--state", tmp_path / "state"]

    def build(*models: str) -> dict[str, str]:
        done = dbtRunner().invoke([*quiet, "run", *map(str, [*folders, *deferred]), "--select", *models])
        assert done.result is not None, done.exception
        return {one.node.name: f"{one.status} {one.message}" for one in done.result.results}

    found = build("fct_tickets", "dim_subscription", "private_contact_texts")
    assert {name for name, status in found.items() if status.startswith("success")} == {
        "fct_tickets", "dim_subscription"
    }  # fmt: skip
    assert "permission denied" in found["private_contact_texts"]
    rows = "select count(*) from {}.fct_tickets"
    assert run_as(shared_warehouse, "analyst", rows.format(dev_schema)) == run_as(
        shared_warehouse, "analyst", rows.format("marts")
    )
    assert may_read(shared_warehouse, "etl") == before
    monkeypatch.setenv("RETENTION_DEV_SCHEMA", "staging")
    with pytest.raises(AssertionError, match="named dev_"):
        build("fct_tickets")
