"""Outcome tracking: from complaint episodes and contacts to the schema `outcomes`, in one transaction."""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from importlib.resources import files
from time import perf_counter
from typing import TYPE_CHECKING

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from retention.outcomes.audit_inputs import audit_metrics, read_principles
from retention.outcomes.closings import closing_metrics, read_closings
from retention.outcomes.counterfactual import not_estimated
from retention.outcomes.curves import survival_curves
from retention.outcomes.estimates import estimate_survival
from retention.outcomes.exposure import measure_exposures
from retention.outcomes.exposure_inputs import read_exposures as read_action_exposures
from retention.outcomes.frames import Excluded, count_excluded, read_contacts, read_episodes, read_min_cell_n
from retention.outcomes.metrics import measure
from retention.outcomes.partner_inputs import compare_units
from retention.outcomes.principles import principles
from retention.outcomes.replay import replay
from retention.outcomes.replay_inputs import read_observed, read_scenarios
from retention.outcomes.restated import keep_told
from retention.outcomes.review_findings import FindingRow, findings, read_codes, read_judgements
from retention.outcomes.review_sampling import draw_reviews
from retention.outcomes.silence import silence_metrics
from retention.outcomes.standardised import standardised_metrics
from retention.outcomes.survey_inputs import read_max_gap, read_occasions, read_surveys
from retention.outcomes.surveys import gap_metrics, invitation_gaps, survey_metrics
from retention.outcomes.touchpoint_inputs import (
    read_complaints,
    read_departures,
    read_exposures,
    read_periods,
    read_revenue,
)
from retention.outcomes.touchpoint_outcomes import TouchpointOutcomeRow, touchpoint_outcomes
from retention.outcomes.touchpoints import TouchpointRow, touchpoints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

#: Tables that keep what published nights wrote; of the others only the latest run is shown.
HISTORY = frozenset({"survival_estimates", "retention_metrics"})
#: Rows by the table that they are written to.
Tables = dict[str, Sequence["DataclassInstance"]]


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
        found, episodes, contacts = _measure(conn, as_of, intermediate_schema)
        excluded = count_excluded(conn, intermediate_schema)
        with conn.cursor() as cur:
            ddl = files("retention.outcomes").joinpath("ddl.sql").read_text(encoding="utf-8")
            cur.execute(sql.SQL(ddl).format(outcomes=sql.Identifier(outcomes_schema)))
            for table, rows in found.items():
                _replace(cur, sql.Identifier(outcomes_schema, table), as_of, batch_id, rows, table in HISTORY)
            keep_told(cur, outcomes_schema)
            reviewed = draw_reviews(cur, as_of, batch_id, intermediate_schema, outcomes_schema)
            judged = _read_reviews(cur, as_of, outcomes_schema)
            _replace(cur, sql.Identifier(outcomes_schema, "case_review_findings"), as_of, batch_id, judged, False)
    summary = TrackSummary(
        rows=sum(map(len, found.values())) + len(judged) + reviewed,
        seconds=perf_counter() - began,
        episodes=episodes,
        contacts=contacts,
        excluded=excluded,
    )
    log.info("outcomes as of %s: %s", as_of.isoformat(), summary)
    return summary


def _measure(conn: Connection, as_of: datetime, schema: str) -> tuple[Tables, int, int]:
    """Rows of every table that is computed from `schema`, and how many episodes and contacts they rest on."""
    min_cell_n = read_min_cell_n(conn, as_of, "retention_metrics")
    found: Tables = {}
    episodes, contacts = read_episodes(conn, schema), read_contacts(conn, schema)
    counts = len(episodes), len(contacts)
    found["survival_estimates"] = estimates = list(estimate_survival(episodes, min_cell_n))
    found["survival_curves"] = list(survival_curves(episodes, min_cell_n))
    metrics = [*measure(episodes, contacts, estimates, min_cell_n), *silence_metrics(episodes, min_cell_n)]
    # A frame is a hundred megabytes at a million subscribers.
    del episodes
    surveys, occasions = read_surveys(conn, schema), read_occasions(conn, schema, as_of)
    found["survey_gaps"] = gaps = list(invitation_gaps(occasions, read_max_gap(conn, as_of), min_cell_n))
    metrics += [*survey_metrics(surveys, occasions, min_cell_n), *gap_metrics(gaps)]
    metrics += standardised_metrics(contacts, surveys, min_cell_n)
    del contacts, surveys, occasions
    metrics += closing_metrics(read_closings(conn, schema), min_cell_n)
    metrics += audit_metrics(conn, schema, min_cell_n)
    found["retention_metrics"] = [*metrics, *not_estimated()]
    found["service_principles"] = list(principles(read_principles(conn, schema, as_of), min_cell_n))
    found["touchpoints"], found["touchpoint_outcomes"] = _rank_touchpoints(conn, as_of, schema)
    found["action_exposure"] = list(measure_exposures(read_action_exposures(conn, schema), min_cell_n))
    found["partners"], found["firefighters"] = compare_units(conn, schema, as_of)
    found["stress_replay"] = list(replay(read_observed(conn, schema, as_of), read_scenarios(conn, as_of)))
    return found, *counts


def _rank_touchpoints(
    conn: Connection, as_of: datetime, schema: str
) -> tuple[list[TouchpointRow], list[TouchpointOutcomeRow]]:
    periods = read_periods(conn, as_of)
    days = periods.complaint_days
    complaints = read_complaints(conn, schema, as_of, days)
    exposures = read_exposures(conn, schema, as_of, days)
    min_cell_n = read_min_cell_n(conn, as_of, "touchpoints")
    ranked = list(touchpoints(complaints, exposures, days, min_cell_n))
    keys = [(row.topic, row.channel, row.stage, row.region_id) for row in ranked]
    departures = read_departures(conn, schema, as_of, periods.outcome_days)
    revenue = read_revenue(conn, schema, as_of, days)
    return ranked, list(touchpoint_outcomes(keys, departures, revenue, min_cell_n))


def _read_reviews(cur: Cursor, as_of: datetime, schema: str) -> list[FindingRow]:
    judgements, strays = read_judgements(cur, as_of, schema)
    min_cell_n = read_min_cell_n(cur.connection, as_of, "retention_metrics")
    return list(findings(judgements, read_codes(cur), strays, min_cell_n))


def _replace(
    cur: Cursor,
    table: sql.Identifier,
    as_of: datetime,
    batch_id: int,
    rows: Sequence["DataclassInstance"],
    is_history: bool,
) -> None:
    """Write a table's rows: with a history, in place of those of this as_of or batch; else in place of all."""
    # One set of rows for each as_of: a later batch of the same night supersedes the earlier one's.
    if is_history:
        cur.execute(sql.SQL("delete from {} where as_of = %s or batch_id = %s").format(table), (as_of, batch_id))
    else:
        cur.execute(sql.SQL("delete from {}").format(table))
    if not rows:
        return
    names = ["as_of", "batch_id", *(field.name for field in fields(rows[0]))]
    insert = sql.SQL("insert into {} ({}) values %s").format(table, sql.SQL(", ").join(map(sql.Identifier, names)))
    execute_values(cur, insert.as_string(cur), [(as_of, batch_id, *astuple(row)) for row in rows], page_size=1000)
