"""Reads index episodes with the instants of their actions, as seconds since the level was first reached."""

import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.frames import NOT_CUT_OFF, NOT_LEFT, read_frame


def _since(instant: str) -> tuple[str, str]:
    return ("float64", f"extract(epoch from {instant} - level_reached_at)::float8")


#: Name, kind and SQL of each column; times are NaN when not known to have happened.
COLUMNS = {
    "level": ("code", "coalesce(level, 'unknown')"),
    "segment": ("code", "coalesce(segment, 'unknown')"),
    "product": ("code", "coalesce(product, 'unknown')"),
    "first_priority": ("code", "first_priority"),
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id), 0)"),
    "decided_s": _since("decided_at"),
    "competing_s": _since("competing_at"),
    "settled_s": _since("settled_at"),
    "followed_s": _since("followed_until"),
    "first_contact_s": _since("first_contact_at"),
    "owner_contact_s": _since("owner_contact_at"),
    "apology_s": _since("apology_at"),
    "promise_s": _since("promise_at"),
    "offer_s": _since("offer_at"),
    "follow_up_s": _since("follow_up_at"),
    "contact_due_s": _since("contact_due_at"),
    "is_in_time": ("bool", "coalesce(is_contacted_in_time, false)"),
}


def read_exposures(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes of subscriptions that could still leave, from `schema`.int_episode_exposures (COLUMNS).

    Left out beside those whom no outcome counts: prepaid subscribers silent at the complaint. They are dated a second
    after it, and no action could come before.
    """
    condition = f"is_index and {NOT_LEFT} and {NOT_CUT_OFF} and not is_silent_at_complaint"
    return read_frame(conn, sql.Identifier(schema, "int_episode_exposures"), "episode_id", COLUMNS, condition)
