"""The gate at raw and at marts: suites in, a verdict in ops.checks out, and an exception that stops the night.

Gate on data, never on operations: a misplaced ticket is an alert, not a stop. Runbook: docs/runbooks/checks.md
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.quality.run_suite import Runner, open_runner
from retention.quality.suites import Suite, load_suites
from retention.quality.verdict import Check, GateFailed, Verdict, book_checks, what_is_served
from retention.sources.contract import load_contract
from retention.warehouse.batches import connected

log = logging.getLogger(__name__)


def run_gate(
    dsn: str,
    gate: Literal["raw", "marts"],
    batch_id: int,
    suites_dir: Path,
    schema: str,
    tables: Collection[str] | None = None,
) -> Verdict:
    """Run the gate's suites as role etl, book every check in ops.checks, and return the verdict.

    raw: the latest versions among the rows of the batch's pending loads; tables without a load or without new rows are
    skipped, and those of `tables` (what the profile supplies; None: all) must hold their suite's minimum of rows.
    marts: whole tables of `schema`; a mart that is not there has failed.
    Raises GateFailed on a critical failure, after booking, and SuiteError for a bad suite file.
    """
    suites = load_suites(suites_dir, gate)
    with connected(dsn, f"check {gate}") as conn, open_runner(dsn, conn, is_copied=gate == "raw") as runner:
        checks = _check_raw(runner, suites, tables) if gate == "raw" else _check_marts(runner, suites, schema)
        book_checks(conn, batch_id, gate, checks)
        verdict = Verdict(tuple(checks))
        for warning in verdict.warnings:
            log.warning("%s", warning)
        if verdict.critical_failures:
            raise GateFailed(gate, verdict, what_is_served(conn))
    log.info("gate %s: %d checks passed, %d warnings", gate, len(checks) - len(verdict.warnings), len(verdict.warnings))
    return verdict


def _check_raw(runner: Runner, suites: list[Suite], supplied: Collection[str] | None) -> list[Check]:
    with runner.conn, runner.conn.cursor() as cur:
        cur.execute("select distinct table_name from ops.loads_to_stage")
        loaded = {name for (name,) in cur.fetchall()}
        cur.execute(
            "select pending.table_name, array_agg(load_id order by load_id) from ops.loads_to_stage as pending"
            " join ops.loads using (load_id) where rows_appended > 0 group by pending.table_name"
        )
        pending: dict[str, list[int]] = dict(cur.fetchall())
        cur.execute(
            "select distinct on (table_name) table_name, live_keys from ops.loads order by table_name, load_id desc"
        )
        live: dict[str, int] = dict(cur.fetchall())
    checks = []
    for suite in suites:
        if suite.table not in loaded:
            continue
        if suite.min_live_rows and (supplied is None or suite.table in supplied):
            checks.append(_minimum(suite, live[suite.table]))
        if suite.table in pending:
            checks += runner.run(suite, _tonight(runner.conn, suite, pending[suite.table]))
    return checks


def _minimum(suite: Suite, live_rows: int) -> Check:
    is_passed = live_rows >= suite.min_live_rows
    message = (
        None if is_passed else f"{live_rows:,} live rows after the load, at least {suite.min_live_rows:,} expected"
    )
    return Check(suite.table, "minimum_live_rows", "critical", is_passed, live_rows, None, (), message)


def _tonight(conn: Connection, suite: Suite, load_ids: list[int]) -> str:
    """The rows of the pending loads, without those that a later load replaced: a corrected row is no failure."""
    name = sql.Identifier("raw", suite.table.replace(".", "__"))
    columns = sql.SQL(", ").join(sql.Identifier("r", column) for column in suite.columns)
    ids = sql.SQL(", ").join(map(sql.Literal, load_ids))
    query = sql.SQL("select {} from {} as r where r._op = 'u' and r._load_id in ({})").format(columns, name, ids)
    if len(load_ids) > 1:
        key = load_contract().tables[suite.table].key
        same = sql.SQL(" and ").join(sql.SQL("n.{0} = r.{0}").format(sql.Identifier(column)) for column in key)
        query += sql.SQL(" and not exists (select 1 from {} as n where {} and n._load_id > r._load_id)").format(
            name, same
        )
    return str(query.as_string(conn))


def _check_marts(runner: Runner, suites: list[Suite], schema: str) -> list[Check]:
    with runner.conn, runner.conn.cursor() as cur:
        cur.execute("select table_name from information_schema.tables where table_schema = %s", (schema,))
        built = {name for (name,) in cur.fetchall()}
    checks = []
    for suite in suites:
        if suite.table not in built:
            message = f"the table is not in {schema}"
            checks.append(Check(suite.table, "is_built", "critical", False, None, None, (), message))
            continue
        whole = sql.SQL("select * from {}").format(sql.Identifier(schema, suite.table))
        checks += runner.run(suite, whole.as_string(runner.conn))
    return checks
