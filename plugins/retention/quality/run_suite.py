"""Runs one suite on the rows of one query with Great Expectations, pushed down to PostgreSQL.

Twice: counts for all expectations in a few aggregate queries, then the keys of the failing ones only; asking for keys
at once costs a scan per expectation. The import of Great Expectations takes 5 s: it is inside the functions.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.quality.suites import Expectation, Suite
from retention.quality.verdict import MAX_KEYS, Check

# In a traceback: PostgreSQL's own error, else the class of the last exception; never the text behind it.
_DATABASE_ERROR = re.compile(r"psycopg2\.errors\.(\w+)")
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?([A-Z]\w+(?:Error|Exception))\b", re.MULTILINE)
_UNIQUE_TOGETHER = "expect_compound_columns_to_be_unique"


@dataclass(frozen=True)
class Runner:
    """A Great Expectations datasource and a connection for what it does not give; made by `open_runner`."""

    datasource: Any
    conn: Connection

    def run(self, suite: Suite, query: str) -> list[Check]:
        """All checks of `suite` on the rows of `query`, in the suite's order. A check that cannot be run has failed."""
        return self._run(self.datasource.add_query_asset(suite.table, query=query), suite, query)

    def run_table(self, suite: Suite, schema: str) -> list[Check]:
        """The same on the whole table of the suite in `schema`, the one that the runner was opened with.

        As a query, Great Expectations would fetch all its rows only to learn the names of its columns.
        """
        asset = self.datasource.add_table_asset(suite.table, table_name=suite.table)
        query = sql.SQL("select * from {}").format(sql.Identifier(schema, suite.table))
        return self._run(asset, suite, query.as_string(self.conn))

    def _run(self, asset: Any, suite: Suite, query: str) -> list[Check]:
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        results = _validate(batch, suite.expectations, _COUNTS)
        return [
            self._check(batch, suite, query, expectation, result)
            for expectation, result in zip(suite.expectations, results, strict=True)
        ]

    def _check(self, batch: Any, suite: Suite, query: str, expectation: Expectation, result: dict[str, Any]) -> Check:
        values = result["result"]
        examined, failed = values.get("element_count"), values.get("unexpected_count")
        message = None if result["success"] else expectation.condition or None
        keys: tuple[dict[str, str | None], ...] = ()
        if not result["success"]:
            if not values:
                # The engine's message may quote a value: only the kind of error is told.
                message = f"the check could not be run: {_error_kind(result)}"
            elif failed is None:
                message = f"{expectation.condition}; observed {values.get('observed_value')}"
            elif suite.key:
                keys = self._failing_keys(batch, suite, query, expectation)
        return Check(
            suite.table,
            expectation.label,
            expectation.severity,
            bool(result["success"]),
            examined,
            failed,
            keys,
            message,
        )

    def _failing_keys(
        self, batch: Any, suite: Suite, query: str, expectation: Expectation
    ) -> tuple[dict[str, str | None], ...]:
        if expectation.type == _UNIQUE_TOGETHER:
            return self._duplicates(query, suite, expectation)
        (result,) = _validate(batch, [expectation], {**_KEYS, "unexpected_index_column_names": list(suite.key)})
        # Without values the keys come by column: [{"contact_id": ["c1", "c2"]}].
        found = (result["result"].get("partial_unexpected_index_list") or [{}])[0]
        rows = dict.fromkeys(zip(*(found.get(column, []) for column in suite.key), strict=True))
        return tuple(_named(suite.key, row) for row in rows)

    def _duplicates(self, query: str, suite: Suite, expectation: Expectation) -> tuple[dict[str, str | None], ...]:
        """Keys that stand twice: Great Expectations counts them on SQL but does not name them."""
        if not set(expectation.columns) <= set(suite.key):
            return ()
        columns = sql.SQL(", ").join(map(sql.Identifier, expectation.columns))
        statement = sql.SQL("select {} from ({}) as checked group by {} having count(*) > 1 order by {} limit {}")
        with self.conn, self.conn.cursor() as cur:
            cur.execute(statement.format(columns, sql.SQL(query), columns, columns, sql.Literal(MAX_KEYS)))
            return tuple(_named(expectation.columns, row) for row in cur.fetchall())


# `exclude_unexpected_values`: keys leave the database, values do not.
_COUNTS = {"result_format": "BASIC", "exclude_unexpected_values": True, "partial_unexpected_count": 0}
_KEYS = {"result_format": "SUMMARY", "exclude_unexpected_values": True, "partial_unexpected_count": MAX_KEYS}


@contextmanager
def open_runner(dsn: str, conn: Connection, schema: str | None) -> Iterator[Runner]:
    """A runner on `dsn` for the tables of `schema`, or (None) for queries, each read once into a temporary table."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # It logs errors of the database with the statement's values, and 200 lines when it is imported.
    logging.getLogger("great_expectations").propagate = False
    logging.getLogger("great_expectations").addHandler(logging.NullHandler())
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    url = "postgresql+psycopg2://" + dsn.removeprefix("postgresql://")
    if schema is not None:
        url += ("&" if "?" in url else "?") + f"options=-csearch_path%3D{schema}"
    datasource = context.data_sources.add_postgres("warehouse", connection_string=url, create_temp_table=schema is None)
    try:
        yield Runner(datasource, conn)
    finally:
        datasource.get_execution_engine().close()


def _validate(batch: Any, expectations: Sequence[Expectation], result_format: dict[str, Any]) -> list[dict[str, Any]]:
    """Results in the order of `expectations`: Great Expectations gives them in an order of its own."""
    import great_expectations as gx

    suite = gx.ExpectationSuite(
        name="suite",
        expectations=[
            {"type": e.type, "kwargs": dict(e.kwargs), "severity": e.severity, "meta": {"order": order}}
            for order, e in enumerate(expectations)
        ],
    )
    results = [result.to_json_dict() for result in batch.validate(suite, result_format=result_format).results]
    return sorted(results, key=lambda result: result["expectation_config"]["meta"]["order"])


def _named(columns: Sequence[str], row: Sequence[Any]) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in zip(columns, row, strict=True)}


def _error_kind(result: dict[str, Any]) -> str:
    """The class of the exception that a check ended with."""
    info = result["exception_info"]
    entries = [info] if "exception_traceback" in info else list(info.values())
    trace = str(entries[0].get("exception_traceback") or "")
    named = _DATABASE_ERROR.findall(trace) or _EXCEPTION.findall(trace)
    return named[-1] if named else "unknown error"
