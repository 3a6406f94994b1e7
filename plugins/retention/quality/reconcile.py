"""Conservation laws: the same quantity counted in two independent ways must be equal, or the night stops.

A law is a YAML file under expectations/reconciliation/ with two queries, each giving rows (name text, count bigint); a
name that one side lacks counts as 0. In a query `{staging}`, `{intermediate}`, `{outcomes}` and `{marts}` are schemas,
`{batch_id}` is the batch, and `{staging_counts}` a query of the rows of every staging table by canonical name.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import yaml
from psycopg2.extensions import connection as Connection

from retention.quality.suites import SuiteError
from retention.quality.verdict import Check, GateFailed, Verdict, book_checks, what_is_served
from retention.sources.contract import load_contract
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
        checks = [_check(conn, law, batch_id, marts_schema) for law in laws]
        book_checks(conn, batch_id, "reconciliation", checks)
        verdict = Verdict(tuple(checks))
        if verdict.critical_failures:
            raise GateFailed("reconciliation", verdict, what_is_served(conn))
    log.info("reconciliation: %d laws hold", len(laws))
    return verdict


def _check(conn: Connection, law: Law, batch_id: int, marts_schema: str) -> Check:
    left = _counts(conn, law.left.sql, batch_id, marts_schema)
    right = _counts(conn, law.right.sql, batch_id, marts_schema)
    names = sorted(left.keys() | right.keys())
    differ = [name for name in names if left.get(name, 0) != right.get(name, 0)]
    message = None
    if differ:
        shown = "; ".join(f"{name} {left.get(name, 0):,} against {right.get(name, 0):,}" for name in differ[:_SHOWN])
        more = f"; and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        message = f"{law.left.what} against {law.right.what}: {shown}{more}"
    return Check(law.table, law.name, "critical", not differ, None, None, (), message)


def _counts(conn: Connection, query: str, batch_id: int, marts_schema: str) -> dict[str, int]:
    known = {
        "staging": "staging",
        "intermediate": "intermediate",
        "outcomes": "outcomes",
        "marts": marts_schema,
        "batch_id": str(batch_id),
        "staging_counts": _staging_counts(),
    }
    with conn, conn.cursor() as cur:
        cur.execute(query.format_map(known))
        return {str(name): int(count) for name, count in cur.fetchall()}


def _staging_counts() -> str:
    tables = load_contract().tables
    return " union all ".join(
        # The names are the contract's own, not anybody's input.
        f"select '{name}' as table_name, count(*) as row_count from staging.stg_{name.replace('.', '__')}"  # noqa: S608
        for name in tables
    )
