"""Installing on a PostgreSQL server that is not ours to start: what the production compose file runs before Airflow."""

from collections.abc import Mapping
from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, make_dsn, parse_dsn
from psycopg2.extensions import connection as Connection

from retention.local.home import LocalError
from retention.sources.contract import create_raw_tables
from retention.warehouse.install import ROLES, install_roles, install_schemas

#: The role and database of Airflow's metadata.
AIRFLOW = "airflow"


def install_server(admin_dsn: str, passwords: Mapping[str, str], warehouse: str = "warehouse") -> None:
    """Create roles, databases, schemas and raw tables that are missing. Safe to repeat.

    admin_dsn: a superuser's, any database of the server. passwords: of every role of the warehouse, and of `airflow`
    for a metadata database of that name; without the latter none is made.
    """
    with closing(psycopg2.connect(admin_dsn)) as conn:
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        install_roles(conn, {role: passwords[role] for role in ROLES})
        ensure_database(conn, warehouse, None)
        if AIRFLOW in passwords:
            ensure_login(conn, AIRFLOW, passwords[AIRFLOW])
            ensure_database(conn, AIRFLOW, AIRFLOW)
    with closing(psycopg2.connect(make_dsn(admin_dsn, dbname=warehouse))) as conn:
        install_schemas(conn)
    as_etl = make_dsn(admin_dsn, dbname=warehouse, user="etl", password=passwords["etl"])
    with closing(psycopg2.connect(as_etl)) as conn:
        create_raw_tables(conn)
        conn.commit()


def install_from(environment: Mapping[str, str]) -> str:
    """Install what the environment describes (see .env.example) and return the server's address for a message.

    LocalError names every variable that is missing, before anything is touched.
    """
    roles = [*ROLES, AIRFLOW]
    needed = ["RETENTION_ADMIN_URL", *(f"RETENTION_PASSWORD_{role.upper()}" for role in roles)]
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise LocalError(f"not set: {', '.join(missing)}. Nothing was installed. See .env.example")
    admin_dsn = environment["RETENTION_ADMIN_URL"]
    install_server(admin_dsn, {role: environment[f"RETENTION_PASSWORD_{role.upper()}"] for role in roles})
    server = parse_dsn(admin_dsn)
    return f"{server.get('host', 'localhost')}:{server.get('port', '5432')}"


def ensure_login(conn: Connection, role: str, password: str) -> None:
    """Create a login role, or give the one that is there this password."""
    with conn.cursor() as cur:
        cur.execute("select 1 from pg_roles where rolname = %s", (role,))
        verb = "alter" if cur.fetchone() else "create"
        cur.execute(sql.SQL(verb + " role {} login password {}").format(sql.Identifier(role), sql.Literal(password)))


def ensure_database(conn: Connection, name: str, owner: str | None) -> None:
    """Create a database unless it is there; `conn` is in autocommit. `owner` None: the caller's role."""
    with conn.cursor() as cur:
        cur.execute("select 1 from pg_database where datname = %s", (name,))
        if cur.fetchone() is None:
            owned = sql.SQL(" owner {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
            cur.execute(sql.SQL("create database {}").format(sql.Identifier(name)) + owned)
