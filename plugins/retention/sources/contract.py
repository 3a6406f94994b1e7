"""The canonical tables: loads contract.yml and keeps the raw tables of the warehouse equal to it."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TYPES = re.compile(r"text|boolean|timestamptz|date|integer|bigint|numeric\(\d+,\d+\)")
#: How the catalogue spells a contract type that it spells differently.
CATALOGUE_NAMES = {"timestamptz": "timestamp with time zone"}


class ContractError(RuntimeError):
    """The contract contradicts itself or the warehouse; the message names the table and column."""


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+) (minute|hour|day)s?", value)):
        return timedelta(**{f"{match[2]}s": int(match[1])})
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """One canonical column; `type` is a PostgreSQL type."""

    type: str = Field(pattern=f"^({TYPES.pattern})$")
    required: bool = False
    values: tuple[str, ...] | None = None
    pii: bool = False
    description: str | None = None


class Table(_Strict):
    """One canonical table. `name` is '<system>.<table>'."""

    name: str = Field(pattern=r"^[a-z_]+\.[a-z_]+$")
    description: str
    key: tuple[str, ...] = Field(min_length=1)
    cursor: str | None = None
    event_at: str | None = None
    deletes: Literal["none", "flag", "sweep_nightly", "sweep_weekly"]
    #: Columns that say whose a row is, in the order in which they are asked.
    person: tuple[str, ...] = ()
    columns: dict[str, Column]
    #: Column -> table that it names a row of, where a row without one means nothing (an optional link is no reference).
    references: dict[str, str] = Field(default_factory=dict)
    #: Rows written this long before the watermark are read again: a source commits late.
    overlap: Duration
    #: A night in which a larger share of the live keys is gone from the source, or ends, is refused.
    max_delete_ratio: float = Field(ge=0, le=1)
    #: A load of fewer new or changed rows than this share of the usual number is refused.
    min_rows_ratio: float = Field(default=0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _columns_exist(self) -> "Table":
        for name in (*self.key, *self.references, *self.person, self.cursor, self.event_at):
            if name is not None and name not in self.columns:
                raise ValueError(f"{self.name}: {name} is not among the columns")
        if self.cursor is not None and self.columns[self.cursor].type != "timestamptz":
            raise ValueError(f"{self.name}: the cursor {self.cursor} must be a timestamptz")
        return self

    @property
    def raw(self) -> str:
        """Name of the raw table, with its schema."""
        return raw_table(self.name)

    @property
    def hash(self) -> str:
        """Changes when the shape of the stored rows changes, not when a description does."""
        shape = [self.key, [(name, column.type) for name, column in self.columns.items()]]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]

    @property
    def personal(self) -> list[str]:
        """Columns with personal data."""
        return [name for name, column in self.columns.items() if column.pii]

    def required(self) -> list[str]:
        """Columns that a source must supply."""
        return [name for name, column in self.columns.items() if column.required or name in self.key]


class Contract(_Strict):
    """All canonical tables by name."""

    version: int
    tables: dict[str, Table]

    @model_validator(mode="after")
    def _parents_exist(self) -> "Contract":
        for table in self.tables.values():
            for column, name in table.references.items():
                parent = self.tables.get(name)
                if parent is None or len(parent.key) != 1:
                    raise ValueError(f"{table.name}: {column} references {name}, not a table with a key of one column")
                if parent.columns[parent.key[0]].type != table.columns[column].type:
                    raise ValueError(f"{table.name}: {column} is not of the type of the key of {name}")
        return self

    def pii_columns(self) -> dict[str, list[str]]:
        """Personal columns of each table that has any."""
        found = {name: [c for c, spec in table.columns.items() if spec.pii] for name, table in self.tables.items()}
        return {name: columns for name, columns in found.items() if columns}


def raw_table(name: str) -> str:
    """Raw table of a canonical one: 'crm.parties' -> 'raw.crm__parties'."""
    return "raw." + name.replace(".", "__")


def raw_identifier(name: str) -> sql.Identifier:
    """The same, quoted for a statement."""
    return sql.Identifier(*raw_table(name).split("."))


def parse_contract(text: str) -> Contract:
    """Contract from YAML; pydantic's ValidationError names the table and field that is wrong."""
    document: dict[str, Any] = yaml.safe_load(text)
    defaults: Mapping[str, Any] = document.pop("defaults")
    document["tables"] = {
        name: {"name": name, **defaults, **table} for name, table in document["tables"].items()
    }  # fmt: skip
    return Contract.model_validate(document)


@cache
def load_contract() -> Contract:
    """The contract shipped with the package (read once)."""
    return parse_contract(files("retention.sources").joinpath("contract.yml").read_text(encoding="utf-8"))


def create_raw_tables(conn: Connection, contract: Contract | None = None) -> None:
    """Create what is missing of the raw tables, in one transaction; `conn` is the role etl's. Safe to run again.

    A new contract column is added; a column that has another type in the warehouse raises ContractError, and nothing
    is changed.
    """
    with conn, conn.cursor() as cur:
        cur.execute(
            "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)"
            " from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            " where c.relnamespace = 'raw'::regnamespace and c.relkind in ('r', 'p')"
        )
        existing: dict[str, dict[str, tuple[str, str | None]]] = {}
        for table_name, column, type_name, comment in cur.fetchall():
            existing.setdefault(table_name, {})[column] = (type_name, comment)
        for table in (contract or load_contract()).tables.values():
            for statement in _statements(table, existing.get(table.raw.split(".")[1])):
                cur.execute(statement)


def versions_index(table: Table) -> sql.Composed:
    """Statement creating the index of a raw table's versions: one version of a key in a load."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in (*table.key, "_load_id"))
    name = sql.Identifier(table.raw.split(".")[1] + "_versions")
    return sql.SQL("create unique index {} on {} ({})").format(name, raw_identifier(table.name), columns)


def loads_index(table: Table) -> sql.Composed:
    """Statement creating the index that finds a load's rows in a raw table; it takes some kilobytes.

    raw is appended in the order of loads, so a range of blocks holds few of them. Rows appended since autovacuum last
    came are in no range yet and read each time: they are the newest, mostly tonight's.
    """
    name = sql.Identifier(table.raw.split(".")[1] + "_loads")
    statement = "create index if not exists {} on {} using brin (_load_id) with (autosummarize = on)"
    return sql.SQL(statement).format(name, raw_identifier(table.name))


def _statements(table: Table, existing: Mapping[str, tuple[str, str | None]] | None) -> list[sql.Composed]:
    target = raw_identifier(table.name)
    statements: list[sql.Composed] = []
    if existing is None:
        # Only our own two are NOT NULL: a tombstone has only its key, and a NULL key must reach the rejects.
        columns: list[sql.Composable] = [
            sql.SQL("{} " + column.type).format(sql.Identifier(n)) for n, column in table.columns.items()
        ]
        columns.append(sql.SQL("_load_id bigint not null default current_setting('retention.load_id')::bigint"))
        columns.append(sql.SQL("_op text not null default 'u'"))
        statements.append(sql.SQL("create table {} ({})").format(target, sql.SQL(", ").join(columns)))
        statements.append(sql.SQL("comment on table {} is {}").format(target, sql.Literal(table.description)))
        statements.append(versions_index(table))
        existing = {}
    # Also where the table is older than the index.
    statements.append(loads_index(table))
    for name, column in table.columns.items():
        type_name, comment = existing.get(name, (None, None))
        if existing and type_name is None:
            statement = sql.SQL("alter table {} add column {} " + column.type)
            statements.append(statement.format(target, sql.Identifier(name)))
        elif type_name not in (None, CATALOGUE_NAMES.get(column.type, column.type)):
            raise ContractError(
                f"{table.name}: column {name} is {type_name} in {table.raw} and {column.type} in the contract. Nothing "
                f"was changed. Retype it (alter table {table.raw} alter column {name} type ...) or undo the change."
            )
        wanted = "; ".join(filter(None, (column.description, "personal data" if column.pii else None))) or None
        if comment != wanted:
            statement = sql.SQL("comment on column {}.{} is {}")
            statements.append(statement.format(target, sql.Identifier(name), sql.Literal(wanted)))
    return statements
