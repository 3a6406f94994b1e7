"""The machine room on a real PostgreSQL of its own: from nothing, again, moved, interrupted, beside somebody else's."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from rich.console import Console

from retention.local import databases, postgres, settings, setup
from retention.local.console import Progress
from retention.local.home import Home, LocalError
from retention.local.postgres import Cluster

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    # A space in the path, and a parent that only its owner may enter.
    home = Home(PROJECT, tmp_path_factory.mktemp("machine room") / "home")
    setup.up_databases(home, quiet())
    yield home
    setup.down(home)


def quiet() -> Progress:
    return Progress(Console(quiet=True))


def names(home: Home, database: str, query: str) -> set[str]:
    with closing(psycopg2.connect(home.cluster.dsn(database))) as conn, conn.cursor() as cur:
        cur.execute(query)
        return {row[0] for row in cur.fetchall()}


def test_everything_is_there_and_again(room: Home) -> None:
    before = settings.read_env(room.env_file)
    setup.up_databases(room, quiet())
    assert settings.read_env(room.env_file) == before
    found = names(room, "postgres", "select datname from pg_database where not datistemplate")
    assert found == {"postgres", "warehouse", "crm", "helpdesk", "airflow"}
    schemas = names(room, "warehouse", "select nspname from pg_namespace where nspname !~ '^(pg_|information)'")
    assert {"ops", "raw", "marts", "marts_a", "marts_b"} <= schemas
    assert "crm__parties" in names(room, "warehouse", "select tablename from pg_tables where schemaname = 'raw'")


def test_secrets_are_generated_and_private(room: Home) -> None:
    variables = settings.read_env(room.env_file)
    for path in (room.env_file, room.airflow / "passwords.json", room.cluster.folder / "password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secrets = [variables[name] for name in settings.SECRETS]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 32


def test_a_shell_can_source_the_file(room: Home, tmp_path: Path) -> None:
    path = tmp_path / "env"
    settings.write_env(path, {"A": "it's", "B": "two words $HOME", "C": ""})
    assert settings.read_env(path) == {"A": "it's", "B": "two words $HOME", "C": ""}


@pytest.mark.parametrize(
    ("database", "role", "statement"),
    [
        ("warehouse", "bi_reader", "select * from raw.crm__parties"),
        ("warehouse", "analyst", "delete from ops.batches"),
        ("warehouse", "source_reader", "select 1"),
        ("crm", "source_reader", "create table public.mine (a int)"),
        ("crm", "etl", "select 1"),
        ("airflow", "etl", "create table public.mine (a int)"),
    ],
)
def test_roles_stay_in_their_rooms(room: Home, database: str, role: str, statement: str) -> None:
    # Refused at the door (OperationalError) or at the table.
    with (
        pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.OperationalError), match="permission denied"),
        closing(psycopg2.connect(settings.dsn(room, database, role))) as conn,
        conn.cursor() as cur,
    ):
        cur.execute(statement)


def test_a_wrong_password_is_refused(room: Home) -> None:
    dsn = room.cluster.dsn("warehouse", "bi_reader", "wrong")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(dsn)


def test_postgres_listens_on_loopback_only(room: Home) -> None:
    assert names(room, "postgres", "show listen_addresses") == {"127.0.0.1"}


def test_what_a_user_sets_wins_for_sources_only(room: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_SOURCES", "/somewhere/own.yml")
    monkeypatch.setenv("AIRFLOW_CONN_CRM", '{"host": "crm.example", "login": "u", "password": "p@", "schema": "d"}')
    monkeypatch.setenv("AIRFLOW__API__HOST", "0.0.0.0")
    environment = settings.environment(room)
    assert environment["RETENTION_SOURCES"] == "/somewhere/own.yml"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    dsns = settings.source_dsns(room)
    assert dsns["crm"] == "postgresql://u:p%40@crm.example:5432/d"
    assert dsns["helpdesk"].startswith("postgresql://source_reader:")
    with pytest.raises(LocalError, match="would replace what was loaded"):
        setup.create_operator(room, 10, 2, 1, quiet())


def test_the_simulated_operator_does_not_live_in_the_future(room: Home) -> None:
    with pytest.raises(LocalError, match="Nothing was changed"):
        setup.create_operator(room, 10, 20_000, 1, quiet())
    assert setup.operator_day(room) is None
    with pytest.raises(LocalError, match="no simulated operator yet"):
        setup.forward_operator(room, 1, quiet())


def test_a_new_operator_starts_with_an_empty_warehouse(room: Home) -> None:
    setup.create_operator(room, 20, 3, 1, quiet())
    assert str(setup.operator_day(room)) == "2025-01-03"
    with closing(psycopg2.connect(settings.dsn(room, "warehouse", "etl"))) as conn, conn, conn.cursor() as cur:
        cur.execute("insert into ops.batches (kind, as_of, run_id, state) values ('nightly', now(), 'x', 'open')")
    setup.forward_operator(room, 1, quiet())
    assert str(setup.operator_day(room)) == "2025-01-04"
    assert names(room, "warehouse", "select run_id from ops.batches") == {"x"}
    setup.create_operator(room, 20, 2, 1, quiet())
    assert names(room, "warehouse", "select run_id from ops.batches") == set()


def test_a_taken_port_is_not_ours(room: Home) -> None:
    port = room.cluster.port
    setup.down(room)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not room.cluster.is_running()
        setup.up_databases(room, quiet())
        assert room.cluster.port != port
    assert str(room.cluster.port) in settings.read_env(room.env_file)["AIRFLOW_CONN_WAREHOUSE_ETL"]


def test_a_killed_server_and_a_stale_pid_file_do_not_matter(room: Home) -> None:
    room.cluster.stop("immediate")
    (room.cluster.data / "postmaster.pid").write_text("999999\n")
    assert setup.down(room) == []
    setup.up_databases(room, quiet())
    assert room.cluster.is_running()


def test_an_interrupted_initdb_is_started_over(tmp_path: Path) -> None:
    home = Home(PROJECT, tmp_path / "home")
    home.create()
    (home.cluster.data).mkdir(parents=True)
    (home.cluster.data / "half").touch()
    home.cluster.start()
    try:
        assert home.cluster.is_running()
    finally:
        home.cluster.stop("immediate")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_a_checkout_that_only_root_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = closed / "bin"
    programs.symlink_to(postgres.binary("initdb").parent)
    monkeypatch.setattr(postgres, "_binaries", lambda: programs)
    cluster = Cluster(closed / "home").start()
    try:
        assert cluster.is_running()
    finally:
        cluster.stop("immediate")


def test_a_moved_home_goes_on(tmp_path: Path) -> None:
    home = Home(PROJECT, tmp_path / "before")
    setup.up_databases(home, quiet())
    setup.down(home)
    shutil.move(home.folder, tmp_path / "after")
    moved = Home(PROJECT, tmp_path / "after")
    setup.up_databases(moved, quiet())
    try:
        assert settings.read_env(moved.env_file)["RETENTION_DROPS"] == str(moved.drops)
        databases.install(moved)
    finally:
        setup.down(moved)
