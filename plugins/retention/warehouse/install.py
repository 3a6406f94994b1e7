"""Creates the warehouse's roles, schemas, books and raw tables. Safe to run again."""

from collections.abc import Mapping
from importlib.resources import files

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

#: Login roles and what each is for; DESIGN: who may touch what.
ROLES = {
    "etl": "loads, transforms, builds the idle slot",
    "publisher": "owns the marts, points BI at a slot",
    "analyst": "reads staging to marts without personal columns, tries models in dev_ schemas",
    "bi_reader": "reads published marts only",
    "outreach": "reads whom to call and what they wrote: the private marts",
    "reviewer": "reads the blinded pack of cases and enters what it finds, for good",
}
#: Roles behind tools that people leave open.
READERS = ("bi_reader", "outreach", "reviewer")
#: A reader must give way to publish: its statements end before publish's retries do.
BI_SETTINGS = {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "30s"}
#: What a killed task leaves running in the server ends soon: its next try must not wait for a statement of an hour.
WRITER_SETTINGS = {"client_connection_check_interval": "5s"}
SETTINGS = dict.fromkeys(READERS, BI_SETTINGS) | dict.fromkeys(("etl", "publisher"), WRITER_SETTINGS)


def install_roles(conn: Connection, passwords: Mapping[str, str]) -> None:
    """Create or update the login roles, with a password each; `conn` is a superuser's, any database of the cluster."""
    with conn, conn.cursor() as cur:
        for role in ROLES:
            cur.execute("select 1 from pg_roles where rolname = %s", (role,))
            verb = "alter" if cur.fetchone() else "create"
            statement = sql.SQL(verb + " role {} login password {}")
            cur.execute(statement.format(sql.Identifier(role), sql.Literal(passwords[role])))
        for role, settings in SETTINGS.items():
            for name, value in settings.items():
                setting = sql.SQL("alter role {} set {} = {}")
                cur.execute(setting.format(sql.Identifier(role), sql.Identifier(name), sql.Literal(value)))


def install_schemas(conn: Connection) -> None:
    """Create schemas, rights, the ops tables and the views on them; `conn` is the database owner's or a superuser's."""
    ddl, trust = (
        files("retention.warehouse").joinpath(name).read_text(encoding="utf-8") for name in ("ddl.sql", "trust.sql")
    )
    with conn, conn.cursor() as cur:
        cur.execute("select current_database()")
        (database,) = cur.fetchone() or ("",)
        cur.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))
        cur.execute("revoke all on schema public from public")
        for role in ROLES:
            cur.execute(
                sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), sql.Identifier(role))
            )
        cur.execute(sql.SQL("grant create, temporary on database {} to etl").format(sql.Identifier(database)))
        cur.execute(ddl)
        cur.execute(trust)
