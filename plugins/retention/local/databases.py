"""The local databases: one cluster with warehouse, crm, helpdesk and Airflow's metadata, and their roles."""

from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from psycopg2.extensions import connection as Connection

from retention.local import settings
from retention.local.home import Home
from retention.local.server import ensure_database, ensure_login, install_server
from retention.warehouse.install import ROLES

SOURCES = ("crm", "helpdesk")


def install(home: Home) -> None:
    """Create databases, roles, schemas and raw tables that are missing. The cluster runs. Safe to repeat."""
    reader = settings.SOURCE_READER
    with closing(psycopg2.connect(home.cluster.dsn("postgres"))) as conn:
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        ensure_login(conn, reader, settings.password(home, reader))
        for name in (*SOURCES, "airflow"):
            ensure_database(conn, name, None)
    for database in SOURCES:
        with closing(psycopg2.connect(home.cluster.dsn(database))) as conn:
            _let_read(conn, database, reader)
    install_server(home.cluster.dsn("postgres"), {role: settings.password(home, role) for role in ROLES})


def empty_warehouse(home: Home) -> None:
    """Drop the warehouse and create it anew, unless no night was ever opened in it."""
    with closing(psycopg2.connect(home.cluster.dsn("warehouse"))) as conn, conn.cursor() as cur:
        cur.execute("select exists (select from ops.batches)")
        (is_used,) = cur.fetchone() or (False,)
    if not is_used:
        return
    with closing(psycopg2.connect(home.cluster.dsn("postgres"))) as conn:
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with conn.cursor() as cur:
            cur.execute("drop database warehouse with (force)")
    install(home)


def _let_read(conn: Connection, database: str, reader: str) -> None:
    """A source is read, never written: by one role, whatever tables come later."""
    role = sql.Identifier(reader)
    with conn, conn.cursor() as cur:
        cur.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))
        cur.execute(sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), role))
        cur.execute(sql.SQL("grant usage on schema public to {}").format(role))
        cur.execute(sql.SQL("grant select on all tables in schema public to {}").format(role))
        cur.execute(sql.SQL("alter default privileges in schema public grant select on tables to {}").format(role))
