"""The gate at raw and at marts: suites in, a verdict in ops.checks out, and an exception that stops the night.

Gate on data, never on operations: a misplaced ticket is an alert, not a stop. Runbook: docs/runbooks/checks.md
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from psycopg2 import sql

from retention.quality import quarantine
from retention.quality.orphans import examine_orphans
from retention.quality.raw_versions import tonights_rows
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
    is_short: bool = False,
) -> Verdict:
    """Run the gate's suites as role etl, book every check in ops.checks, and return the verdict.

    raw: the latest versions among the rows of the batch's pending loads; tables without a load or without new rows are
    skipped, and those of `tables` (what the profile supplies; None: all) must hold their suite's minimum of rows. A few
    bad rows are set aside instead of stopping the night; when it stops, nothing is.
    `is_short`: a ten-minute run's own loads, with books of its own (live_ops). What passes is not booked, and orphans
    are the night's business, for parents come at night.
    marts: whole tables of `schema`; a mart that is not there has failed.
    Raises GateFailed on a critical failure, after booking, and SuiteError for a bad suite file.
    """
    suites = load_suites(suites_dir, gate)
    with connected(dsn, f"check {gate}") as conn, open_runner(dsn, conn, None if gate == "raw" else schema) as runner:
        if gate == "raw":
            checks = _check_raw(runner, batch_id, suites, tables, is_short)
        else:
            checks = _check_marts(runner, suites, schema)
        told = [check for check in checks if not (is_short and check.is_passed)]
        book_checks(conn, batch_id, gate, told, is_added=is_short)
        verdict = Verdict(tuple(checks))
        for warning in (*verdict.warnings, *verdict.quarantined):
            log.warning("%s", warning)
        if verdict.critical_failures:
            raise GateFailed(gate, verdict, what_is_served(conn))
        if gate == "raw":
            quarantine.settle(conn, batch_id, suites, tables, is_short)
    passed = sum(check.is_passed for check in checks)
    log.info("gate %s: %d checks passed, %d warnings", gate, passed, len(verdict.warnings))
    return verdict


def _check_raw(
    runner: Runner, batch_id: int, suites: list[Suite], supplied: Collection[str] | None, is_short: bool
) -> list[Check]:
    quarantine.open_findings(runner.conn)
    to_check = sql.Identifier("live_ops", "loads_to_check") if is_short else sql.Identifier("ops", "loads_to_stage")
    with runner.conn, runner.conn.cursor() as cur:
        cur.execute(sql.SQL("select distinct table_name from {}").format(to_check))
        loaded = {name for (name,) in cur.fetchall()}
        cur.execute(
            sql.SQL(
                "select pending.table_name, array_agg(load_id order by load_id) from {} as pending"
                " join ops.loads using (load_id) where rows_appended > 0 group by pending.table_name"
            ).format(to_check)
        )
        pending: dict[str, list[int]] = dict(cur.fetchall())
        cur.execute(
            "select distinct on (table_name) table_name, live_keys from ops.loads order by table_name, load_id desc"
        )
        live: dict[str, int] = dict(cur.fetchall())
    checks = []
    examined: dict[str, int | None] = {}
    for suite in suites:
        if suite.table not in loaded:
            continue
        if suite.min_live_rows and (supplied is None or suite.table in supplied):
            checks.append(_minimum(suite, live[suite.table]))
        if suite.table in pending:
            rows = tonights_rows(load_contract().tables[suite.table], pending[suite.table], suite.columns)
            found = runner.run(suite, rows.as_string(runner.conn))
            examined[suite.table] = found[0].rows_examined
            checks += quarantine.judge(runner.conn, suite, pending[suite.table], found)
    if is_short:
        return checks
    return checks + examine_orphans(runner.conn, batch_id, suites, pending, examined, supplied)


def _minimum(suite: Suite, live_rows: int) -> Check:
    is_passed = live_rows >= suite.min_live_rows
    message = (
        None if is_passed else f"{live_rows:,} live rows after the load, at least {suite.min_live_rows:,} expected"
    )
    return Check(suite.table, "minimum_live_rows", "critical", is_passed, live_rows, None, (), message)


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
        checks += runner.run_table(suite, schema)
    return checks
