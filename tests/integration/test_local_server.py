"""Installing on a server that runs already, as the production compose file does."""

from contextlib import closing

import psycopg2
import pytest

from conftest import Warehouse
from retention.local.home import LocalError
from retention.local.server import install_from, install_server
from retention.warehouse.install import ROLES


def test_install_creates_what_is_missing_and_may_be_repeated(warehouse: Warehouse) -> None:
    name = f"{warehouse.database}_server"
    for _ in range(2):
        install_server(warehouse.dsn("postgres"), warehouse.passwords, warehouse=name)
    as_etl = warehouse.cluster.dsn(name, "etl", warehouse.passwords["etl"])
    with closing(psycopg2.connect(as_etl)) as conn, conn.cursor() as cur:
        cur.execute("select count(*) from raw.crm__parties")
        assert cur.fetchone() == (0,)


def test_everything_that_is_not_set_is_named_before_anything_is_done() -> None:
    with pytest.raises(LocalError) as refused:
        install_from({"RETENTION_ADMIN_URL": "postgresql://nowhere"})
    assert all(f"RETENTION_PASSWORD_{role.upper()}" in str(refused.value) for role in (*ROLES, "airflow"))
    assert "Nothing was installed" in str(refused.value)
