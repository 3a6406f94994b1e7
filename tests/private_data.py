"""Searches for personal data (and secrets) in files and databases: everything that may not hold them is looked through.

A column or file is searched for every value at once, anywhere in it, by grep. Values are searched as they are, as phone
numbers' digits, and as JSON spells them.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.handover import live
from retention.sources.contract import Contract, load_contract

#: Shorter texts turn up by chance.
MIN_CHARS = 10
PHONE = re.compile(r"\+?[78]?\d{10}")


@dataclass(frozen=True)
class Leak:
    """A value where it must not be: a file, or schema.table.column. `count` occurrences; the value is not shown."""

    place: str
    count: int


def spellings(values: Iterable[str]) -> set[str]:
    """The values that are long enough to be told from chance, in every spelling they are searched in."""
    found: set[str] = set()
    for value in values:
        if len(value) < MIN_CHARS or "\n" in value:
            continue
        digits = re.sub(r"\D", "", value)
        phone = {digits, f"7{digits[-10:]}"} if PHONE.fullmatch(value) else set()
        found |= {value, json.dumps(value)[1:-1], *phone}
    return found


def personal_values(dsns: Mapping[str, str], drops: Path, contract: Contract | None = None) -> set[str]:
    """What the sources hold in columns that the contract calls personal: numbers, names, addresses, texts."""
    names = {
        c for table in (contract or load_contract()).tables.values() for c, spec in table.columns.items() if spec.pii
    }
    values: set[str] = set()
    for dsn in dsns.values():
        with closing(psycopg2.connect(dsn)) as conn, conn.cursor() as cur:
            cur.execute(
                "select table_schema, table_name, column_name from information_schema.columns "
                "where table_schema not in ('pg_catalog', 'information_schema') and column_name = any(%s)",
                (sorted(names),),
            )
            for schema, table, column in cur.fetchall():
                query = sql.SQL("select distinct {}::text from {} where {} is not null").format(
                    sql.Identifier(column), sql.Identifier(schema, table), sql.Identifier(column)
                )
                cur.execute(query)
                values |= {value for (value,) in cur.fetchall()}
    for path in drops.rglob("*.csv"):
        header, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        places = [number for number, name in enumerate(header.split(",")) if name in names]
        cells = [line.split(",") for line in lines if '"' not in line]
        values |= {row[place] for row in cells for place in places if place < len(row)}
    return values


def search_files(values: Collection[str], folders: Iterable[Path], is_allowed: Callable[[Path], bool]) -> list[Leak]:
    """Files below the folders in which a value occurs, except those allowed."""
    patterns = "\n".join(sorted(spellings(values)))
    if not patterns:
        raise ValueError("nothing to search for: the search would find nothing whatever leaks")
    command = ["grep", "-raFoH", "--null", "-f", "-", *(str(folder) for folder in folders)]
    done = subprocess.run(command, input=patterns.encode(), capture_output=True, check=False, env={"LC_ALL": "C"})
    if done.returncode > 1:
        raise RuntimeError(done.stderr.decode()[:500])
    counts: dict[str, int] = {}
    for line in done.stdout.split(b"\n"):
        name, _, hit = line.partition(b"\0")
        if hit and not is_allowed(Path(os.fsdecode(name))):
            counts[os.fsdecode(name)] = counts.get(os.fsdecode(name), 0) + 1
    return [Leak(name, count) for name, count in sorted(counts.items())]


def search_database(
    values: Collection[str], dsn: str, allowed: Collection[str], scratch: Path, schemas: Collection[str] | None = None
) -> list[Leak]:
    """Columns of a database in which a value occurs, except `allowed` ones (schema.table.column).

    `dsn` is a superuser's, or of whoever may read what is searched; what it may not read is not searched.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with closing(psycopg2.connect(dsn)) as conn:
        columns = readable_columns(conn, schemas)
        if not columns:
            raise ValueError("no column to search in: the search would find nothing whatever leaks")
        for column in columns:
            if ".".join(column) not in allowed:
                _write_column(conn, column, scratch / ".".join(column))
    found = search_files(values, [scratch], lambda _: False)
    for path in scratch.iterdir():
        path.unlink()
    return [Leak(Path(leak.place).name, leak.count) for leak in found]


def readable_columns(conn: Connection, schemas: Collection[str] | None = None) -> list[tuple[str, str, str]]:
    """Every column that this connection's role may read, of types that can hold a text or a number of eleven digits."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            select n.nspname, c.relname, a.attname
            from pg_attribute a
            join pg_class c on c.oid = a.attrelid
            join pg_namespace n on n.oid = c.relnamespace
            where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm')
                and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
                and (%(schemas)s::text[] is null or n.nspname = any(%(schemas)s))
                and a.atttypid not in ('bool'::regtype, 'int4'::regtype, 'timestamptz'::regtype, 'date'::regtype)
                and has_schema_privilege(n.oid, 'usage') and has_column_privilege(c.oid, a.attnum, 'select')
            order by 1, 2, 3
            """,
            {"schemas": None if schemas is None else sorted(schemas)},
        )
        return cur.fetchall()


def _write_column(conn: Connection, column: tuple[str, str, str], path: Path) -> None:
    schema, table, name = column
    with conn, conn.cursor() as cur, path.open("wb") as stream:
        # As csv, which leaves backslashes alone: Airflow's JSON spells Cyrillic with them.
        query = sql.SQL(
            "copy (select distinct {column}::text from {table} where {column} is not null) to stdout (format csv)"
        )
        cur.copy_expert(query.format(column=sql.Identifier(name), table=sql.Identifier(schema, table)), stream)


def allowed_columns(manifest: Path) -> set[str]:
    """Columns that may hold personal data: the contract's in raw, those that models mark in their own tables, rejects.

    Marts may only in tables named private_..., and in the views of marts_private on them.
    """
    contract = load_contract()
    found = {"raw.rejects.row_text"}
    for name, columns in contract.pii_columns().items():
        found |= {f"raw.{name.replace('.', '__')}.{column}" for column in columns}
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()
    for node in nodes:
        marked = [
            column for column, spec in node["columns"].items() if spec.get("config", {}).get("meta", {}).get("pii")
        ]
        layer = node["fqn"][1]
        if layer == "marts":
            if not node["name"].startswith("private_"):
                continue
            view = node["name"].removeprefix("private_")
            places = [f"marts_a.{node['name']}", f"marts_b.{node['name']}", f"marts_private.{view}"]
        else:
            # The ten-minute run's state is the same, in schemas of its own.
            places = [f"{prefix}{node['schema']}.{node['name']}" for prefix in ("", live.PREFIX)]
        found |= {f"{place}.{column}" for place in places for column in marked}
    return found
