"""Reads complaint episodes and repeat contacts from the intermediate schema as numeric frames.

Only what the estimates need is read, through a server-side cursor: 100 bytes an episode, no text and no identifier
(parties and subscriptions come as 64-bit hashes, enough to tell them apart).
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

CHUNK_ROWS = 20_000

#: Name, kind and SQL of each column. Times ending in _s are seconds since the level was first reached, NaN when not
#: known to have happened; `return_s` is seconds since the churn and `started_s` the epoch.
EPISODE_COLUMNS = {
    "level": ("code", "coalesce(level, 'unknown')"),
    "segment": ("code", "coalesce(segment, 'unknown')"),
    "party": ("int64", "hashtextextended(coalesce(party_id, subscription_id), 0)"),
    "subscription": ("int64", "hashtextextended(subscription_id, 0)"),
    "started_s": ("float64", "extract(epoch from level_reached_at)::float8"),
    "churn_s": ("float64", "extract(epoch from churned_at - level_reached_at)::float8"),
    "is_order_churn": ("bool", "coalesce(churn_kind in ('disconnect', 'port_out'), false)"),
    "competing_s": ("float64", "extract(epoch from competing_at - level_reached_at)::float8"),
    "return_s": ("float64", "extract(epoch from returned_at - churned_at)::float8"),
    "has_return_revenue": ("bool", "coalesce(returned_revenue_30d, false)"),
    "followed_order_s": ("float64", "extract(epoch from knowable_until_order - level_reached_at)::float8"),
    "followed_any_s": ("float64", "extract(epoch from knowable_until_any - level_reached_at)::float8"),
    "is_own_words_3b": ("bool", "coalesce(is_own_words_3b, false)"),
    "is_silent_30d": ("bool", "coalesce(is_silent_30d, false)"),
    "is_silent_at_complaint": ("bool", "coalesce(is_silent_at_complaint, false)"),
    "followed_usage_s": (
        "float64",
        "coalesce(extract(epoch from knowable_until_usage - level_reached_at)::float8, '-Infinity')",
    ),
    "topic": ("code", "coalesce(topic, 'unknown')"),
    "region": ("code", "coalesce(region_id, 'unknown')"),
    "product": ("code", "coalesce(product, 'unknown')"),
    "team": ("code", "coalesce(first_team_id, 'unknown')"),
    "vendor": ("code", "coalesce(first_vendor_id, sourcing)"),
    "sourcing": ("code", "sourcing"),
    "month": ("code", "to_char(started_at at time zone 'Europe/Moscow', 'YYYY-MM')"),
}
#: Read from int_repeat_contacts as contacts, beside the episode each belongs to.
CONTACT_COLUMNS = {
    "level": ("code", "coalesce(contacts.level, 'unknown')"),
    "segment": ("code", "coalesce(contacts.segment, 'unknown')"),
    "party": ("int64", "hashtextextended(coalesce(contacts.party_id, contacts.subscription_id), 0)"),
    "has_repeat_7d": ("bool", "coalesce(has_repeat_7d, false)"),
    "has_repeat_30d": ("bool", "coalesce(has_repeat_30d, false)"),
    "is_window_7d_elapsed": ("bool", "coalesce(is_window_7d_elapsed, false)"),
    "is_window_30d_elapsed": ("bool", "coalesce(is_window_30d_elapsed, false)"),
    "is_first_contact": ("bool", "coalesce(is_first_contact, false)"),
    "topic": ("code", "coalesce(contacts.topic, 'unknown')"),
    "region": ("code", "coalesce(episodes.region_id, 'unknown')"),
    "product": ("code", "coalesce(episodes.product, 'unknown')"),
    "team": ("code", "coalesce(episodes.first_team_id, 'unknown')"),
    "vendor": ("code", "coalesce(episodes.first_vendor_id, episodes.sourcing, 'unknown')"),
    "sourcing": ("code", "coalesce(episodes.sourcing, 'unknown')"),
    "month": ("code", "to_char(contacts.started_at at time zone 'Europe/Moscow', 'YYYY-MM')"),
}

#: Who left before complaining is in volumes, not in outcomes; whom the operator had already cut off cannot leave.
NOT_LEFT = "not is_left_before"
NOT_CUT_OFF = "(competing_at is null or competing_at >= level_reached_at)"


@dataclass(frozen=True)
class Excluded:
    """Index episodes that are no outcomes, by reason."""

    left_before: int
    cut_off_before: int


def read_episodes(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes with an outcome to come, from `schema`.int_episode_outcomes, one row each (EPISODE_COLUMNS).

    Raises ValueError when an episode does not say until when its outcome could be known, or is linked to a churn before
    it: any estimate would then be wrong. Nothing was written.
    """
    frame = read_frame(
        conn,
        sql.Identifier(schema, "int_episode_outcomes"),
        "episode_id",
        EPISODE_COLUMNS,
        f"is_index and {NOT_LEFT} and {NOT_CUT_OFF}",
    )
    unlimited = frame[["started_s", "followed_order_s", "followed_any_s"]].isna().any(axis=1)
    backwards = frame["churn_s"] < 0
    reasons = {"lack level_reached_at or knowable_until_*": unlimited, "churned before they started": backwards}
    for what, flags in reasons.items():
        if flags.any():
            raise ValueError(
                f"{schema}.int_episode_outcomes: {int(flags.sum())} of {len(frame)} index episodes {what}. "
                "No outcome was written; see the model's tests."
            )
    return frame


def read_contacts(conn: Connection, schema: str) -> pd.DataFrame:
    """Customer-initiated complaint contacts, from `schema`.int_repeat_contacts, one row each (CONTACT_COLUMNS)."""
    source = sql.SQL("{} as contacts left join {} as episodes on contacts.episode_id = episodes.episode_id").format(
        sql.Identifier(schema, "int_repeat_contacts"), sql.Identifier(schema, "int_episode_outcomes")
    )
    return read_frame(conn, source, "contact_id", CONTACT_COLUMNS, "true")


def count_excluded(conn: Connection, schema: str) -> Excluded:
    """How many index episodes `read_episodes` leaves out, each counted under the first reason that holds."""
    query = sql.SQL(
        f"select count(*) filter (where not ({NOT_LEFT})), count(*) filter (where {NOT_LEFT} and not {NOT_CUT_OFF}) "  # noqa: S608 - constants of this module
        "from {} where is_index"
    )
    with conn.cursor() as cur:
        cur.execute(query.format(sql.Identifier(schema, "int_episode_outcomes")))
        row = cur.fetchone()
    assert row is not None, "an aggregate has one row"
    return Excluded(*row)


def read_min_cell_n(conn: Connection, as_of: datetime, output: str) -> int:
    """The least n that may be published of `output` on the (Moscow) day of `as_of`, from the seed small_cells.

    Raises ValueError unless exactly one row of the seed is valid then.
    """
    with conn.cursor() as cur:
        cur.execute(
            "select min_cell_n from seeds.small_cells "
            "cross join (select (%s at time zone 'Europe/Moscow')::date) as day (on_day) "
            "where output = %s and valid_from <= on_day and (valid_to is null or on_day < valid_to)",
            (as_of, output),
        )
        found = [int(n) for (n,) in cur.fetchall()]
    if len(found) != 1:
        raise ValueError(
            f"seeds.small_cells: {len(found)} rows for output {output} are valid as of {as_of.isoformat()}, "
            "expected 1. No outcome was written; correct dbt_project/seeds/small_cells.csv."
        )
    return found[0]


def read_frame(
    conn: Connection, source: sql.Composable, key: str, columns: dict[str, tuple[str, str]], condition: str
) -> pd.DataFrame:
    """The rows of `source` that meet `condition`, by a server-side cursor, a numeric column each.

    columns: name -> (kind, SQL); of kind `code` a word comes as a categorical of 16 bits, else kind is a numpy type.
    """
    # In order of the key: sums of floats depend on order in the last digit, and a rebuild must equal the original.
    query = sql.SQL('select {} from {} where {} order by {} collate "C"').format(
        sql.SQL(", ".join(expression for _, expression in columns.values())),
        source,
        sql.SQL(condition),
        sql.Identifier(key),
    )
    codes: dict[str, dict[str, int]] = {name: {} for name, (kind, _) in columns.items() if kind == "code"}
    # The empty first chunk gives each column its type when there are no rows at all.
    chunks = {name: [np.empty(0, "int16" if kind == "code" else kind)] for name, (kind, _) in columns.items()}
    with conn.cursor(name=f"read_by_{key}") as cur:
        cur.itersize = CHUNK_ROWS
        cur.execute(query)
        while rows := cur.fetchmany(CHUNK_ROWS):
            for (name, (kind, _)), values in zip(columns.items(), zip(*rows, strict=True), strict=True):
                if kind == "code":
                    seen = codes[name]
                    chunks[name].append(np.array([seen.setdefault(value, len(seen)) for value in values], "int16"))
                else:
                    chunks[name].append(np.array(values, kind))
    data: dict[str, np.ndarray | pd.Categorical[str]] = {}
    for name in columns:
        whole = np.concatenate(chunks.pop(name))
        if name in codes:
            data[name] = pd.Categorical.from_codes(
                whole.astype(np.int16), categories=pd.Index(list(codes[name]), dtype=str)
            )
        else:
            data[name] = whole
    return pd.DataFrame(data)
