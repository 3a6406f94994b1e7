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
from retention.outcomes.replay import StressRow, replay
from retention.outcomes.replay_inputs import read_observed, read_scenarios
from retention.outcomes.touchpoint_inputs import read_complaints, read_exposures, read_period_days
from retention.outcomes.touchpoints import TouchpointRow, touchpoints

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackSummary:
    """What one run read and wrote. rows: written to all tables; episodes, contacts: read for the metrics."""

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
    """Estimate survival, measure retention, rank touchpoints and replay the queue for `as_of`.

    What was written for `as_of` or by this batch before is replaced.

    conn: a connection of role etl without an open transaction; read and written in one, committed at the end or not at
    all. The schemas are parameters so that a rebuild can work beside the real ones. Seeds say which
    cells are too small to publish, how far to look back and what to replay. Raises ValueError on episodes that cannot
    be judged (see read_episodes) or without those policies, and psycopg2.Error; then nothing was written.
    """
    began = perf_counter()
    with conn:
        min_cell_n = read_min_cell_n(conn, as_of, "retention_metrics")
        episodes = read_episodes(conn, intermediate_schema)
        contacts = read_contacts(conn, intermediate_schema)
        excluded = count_excluded(conn, intermediate_schema)
        estimates = list(estimate_survival(episodes, min_cell_n))
        metrics = list(measure(episodes, contacts, estimates, min_cell_n))
        ranked = _rank_touchpoints(conn, as_of, intermediate_schema)
        replayed = list(replay(read_observed(conn, intermediate_schema, as_of), read_scenarios(conn, as_of)))
        with conn.cursor() as cur:
            ddl = files("retention.outcomes").joinpath("ddl.sql").read_text(encoding="utf-8")
            cur.execute(sql.SQL(ddl).format(outcomes=sql.Identifier(outcomes_schema)))
            _replace(cur, sql.Identifier(outcomes_schema, "survival_estimates"), as_of, batch_id, estimates)
            _replace(cur, sql.Identifier(outcomes_schema, "retention_metrics"), as_of, batch_id, metrics)
            # A night has thousands of touchpoints, and only the latest run's are shown.
            for table in ("touchpoints", "stress_replay"):
                cur.execute(sql.SQL("delete from {}").format(sql.Identifier(outcomes_schema, table)))
            _insert(cur, sql.Identifier(outcomes_schema, "touchpoints"), as_of, batch_id, ranked)
            _insert(cur, sql.Identifier(outcomes_schema, "stress_replay"), as_of, batch_id, replayed)
    summary = TrackSummary(
        rows=len(estimates) + len(metrics) + len(ranked) + len(replayed),
        seconds=perf_counter() - began,
        episodes=len(episodes),
        contacts=len(contacts),
        excluded=excluded,
    )
    log.info("outcomes as of %s: %s", as_of.isoformat(), summary)
    return summary


def _rank_touchpoints(conn: Connection, as_of: datetime, schema: str) -> list[TouchpointRow]:
    days = read_period_days(conn, as_of)
    complaints = read_complaints(conn, schema, as_of, days)
    exposures = read_exposures(conn, schema, as_of, days)
    return list(touchpoints(complaints, exposures, days, read_min_cell_n(conn, as_of, "touchpoints")))


def _replace(
    cur: Cursor, table: sql.Identifier, as_of: datetime, batch_id: int, rows: Sequence[SurvivalRow | MetricRow]
) -> None:
    # One set of rows for each as_of: a later batch of the same night supersedes the earlier one's.
    cur.execute(sql.SQL("delete from {} where as_of = %s or batch_id = %s").format(table), (as_of, batch_id))
    _insert(cur, table, as_of, batch_id, rows)


def _insert(
    cur: Cursor,
    table: sql.Identifier,
    as_of: datetime,
    batch_id: int,
    rows: Sequence[SurvivalRow | MetricRow | TouchpointRow | StressRow],
) -> None:
    if not rows:
        return
    names = ["as_of", "batch_id", *(field.name for field in fields(rows[0]))]
    insert = sql.SQL("insert into {} ({}) values %s").format(table, sql.SQL(", ").join(map(sql.Identifier, names)))
    execute_values(cur, insert.as_string(cur), [(as_of, batch_id, *astuple(row)) for row in rows], page_size=1000)
