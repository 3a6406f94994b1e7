"""The simulator's law on real PostgreSQL: days made at once and days made one by one are the same days."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import yaml

from conftest import create_database
from retention.local.postgres import Cluster
from retention.simulator import run
from retention.simulator.load import Databases
from retention.simulator.schema import DATABASES, TABLES, database_tables
from retention.simulator.state import World

# Crosses the end of February (day 59) and the start of the first pilot (day 60).
SUBSCRIBERS, FIRST_DAYS, DAYS, SEED = 300, 58, 62, 11
CONTRACT = Path(run.__file__).parents[1] / "sources" / "contract.yml"


@dataclass(frozen=True)
class Operator:
    """A simulated operator's two databases and folder."""

    crm: str
    helpdesk: str
    folder: Path

    def query(self, database: str, statement: str) -> list[tuple[object, ...]]:
        connection = psycopg2.connect(getattr(self, database))
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def content(self) -> dict[str, object]:
        """Hash of every table and every file."""
        hashes: dict[str, object] = {}
        for database in DATABASES:
            for table in database_tables(database):
                rows = self.query(
                    database,
                    f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from public.{table.name} t",
                )
                hashes[table.name] = rows[0]
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                hashes[str(path.relative_to(self.folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return hashes


def new_operator(cluster: Cluster, folder: Path) -> Operator:
    crm, helpdesk = (cluster.dsn(create_database(cluster, name)) for name in DATABASES)
    return Operator(crm, helpdesk, folder)


def create(operator: Operator, days: int) -> run.Summary:
    return run.create(operator.crm, operator.helpdesk, operator.folder, SUBSCRIBERS, days, SEED)


def forward(operator: Operator, days: int) -> run.Summary:
    return run.forward(operator.crm, operator.helpdesk, operator.folder, days)


@pytest.fixture(scope="module")
def at_once(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    operator = new_operator(cluster, tmp_path_factory.mktemp("at_once"))
    create(operator, DAYS)
    yield operator


def test_days_one_by_one_equal_days_at_once_even_after_interruptions(
    cluster: Cluster, at_once: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = new_operator(cluster, tmp_path)
    create(operator, FIRST_DAYS)
    save = World.save

    def lose_power(world: World, path: Path) -> None:
        raise KeyboardInterrupt

    # Killed after both databases were committed, then run again, twice.
    monkeypatch.setattr(World, "save", lose_power)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            forward(operator, 1)
    monkeypatch.setattr(World, "save", save)
    leave = Databases.__exit__

    def lose_the_second(databases: Databases, *reason: object) -> None:
        databases._connections["crm"].commit()
        leave(databases, KeyboardInterrupt, None, None)
        raise KeyboardInterrupt

    # Killed between the two commits.
    monkeypatch.setattr(Databases, "__exit__", lose_the_second)
    with pytest.raises(KeyboardInterrupt):
        forward(operator, 1)
    monkeypatch.setattr(Databases, "__exit__", leave)
    summary = forward(operator, DAYS - FIRST_DAYS)
    assert str(summary.day) == "2025-03-03"
    expected, found = at_once.content(), operator.content()
    assert {name for name in expected if expected[name] != found.get(name)} == set()
    assert set(found) == set(expected)


def test_the_law_can_be_broken(at_once: Operator, cluster: Cluster, tmp_path: Path) -> None:
    """The comparison sees a single changed value."""
    operator = new_operator(cluster, tmp_path)
    create(operator, DAYS)
    assert operator.content() == at_once.content()
    connection = psycopg2.connect(operator.crm)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "update usage_months set margin_rub = margin_rub + 0.01 where (subscription_id, month_on) = "
            "(select subscription_id, month_on from usage_months order by 1, 2 limit 1)"
        )
    connection.close()
    assert operator.content() != at_once.content()


def test_another_seed_is_another_operator(at_once: Operator, cluster: Cluster, tmp_path: Path) -> None:
    operator = new_operator(cluster, tmp_path)
    run.create(operator.crm, operator.helpdesk, operator.folder, SUBSCRIBERS, 3, SEED + 1)
    assert operator.content()["customers"] != at_once.content()["customers"]


def test_forward_without_an_operator_says_what_to_do(at_once: Operator, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="retention simulate"):
        run.forward(at_once.crm, at_once.helpdesk, tmp_path)


def test_nothing_to_create_is_refused_before_anything_is_removed(at_once: Operator) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        run.create(at_once.crm, at_once.helpdesk, at_once.folder, 10, 0, 1)
    assert (at_once.folder / "state" / "operator.npz").exists()


def test_tables_follow_the_contract_but_for_two_renamed_ones() -> None:
    contract = yaml.safe_load(CONTRACT.read_text())["tables"]
    renamed = {"crm.parties": "customers", "helpdesk.contacts": "interactions"}
    columns = {
        "customers": {"party_id": "customer_id", "kind": "customer_type"},
        "interactions": {"contact_id": "interaction_id"},
    }
    for name, declared in contract.items():
        table = TABLES[renamed.get(name, name.split(".")[1])]
        rename = columns.get(table.name, {})
        assert table.names == tuple(rename.get(column, column) for column in declared["columns"]), name
        assert [column.sql for column in table.columns] == [column["type"] for column in declared["columns"].values()]
        assert table.key == tuple(rename.get(column, column) for column in declared["key"]), name
        assert table.cursor == declared.get("cursor"), name


def test_cursors_are_indexed_and_within_the_horizon(at_once: Operator) -> None:
    horizon = "'2025-01-01 00:00+03'::timestamptz + interval '62 days'"
    for database in DATABASES:
        for table in database_tables(database):
            if table.cursor is None:
                continue
            ((late,),) = at_once.query(database, f"select count(*) from {table.name} where {table.cursor} >= {horizon}")
            assert late == 0, table.name
            index = f"select 1 from pg_indexes where tablename = '{table.name}' and indexdef like '%({table.cursor})'"
            assert at_once.query(database, index), table.name


@pytest.mark.parametrize(
    ("database", "child", "column", "parent"),
    [
        ("crm", "subscriptions", "party_id", "customers.customer_id"),
        ("crm", "subscriptions", "plan_id", "plans.plan_id"),
        ("crm", "subscriptions", "region_id", "regions.region_id"),
        ("crm", "subscription_events", "subscription_id", "subscriptions.subscription_id"),
        ("crm", "usage_months", "subscription_id", "subscriptions.subscription_id"),
        ("crm", "msisdn_periods", "subscription_id", "subscriptions.subscription_id"),
        ("crm", "consents", "party_id", "customers.customer_id"),
        ("helpdesk", "ticket_events", "ticket_id", "tickets.ticket_id"),
        ("helpdesk", "tickets", "agent_id", "agents.agent_id"),
        ("helpdesk", "tickets", "merged_into_ticket_id", "tickets.ticket_id"),
        ("helpdesk", "interactions", "ticket_id", "tickets.ticket_id"),
        ("helpdesk", "interactions", "agent_id", "agents.agent_id"),
        ("helpdesk", "retention_actions", "ticket_id", "tickets.ticket_id"),
        ("helpdesk", "qa_audits", "ticket_id", "tickets.ticket_id"),
        ("helpdesk", "incident_impacts", "incident_id", "incidents.incident_id"),
        ("helpdesk", "team_memberships", "agent_id", "agents.agent_id"),
        ("helpdesk", "team_memberships", "team_id", "teams.team_id"),
        ("helpdesk", "teams", "vendor_id", "vendors.vendor_id"),
        ("helpdesk", "pilot_assignments", "pilot_id", "pilots.pilot_id"),
    ],
)
def test_references_hold(at_once: Operator, database: str, child: str, column: str, parent: str) -> None:
    parent_table, key = parent.split(".")
    ((orphans,),) = at_once.query(
        database,
        f"select count(*) from {child} c where {column} is not null "
        f"and not exists (select 1 from {parent_table} p where p.{key} = c.{column})",
    )
    assert orphans == 0


def test_a_number_has_one_holder_at_a_time(at_once: Operator) -> None:
    ((overlaps,),) = at_once.query(
        "crm",
        "select count(*) from msisdn_periods a join msisdn_periods b on a.msisdn = b.msisdn "
        "and a.msisdn_period_id < b.msisdn_period_id and a.valid_from < coalesce(b.valid_to, 'infinity') "
        "and b.valid_from < coalesce(a.valid_to, 'infinity')",
    )
    assert overlaps == 0


def test_a_ticket_row_is_the_projection_of_its_events(at_once: Operator) -> None:
    ((wrong,),) = at_once.query(
        "helpdesk",
        """
        with last as (
            select ticket_id, (array_agg(case kind when 'opened' then 'new' when 'pause' then 'pending'
                when 'resume' then 'open' when 'reopen' then 'open' when 'merge' then 'closed' else to_value end
                order by event_at desc, sequence desc))[1] as status
            from ticket_events where kind in ('opened', 'status', 'pause', 'resume', 'reopen', 'merge')
            group by ticket_id
        )
        select count(*) from tickets full join last using (ticket_id)
        where tickets.status is distinct from last.status
        """,
    )
    assert wrong == 0


def test_a_ticket_row_names_its_last_owner(at_once: Operator) -> None:
    ((wrong, owned),) = at_once.query(
        "helpdesk",
        """
        with last as (
            select ticket_id, (array_agg(agent_id || team_id order by event_at desc, sequence desc))[1] as owner
            from ticket_events where kind in ('assignment', 'reassignment', 'escalation')
            group by ticket_id
        )
        select count(*) filter (where tickets.agent_id || tickets.team_id is distinct from last.owner), count(owner)
        from tickets left join last using (ticket_id)
        """,
    )
    assert wrong == 0
    assert isinstance(owned, int) and owned > 5
