"""One number for the content of a table, whatever the order of its rows and columns: is this what was published?"""

from collections.abc import Collection

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

#: Columns that say which run wrote a row. A rebuild of the same night differs in them and in nothing else.
LINEAGE_COLUMNS = frozenset({"_batch_id", "_load_id"})
#: The text of a value must not depend on who asks.
_TEXT_SETTINGS = {"timezone": "UTC", "datestyle": "ISO, YMD", "intervalstyle": "postgres", "extra_float_digits": "1"}


def row_hash(conn: Connection, schema: str, table: str, exclude: Collection[str] = LINEAGE_COLUMNS) -> tuple[int, str]:
    """Return (rows, hash) of a table without the columns in `exclude`.

    The hash is the sum of a 64-bit hash of each row's text, so it counts duplicates and does not depend on the order of
    rows; columns are taken by name, so it does not depend on theirs. Runs in the caller's transaction.
    Raises LookupError when there is no such table or it has no other columns.
    """
    with conn.cursor() as cur:
        cur.execute(
            """
            select attributes.attname
            from pg_attribute as attributes
            inner join pg_class as classes on attributes.attrelid = classes.oid
            inner join pg_namespace as schemas on classes.relnamespace = schemas.oid
            where schemas.nspname = %s and classes.relname = %s
                and attributes.attnum > 0 and not attributes.attisdropped
            order by attributes.attname collate "C"
            """,
            (schema, table),
        )
        columns = [name for (name,) in cur.fetchall() if name not in exclude]
        if not columns:
            raise LookupError(f"{schema}.{table} does not exist or holds nothing but lineage columns: nothing to hash")
        for name, value in _TEXT_SETTINGS.items():
            cur.execute("select set_config(%s, %s, true)", (name, value))
        cur.execute(
            sql.SQL(
                "select count(*), coalesce(sum(hashtextextended(row({})::text, 0)::numeric), 0)::text from {}"
            ).format(sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table))
        )
        (rows, total) = cur.fetchone() or (0, "0")
    return int(rows), str(total)
