"""Reads the cases that partners, teams and agents are compared by, and compares them."""

from datetime import datetime

import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.firefighters import FirefighterRow, rank_firefighters
from retention.outcomes.frames import read_frame, read_min_cell_n
from retention.outcomes.partners import PartnerRow, compare_partners

#: Name, kind and SQL of each column. Times in _s are seconds since the level was reached, NaN when not known to have
#: happened. `partner` is the vendor or in_house. `stratum` is what decides who gets a case, as known at its
#: begin: what handling made of it later, a repeat or a threat, is not taken out of the comparison.
CASE_COLUMNS = {
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id), 0)"),
    "period": ("code", "to_char(period_on, 'YYYY-\"Q\"Q')"),
    "stratum": (
        "code",
        "concat_ws('|', first_level, coalesce(segment, 'unknown'), coalesce(product, 'unknown'), first_priority)",
    ),
    "sourcing": ("code", "sourcing"),
    "partner": ("code", "coalesce(first_vendor_id, sourcing)"),
    "team": ("code", "first_team_id"),
    "agent": ("code", "coalesce(first_agent_id, 'unknown')"),
    "is_risk": ("bool", "level <> 'L1'"),
    "is_night": ("bool", "coalesce(is_night, false)"),
    "churn_s": ("float64", "extract(epoch from churned_at - level_reached_at)::float8"),
    "competing_s": ("float64", "extract(epoch from competing_at - level_reached_at)::float8"),
    "followed_s": ("float64", "extract(epoch from knowable_until_any - level_reached_at)::float8"),
    "cost_rub": ("float64", "cost_180d_rub::float8"),
}


def read_cases(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes that somebody was assigned, from `schema`.int_cases_assigned, one row each (CASE_COLUMNS).

    What nobody had is nobody's to answer for; as a unit of its own, a handful would hide a partner as its complement.
    """
    cases = sql.Identifier(schema, "int_cases_assigned")
    return read_frame(conn, cases, "episode_id", CASE_COLUMNS, "sourcing <> 'unknown'")


def compare_units(conn: Connection, schema: str, as_of: datetime) -> tuple[list[PartnerRow], list[FirefighterRow]]:
    """Rows of outcomes.partners and outcomes.firefighters. Raises ValueError without the seed's least n of either."""
    cases = read_cases(conn, schema)
    partners = compare_partners(cases, read_min_cell_n(conn, as_of, "partners"))
    return list(partners), list(rank_firefighters(cases, read_min_cell_n(conn, as_of, "firefighters")))
