"""Closed but lost: of the cases that were resolved, how many subscribers left of their own will within 90 days?

The level, team and vendor are those at the closing, not those of the outcome: an order to leave that follows the
closing raises the level, and would make the share of that level a tautology. Association only: whoever closes the
hard cases loses more of them.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.cells import NO_BREAKDOWN, split, split_by, suppressed_units
from retention.outcomes.frames import read_frame
from retention.outcomes.metrics import MetricRow, shares

METRICS = ("closed_but_lost",)
WITHIN_DAYS = 90
BREAKDOWNS = ("team", "vendor", "sourcing")
#: Kind and SQL of each column of the frame (frames.read_frame).
CLOSING_COLUMNS = {
    "level": ("code", "coalesce(level, 'unknown')"),
    "segment": ("code", "coalesce(segment, 'unknown')"),
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id), 0)"),
    "team": ("code", "coalesce(team_id, 'unknown')"),
    "vendor": ("code", "coalesce(vendor_id, sourcing)"),
    "sourcing": ("code", "sourcing"),
    "is_lost": ("bool", "is_lost"),
    "is_mature": ("bool", "is_mature"),
}


def read_closings(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes that were resolved, from `schema`.int_episode_closings, one row each (CLOSING_COLUMNS)."""
    return read_frame(conn, sql.Identifier(schema, "int_episode_closings"), "episode_id", CLOSING_COLUMNS, "is_index")


def closing_metrics(closings: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Share lost of the closings whose 90 days are known, by level x segment and by BREAKDOWNS.

    closings: CLOSING_COLUMNS. min_cell_n: cells with fewer rows are suppressed together with their complements.
    """
    tables = {NO_BREAKDOWN: split(closings["level"], closings["segment"])}
    tables |= {breakdown: split_by(closings[breakdown]) for breakdown in BREAKDOWNS}
    is_lost, is_mature = (closings[name].to_numpy(dtype=np.bool_) for name in ("is_lost", "is_mature"))
    party = closings["party"].to_numpy()
    hidden = suppressed_units(closings, is_mature, min_cell_n)
    flags = (is_lost, is_mature, is_mature, party, min_cell_n)
    for breakdown, cells in tables.items():
        yield from shares(METRICS[0], WITHIN_DAYS, cells, *flags, breakdown, hidden.get(breakdown))
