"""Conservation laws: the same quantity counted in two independent ways must be equal, or the night stops.

A law is a YAML file under expectations/reconciliation/ with two queries, each giving rows (name text, count bigint); a
name that one side lacks counts as 0. In a query `{staging}`, `{intermediate}`, `{outcomes}` and `{marts}` are schemas,
`{batch_id}` is the batch, and these are queries of counts by canonical name: `{staging_counts}` of staging's rows,
`{keys_set_aside}` of live keys all of whose live versions are in quarantine, `{versions_hidden}` of the versions in
quarantine that staging does not show.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.quality.raw_versions import has_key, latest_version
from retention.quality.suites import SuiteError
from retention.quality.verdict import Check, GateFailed, Verdict, book_checks, what_is_served
from retention.sources.contract import Table, load_contract
from retention.warehouse.batches import connected

log = logging.getLogger(__name__)

_SHOWN = 5


@dataclass(frozen=True)
class Side:
    """One way of counting: what it counts, in words, and the query."""

    what: str
    sql: str


@dataclass(frozen=True)
class Law:
    """Two counts that must be equal, name by name; `table` is the mart or layer that a mismatch puts in doubt."""

    name: str
    table: str
    left: Side
    right: Side


def load_laws(folder: Path) -> list[Law]:
    """Laws of `folder`, by file name. Raises SuiteError naming the file and what is missing, and when there is none."""
    files = sorted(folder.glob("*.yml"))
    if not files:
        raise SuiteError(f"{folder}: no laws found, nothing would be reconciled")
    return [_parse(path) for path in files]


def _parse(path: Path) -> Law:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or set(document) != {"name", "table", "left", "right"}:
        raise SuiteError(f"{path}: wanted the fields name, table, left and right")
    if document["name"] != path.stem:
        raise SuiteError(f"{path}: name is {document['name']!r}, the file's name says {path.stem!r}")
    for side in ("left", "right"):
        if not isinstance(document[side], dict) or set(document[side]) != {"what", "sql"}:
            raise SuiteError(f"{path}: {side} wanted the fields what and sql")
    return Law(document["name"], document["table"], Side(**document["left"]), Side(**document["right"]))


def reconcile(dsn: str, batch_id: int, laws_dir: Path, marts_schema: str) -> Verdict:
    """Check every law as role etl, book them in ops.checks (gate `reconciliation`) and return the verdict.

    Raises GateFailed when a law does not hold, after booking; a database error passes through.
    """
    laws = load_laws(laws_dir)
    with connected(dsn, "reconcile") as conn:
        names = _names(conn, batch_id, marts_schema)
        checks = [_check(conn, law, names) for law in laws]
        book_checks(conn, batch_id, "reconciliation", checks)
        verdict = Verdict(tuple(checks))
        if verdict.critical_failures:
            raise GateFailed("reconciliation", verdict, what_is_served(conn))
    log.info("reconciliation: %d laws hold", len(laws))
    return verdict


def _check(conn: Connection, law: Law, names: Mapping[str, str]) -> Check:
    left, right = _counts(conn, law.left.sql, names), _counts(conn, law.right.sql, names)
    differ = [name for name in sorted(left.keys() | right.keys()) if left.get(name, 0) != right.get(name, 0)]
    message = None
    if differ:
        shown = "; ".join(f"{name} {left.get(name, 0):,} against {right.get(name, 0):,}" for name in differ[:_SHOWN])
        more = f"; and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        message = f"{law.left.what} against {law.right.what}: {shown}{more}"
    return Check(law.table, law.name, "critical", not differ, None, None, (), message)


def _counts(conn: Connection, query: str, names: Mapping[str, str]) -> dict[str, int]:
    with conn, conn.cursor() as cur:
        cur.execute(query.format_map(names))
        return {str(name): int(count) for name, count in cur.fetchall()}


def _names(conn: Connection, batch_id: int, marts_schema: str) -> dict[str, str]:
    """What stands in braces in a law's queries."""
    return {
        "staging": "staging",
        "intermediate": "intermediate",
        "outcomes": "outcomes",
        "marts": marts_schema,
        "batch_id": str(batch_id),
        "staging_counts": _staging_counts(),
        "keys_set_aside": _of_quarantine(conn, _KEYS_SET_ASIDE),
        "versions_hidden": _of_quarantine(conn, _VERSIONS_HIDDEN),
    }


def _staging_counts() -> str:
    tables = load_contract().tables
    return " union all ".join(
        # The names are the contract's own, not anybody's input.
        f"select '{name}' as table_name, count(*) as row_count from staging.stg_{name.replace('.', '__')}"  # noqa: S608
        for name in tables
    )


_KEYS_SET_ASIDE = """
    select {name} as table_name, count(*) as row_count
    from (
        select distinct key from ops.quarantine where table_name = {name} and released_batch_id is null
    ) as keys
    inner join lateral ({latest}) as latest on latest._op = 'u'
    left join lateral ({shown}) as shown on shown._op = 'u'
    where shown._op is null
"""
_VERSIONS_HIDDEN = """
    select {name} as table_name, count(*) as row_count
    from ops.quarantine as keys
    where keys.table_name = {name} and keys.released_batch_id is null
        and not exists (select from {staging} as s where {has_key} and s._load_id = keys.load_id)
"""


def _of_quarantine(conn: Connection, query: str) -> str:
    """The query of every table that has versions in quarantine; without any, a query of no rows."""
    with conn, conn.cursor() as cur:
        cur.execute("select distinct table_name from ops.quarantine where released_batch_id is null order by 1")
        names = [name for (name,) in cur.fetchall()]
    tables = [load_contract().tables[name] for name in names]
    nothing = "select null as table_name, 0 as row_count where false"
    return " union all ".join(_filled(query, table).as_string(conn) for table in tables) or nothing


def _filled(query: str, table: Table) -> sql.Composed:
    is_shown = sql.SQL(
        "not exists (select from ops.quarantine as q where q.table_name = {}"
        " and q.released_batch_id is null and q.load_id = r._load_id and q.key = keys.key)"
    ).format(sql.Literal(table.name))
    return sql.SQL(query).format(
        name=sql.Literal(table.name),
        latest=latest_version(table, "keys.key"),
        shown=latest_version(table, "keys.key", is_shown),
        staging=sql.Identifier("staging", f"stg_{table.name.replace('.', '__')}"),
        has_key=has_key(table, "s", "keys.key"),
    )
