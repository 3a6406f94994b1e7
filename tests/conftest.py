"""Shared fixtures: one real throw-away PostgreSQL for the test session, a fresh warehouse for each test that asks."""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from retention.local.postgres import Cluster
from retention.warehouse.install import ROLES, install_roles, install_schemas

if TYPE_CHECKING:
    from aftermath import Aftermath


def pytest_configure() -> None:
    """End by SIGTERM (a time limit, a CI that gave up) as by Ctrl-C: the session's PostgreSQL is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@dataclass(frozen=True)
class Warehouse:
    """A fresh database with the platform's schemas; `dsn(role)` addresses it."""

    cluster: Cluster
    database: str
    passwords: dict[str, str]

    def dsn(self, role: str = "etl") -> str:
        if role == "postgres":
            return self.cluster.dsn(self.database)
        return self.cluster.dsn(self.database, role, self.passwords[role])

    def connect(self, role: str = "etl") -> Connection:
        return psycopg2.connect(self.dsn(role))


def create_database(cluster: Cluster, prefix: str, template: str = "template1") -> str:
    """Create a database with a unique name, empty or a copy of one that nobody is connected to; return the name."""
    name = f"{prefix}_{secrets.token_hex(4)}"
    conn = psycopg2.connect(cluster.dsn("postgres"))
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute(f'create database "{name}" template "{template}"')
    conn.close()
    return name


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL 18 of this test session."""
    folder = Path(tempfile.mkdtemp(prefix="retention-test-pg-"))
    folder.chmod(0o755)
    server = Cluster(folder, fsync=False).start()
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)


def create_roles(cluster: Cluster) -> dict[str, str]:
    """The platform's login roles; returns their passwords."""
    passwords = {role: secrets.token_urlsafe(12) for role in ROLES}
    conn = psycopg2.connect(cluster.dsn("postgres"))
    install_roles(conn, passwords)
    conn.close()
    return passwords


@pytest.fixture(scope="session")
def role_passwords(cluster: Cluster) -> dict[str, str]:
    """The platform's login roles, created once for the cluster."""
    return create_roles(cluster)


def create_warehouse(cluster: Cluster, role_passwords: dict[str, str]) -> Warehouse:
    """An empty warehouse with roles, schemas and books."""
    fresh = Warehouse(cluster, create_database(cluster, "warehouse"), role_passwords)
    conn = fresh.connect("postgres")
    install_schemas(conn)
    conn.close()
    return fresh


@pytest.fixture
def warehouse(cluster: Cluster, role_passwords: dict[str, str]) -> Warehouse:
    """An empty warehouse for one test."""
    return create_warehouse(cluster, role_passwords)


@pytest.fixture(scope="module")
def shared_warehouse(cluster: Cluster, role_passwords: dict[str, str]) -> Warehouse:
    """An empty warehouse for the tests of one module, which share what they put in."""
    return create_warehouse(cluster, role_passwords)


@pytest.fixture(scope="session")
def aftermath(
    cluster: Cluster, role_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> "Aftermath":
    """What a night leaves behind in which everything went wrong; published in the end, in marts_a."""
    from aftermath import go_through_it_all

    return go_through_it_all(create_warehouse(cluster, role_passwords), tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, outside the repository; skips, saying why, without it."""
    folder = Path(os.environ.get("REAL_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set REAL_DATA_DIR to the folder that holds bpic14_rabobank/ and others")
    return folder
