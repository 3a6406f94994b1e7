"""Keeps what published nights told of restated figures: the mart compares only tonight with the night before."""

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

#: Columns of the table, and of the mart that it is filled from.
COLUMNS = (
    "as_of", "previous_as_of", "metric", "month", "horizon_days", "n_before", "n_after", "numerator_before",
    "numerator_after", "denominator_before", "denominator_after", "value_before", "value_after", "refusal_before",
    "refusal_after", "reason", "is_suppression", "is_rule_version", "is_code", "is_late_data", "has_gone_on",
    "is_merge", "is_deletion", "is_quarantine", "is_erasure",
)  # fmt: skip


def keep_told(cur: Cursor, schema: str) -> int:
    """Append what BI reads now to `schema`.restatements_told, without nights that were withdrawn; returns the new rows.

    The mart that BI reads holds all that was told until then, so an empty table (a rebuild's) is filled from it. What
    was told is never changed: a second call adds nothing. `cur` is the role etl's.
    """
    cur.execute("select to_regclass('marts.restatements') is not null")
    if cur.fetchone() != (True,):
        return 0
    published = sql.SQL("(select as_of from ops.batches where kind = 'nightly' and state = 'published')")
    table = sql.Identifier(schema, "restatements_told")
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    cur.execute(sql.SQL("delete from {} where as_of not in {}").format(table, published))
    cur.execute(
        sql.SQL(
            "insert into {} ({columns}) select {columns} from marts.restatements where as_of in {}"
            " on conflict (as_of, metric, month, horizon_days) do nothing"
        ).format(table, published, columns=columns)
    )
    return int(cur.rowcount)
