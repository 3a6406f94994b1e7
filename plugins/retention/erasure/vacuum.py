"""Dead versions of rows, removed after what they held was blanked."""

from collections.abc import Collection

from psycopg2 import sql
from psycopg2.extensions import connection as Connection


def vacuum(conn: Connection, tables: Collection[str]) -> None:
    """Vacuum tables ("schema.table"); it holds no lock against readers or writers, and `conn` is in no transaction.

    Versions that a transaction still running may see stay until the next vacuum.
    """
    conn.rollback()
    conn.autocommit = True
    try:
        with conn.cursor() as cur:
            for name in sorted(tables):
                cur.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(*name.split("."))))
    finally:
        conn.autocommit = False
