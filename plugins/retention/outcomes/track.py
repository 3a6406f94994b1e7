"""Outcome tracking: from complaint episodes and contacts to the schema `outcomes`, in one transaction."""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from importlib.resources import files
from time import perf_counter

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from retention.outcomes.estimates import SurvivalRow, estimate_survival
from retention.outcomes.frames import Excluded, count_excluded, read_contacts, read_episodes, read_min_cell_n
from retention.outcomes.metrics import MetricRow, measure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackSummary:
    """What one run read and wrote. rows: written to both tables; episodes, contacts: read."""

    rows: int
    seconds: float
    episodes: int
    contacts: int
    excluded: Excluded


def track_outcomes(
    conn: Connection,
    as_of: datetime,
    batch_id: int,
    *,
    intermediate_schema: str = "intermediate",
    outcomes_schema: str = "outcomes",
) -> TrackSummary:
    """Estimate survival and measure retention for `as_of`, replacing what was written for it or by this batch before.

    conn: a connection of role etl without an open transaction; read and written in one, committed at the end or not at
    all. The schemas are parameters so that a rebuild can work beside the real ones. The seed small_cells says which
    cells are too small to publish. Raises ValueError on episodes that cannot be judged (see read_episodes) or without
    that policy, and psycopg2.Error; then nothing was written.
    """
    began = perf_counter()
    with conn:
        min_cell_n = read_min_cell_n(conn, as_of)
        episodes = read_episodes(conn, intermediate_schema)
        contacts = read_contacts(conn, intermediate_schema)
        excluded = count_excluded(conn, intermediate_schema)
        estimates = list(estimate_survival(episodes, min_cell_n))
        metrics = list(measure(episodes, contacts, estimates, min_cell_n))
        with conn.cursor() as cur:
            ddl = files("retention.outcomes").joinpath("ddl.sql").read_text(encoding="utf-8")
            cur.execute(sql.SQL(ddl).format(outcomes=sql.Identifier(outcomes_schema)))
            _replace(cur, sql.Identifier(outcomes_schema, "survival_estimates"), as_of, batch_id, estimates)
            _replace(cur, sql.Identifier(outcomes_schema, "retention_metrics"), as_of, batch_id, metrics)
    summary = TrackSummary(
        rows=len(estimates) + len(metrics),
        seconds=perf_counter() - began,
        episodes=len(episodes),
        contacts=len(contacts),
        excluded=excluded,
    )
    log.info("outcomes as of %s: %s", as_of.isoformat(), summary)
    return summary


def _replace(
    cur: Cursor, table: sql.Identifier, as_of: datetime, batch_id: int, rows: Sequence[SurvivalRow | MetricRow]
) -> None:
    # One set of rows for each as_of: a later batch of the same night supersedes the earlier one's.
    cur.execute(sql.SQL("delete from {} where as_of = %s or batch_id = %s").format(table), (as_of, batch_id))
    names = ["as_of", "batch_id", *(field.name for field in fields(rows[0]))]
    insert = sql.SQL("insert into {} ({}) values %s").format(table, sql.SQL(", ").join(map(sql.Identifier, names)))
    execute_values(cur, insert.as_string(cur), [(as_of, batch_id, *astuple(row)) for row in rows], page_size=1000)
