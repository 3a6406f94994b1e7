"""Is anything left? Looks for values in every text of the warehouse and in files; only places are told."""

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure.people import NUMBER
from retention.erasure.pseudonyms import normalised
from retention.sources.contract import Contract, raw_identifier

#: Shorter values are everywhere.
MIN_CHARS = 4
#: A number is looked for without its country code and signs.
TAIL_DIGITS = 10
_TEXT_TYPES = ("text", "character varying", "character", "json", "jsonb", "text[]", "name")


def choose(cur: Cursor, contract: Contract, values: set[str], held: set[str]) -> tuple[set[str], int]:
    """Values to look for, and how many are left out as they are somebody else's, too (a name, a reassigned number)."""
    cur.execute(
        sql.SQL("select distinct {0} from raw.crm__msisdn_periods where {0} = any(%s)").format(
            normalised(sql.Identifier(NUMBER))
        ),
        (list(held),),
    )
    others = {number for (number,) in cur.fetchall()}
    cur.execute(
        sql.SQL("select value, {} from unnest(%s::text[]) as value").format(normalised(sql.Identifier("value"))),
        (list(values),),
    )
    number_of = dict(cur.fetchall())
    own_numbers = held - others
    wanted = {number[-TAIL_DIGITS:] for number in own_numbers if len(number) >= TAIL_DIGITS}
    texts = set()
    for value in values:
        if number_of[value] in held:
            wanted |= {value} if number_of[value] in own_numbers else set()
        else:
            texts.add(value)
    shared: set[str] = set()
    for table in contract.tables.values():
        for column in table.personal:
            if column != NUMBER:
                cur.execute(
                    sql.SQL("select distinct {0} from {1} where {0} = any(%s)").format(
                        sql.Identifier(column), raw_identifier(table.name)
                    ),
                    (list(texts),),
                )
                shared |= {value for (value,) in cur.fetchall()}
    found = {value for value in texts - shared if len(value) >= MIN_CHARS}
    return wanted | found, len(shared) + len(others)


def patterns(values: Collection[str]) -> list[str]:
    """LIKE patterns that match texts holding one of the values."""
    escaped = (value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for value in sorted(values))
    return [f"%{value}%" for value in escaped]


def search_tables(
    cur: Cursor, wanted: list[str], schemas: Collection[str] | None = None
) -> tuple[list[str], list[str]]:
    """Look for LIKE patterns in every text column that this role may read; of some schemas, or of all.

    Returns the places that hold one, as "schema.table.column: rows", and the tables that may not be read.
    """
    found, unread = [], []
    for schema, table, columns, may_read in _tables(cur):
        if schemas is not None and schema not in schemas:
            continue
        if not may_read:
            unread.append(f"{schema}.{table}")
            continue
        counts = sql.SQL(", ").join(
            sql.SQL("count(*) filter (where {}::text like any({}))").format(sql.Identifier(name), sql.Literal(wanted))
            for name in columns
        )
        cur.execute(sql.SQL("select {} from {}").format(counts, sql.Identifier(schema, table)))
        for name, rows in zip(columns, cur.fetchone() or (), strict=True):
            if rows:
                found.append(f"{schema}.{table}.{name}: {rows:,} rows")
    return found, unread


def _tables(cur: Cursor) -> list[tuple[str, str, list[str], bool]]:
    cur.execute(
        "select schemas.nspname::text, classes.relname::text,"
        " array_agg(attributes.attname::text order by attributes.attnum),"
        " has_schema_privilege(schemas.oid, 'usage') and has_table_privilege(classes.oid, 'select')"
        " from pg_class as classes inner join pg_namespace as schemas on classes.relnamespace = schemas.oid"
        " inner join pg_attribute as attributes on classes.oid = attributes.attrelid"
        " where classes.relkind in ('r', 'p', 'm') and schemas.nspname not like 'pg\\_%%'"
        " and schemas.nspname <> 'information_schema' and attributes.attnum > 0 and not attributes.attisdropped"
        " and format_type(attributes.atttypid, null) = any(%s)"
        " group by schemas.nspname, schemas.oid, classes.relname, classes.oid order by 1, 2",
        (list(_TEXT_TYPES),),
    )
    return cur.fetchall()


def search_files(folder: Path, values: Collection[str], leave: Collection[Path]) -> Iterator[Path]:
    """Files below a folder, but not below those in `leave`, that hold one of the values in UTF-8."""
    wanted = [value.encode() for value in values]
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size == 0:
            continue
        if any(path.is_relative_to(other) for other in leave):
            continue
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if any(content.find(value) >= 0 for value in wanted):
                yield path
