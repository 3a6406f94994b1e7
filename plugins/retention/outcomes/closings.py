"""Closed but lost: of the cases that were resolved, how many subscribers left of their own will within 90 days?

The level, team and vendor are those at the closing, not those of the outcome: an order to leave that follows the
closing raises the level, and would make the share of that level a tautology. Association only: whoever closes the
hard cases loses more of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.cells import NO_BREAKDOWN, split, split_by
from retention.outcomes.metrics import MetricRow, shares

METRICS = ("closed_but_lost",)
WITHIN_DAYS = 90
BREAKDOWNS = ("team", "vendor", "sourcing")
#: Type and SQL of each column of the frame.
CLOSING_COLUMNS = {
    "level": ("category", "level"),
    "segment": ("category", "coalesce(segment, 'unknown')"),
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id), 0)"),
    "team": ("category", "coalesce(team_id, 'unknown')"),
    "vendor": ("category", "coalesce(vendor_id, sourcing)"),
    "sourcing": ("category", "sourcing"),
    "is_lost": ("bool", "is_lost"),
    "is_mature": ("bool", "is_mature"),
}


def read_closings(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes that were resolved, from `schema`.int_episode_closings, one row each (CLOSING_COLUMNS)."""
    query = sql.SQL('select {} from {} where is_index order by episode_id collate "C"').format(
        sql.SQL(", ".join(expression for _, expression in CLOSING_COLUMNS.values())),
        sql.Identifier(schema, "int_episode_closings"),
    )
    # A list for each column, not a tuple for each row: a fifth of the memory at a million rows.
    columns: dict[str, list[Any]] = {name: [] for name in CLOSING_COLUMNS}
    with conn.cursor(name="read_closings") as cur:
        cur.itersize = 20_000
        cur.execute(query)
        for row in cur:
            for values, value in zip(columns.values(), row, strict=True):
                values.append(value)
    kinds = {name: kind for name, (kind, _) in CLOSING_COLUMNS.items()}
    return pd.DataFrame({name: pd.Series(values, dtype=kinds[name]) for name, values in columns.items()})


def closing_metrics(closings: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Share lost of the closings whose 90 days are known, by level x segment and by BREAKDOWNS.

    closings: CLOSING_COLUMNS. min_cell_n: cells with fewer rows are suppressed together with their complements.
    """
    tables = {NO_BREAKDOWN: split(closings["level"], closings["segment"])}
    tables |= {breakdown: split_by(closings[breakdown]) for breakdown in BREAKDOWNS}
    is_lost, is_mature = (closings[name].to_numpy(dtype=np.bool_) for name in ("is_lost", "is_mature"))
    party = closings["party"].to_numpy()
    for breakdown, cells in tables.items():
        yield from shares(METRICS[0], WITHIN_DAYS, cells, is_lost, is_mature, is_mature, party, min_cell_n, breakdown)
