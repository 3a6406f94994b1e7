"""What the periods take away from raw, table by table, in transactions of bounded size. All of it may be repeated.

Only what a finished transform has consumed goes, and no version of a key that quarantine may yet let back.
"""

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.erasure.periods import texts_of
from retention.erasure.rejects import blank_where
from retention.sources.contract import Contract, Table, raw_identifier
from retention.text.gone import COLUMNS as SIGNALS

#: Rows of one transaction.
CHUNK_ROWS = 50_000
#: Texts that are read: the table and how the schema signals names its rows.
SIGNALS_OF = {
    "helpdesk.contacts": sql.SQL("doomed.contact_id"),
    "web.public_reviews": sql.SQL("'review:' || doomed.review_id"),
}
#: Keys of which quarantine may show another version than the latest, in some night from the batch on.
QUARANTINED = sql.SQL(
    "exists (select from ops.quarantine as q where q.table_name = {name} and q.key = jsonb_build_object({pairs})"
    " and (q.released_batch_id is null or q.released_batch_id > {batch}))"
)


def horizon_batch(conn: Connection, as_of: object, keep_days: int) -> int | None:
    """The last published night that was over `keep_days` before `as_of`; None when there is none so old."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select max(batch_id) from ops.batches where state = 'published' and as_of = ("
            " select max(as_of) from ops.batches where state = 'published'"
            " and as_of <= %s::timestamptz - make_interval(days => %s))",
            (as_of, keep_days),
        )
        row = cur.fetchone()
    return row[0] if row else None


def compact_versions(conn: Connection, table: Table, batch_id: int) -> int:
    """Remove versions that a later one had replaced by that batch; nights from it on can still be rebuilt."""
    keys = sql.SQL(", ").join(map(sql.Identifier, table.key))
    same = sql.SQL(" and ").join(sql.SQL("n.{0} = r.{0}").format(sql.Identifier(name)) for name in table.key)
    consumed = sql.SQL("(select load_id from ops.load_consumption where batch_id <= {})").format(sql.Literal(batch_id))
    with conn, conn.cursor() as cur:
        cur.execute("drop table if exists doomed")
        cur.execute(
            sql.SQL(
                "create temp table doomed as select {keys}, _load_id, row_number() over () as n from {raw} as r"
                " where _load_id in {consumed} and not {quarantined} and exists ("
                " select from {raw} as n where {same} and n._load_id > r._load_id and n._load_id in {consumed})"
            ).format(
                keys=keys,
                raw=raw_identifier(table.name),
                same=same,
                consumed=consumed,
                quarantined=_quarantined(table, batch_id),
            )
        )
        rows = int(cur.rowcount)
        cur.execute("create index on doomed (n)")
    join = sql.SQL(" and ").join(
        sql.SQL("r.{0} = doomed.{0}").format(sql.Identifier(name)) for name in (*table.key, "_load_id")
    )
    for start in range(0, rows, CHUNK_ROWS):
        chunk = sql.SQL("doomed.n > {} and doomed.n <= {}").format(sql.Literal(start), sql.Literal(start + CHUNK_ROWS))
        with conn, conn.cursor() as cur:
            for signals in SIGNALS if table.name in SIGNALS_OF else ():
                cur.execute(
                    sql.SQL(
                        "delete from {signals} as s using doomed where s.load_id = doomed._load_id"
                        " and s.contact_id = {contact} and {chunk}"
                    ).format(signals=sql.Identifier("signals", signals), contact=SIGNALS_OF[table.name], chunk=chunk)
                )
            cur.execute(
                sql.SQL("delete from {raw} as r using doomed where {join} and {chunk}").format(
                    raw=raw_identifier(table.name), join=join, chunk=chunk
                )
            )
    return rows


def forget_texts(conn: Connection, table: Table, as_of: object, keep_days: int) -> int:
    """Blank the texts of what happened longer ago, in raw and staging. What was found in them stays."""
    rows = 0
    for target, is_raw in ((raw_identifier(table.name), True), *((staged, False) for staged in _staged(table))):
        while (changed := _forget_some(conn, table, target, as_of, keep_days, is_raw)) > 0:
            rows += changed if is_raw else 0
    return rows


def forget_again(cur: Cursor, table: Table, rows: sql.Identifier, is_of_load: sql.Composable) -> None:
    """Blank texts that upkeep has taken away, where a load tells them again; `is_of_load` picks its rows.

    Else a table that is read whole would bring them back as changed.
    """
    texts = texts_of(table)
    if table.event_at is None or not texts:
        return
    cur.execute("select max(forgotten_before) from ops.upkeep where table_name = %s", (table.name,))
    (before,) = cur.fetchone() or (None,)
    if before is None:
        return
    cur.execute(
        sql.SQL("update {rows} set {sets} where {is_of_load} and {at} < %s and num_nonnulls({columns}) > 0").format(
            rows=rows,
            sets=sql.SQL(", ").join(sql.SQL("{} = null").format(sql.Identifier(name)) for name in texts),
            is_of_load=is_of_load,
            at=sql.Identifier(table.event_at),
            columns=sql.SQL(", ").join(map(sql.Identifier, texts)),
        ),
        (before,),
    )


def _forget_some(
    conn: Connection, table: Table, target: sql.Identifier, as_of: object, keep_days: int, is_raw: bool
) -> int:
    texts = texts_of(table)
    columns = sql.SQL(", ").join(map(sql.Identifier, texts))
    sets = sql.SQL(", ").join(sql.SQL("{} = null").format(sql.Identifier(name)) for name in texts)
    with conn, conn.cursor() as cur:
        if not is_raw:
            cur.execute("select to_regclass(%s) is null", (target.as_string(cur),))
            if cur.fetchone() == (True,):
                return 0
        cur.execute(
            sql.SQL(
                "update {target} set {sets} where ctid in (select ctid from {target}"
                " where {at} < %s::timestamptz - make_interval(days => %s) and num_nonnulls({columns}) > 0"
                " and _load_id in (select load_id from ops.load_consumption) limit {chunk})"
            ).format(
                target=target, sets=sets, columns=columns, at=sql.Identifier(table.event_at or ""),
                chunk=sql.Literal(CHUNK_ROWS),
            ),
            (as_of, keep_days),
        )  # fmt: skip
        return int(cur.rowcount)


def forget_rejects(conn: Connection, contract: Contract, as_of: object, keep_days: int) -> int:
    """Take the text from rejects of nights longer ago."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select coalesce(array_agg(load_id), '{}') from ops.loads inner join ops.batches using (batch_id)"
            " where as_of < %s::timestamptz - make_interval(days => %s) and rows_rejected > 0",
            (as_of, keep_days),
        )
        (loads,) = cur.fetchone() or ([],)
        return blank_where(cur, contract, sql.SQL("load_id = any({}::bigint[])").format(sql.Literal(loads)))


def drop_rows(conn: Connection, table: Table, as_of: object, keep_days: int) -> int:
    """Remove rows of which every version happened longer ago, from raw and staging; returns raw's.

    What intermediate made of them is computed again, whole, the next night.
    """
    key, at = sql.Identifier(table.key[0]), sql.Identifier(table.event_at or "")
    parts = {
        "raw": raw_identifier(table.name), "key": key, "at": at, "quarantined": _quarantined(table, 0),
        "chunk": sql.Literal(CHUNK_ROWS),
    }  # fmt: skip
    rows = 0
    while True:
        with conn, conn.cursor() as cur:
            cur.execute("drop table if exists expired")
            cur.execute(
                sql.SQL(
                    "create temp table expired on commit drop as select r.{key} from {raw} as r group by r.{key}"
                    " having max(r.{at}) < %s::timestamptz - make_interval(days => %s)"
                    " and bool_and(r._load_id in (select load_id from ops.load_consumption))"
                    " and not {quarantined} limit {chunk}"
                ).format(**parts),
                (as_of, keep_days),
            )
            if not cur.rowcount:
                return rows
            cur.execute(sql.SQL("delete from {raw} where {key} in (select {key} from expired)").format(**parts))
            rows += int(cur.rowcount)
            for staged in _staged(table):
                cur.execute("select to_regclass(%s) is not null", (staged.as_string(cur),))
                if cur.fetchone() == (True,):
                    gone = sql.SQL("delete from {staged} where {key} in (select {key} from expired)")
                    cur.execute(gone.format(staged=staged, **parts))
            cur.execute(r"delete from ops.applied_hashes where name like 'int\_%'")


def _staged(table: Table) -> list[sql.Identifier]:
    """The table's staging: a night's and the ten-minute run's."""
    name = f"stg_{table.name.replace('.', '__')}"
    return [sql.Identifier("staging", name), sql.Identifier("live_staging", name)]


def _quarantined(table: Table, batch_id: int) -> sql.Composed:
    pairs = sql.SQL(", ").join(
        sql.SQL("{}, {}").format(sql.Literal(name), sql.Identifier("r", name)) for name in table.key
    )
    return QUARANTINED.format(name=sql.Literal(table.name), pairs=pairs, batch=sql.Literal(batch_id))


def first_rebuildable(conn: Connection) -> int:
    """The first batch whose rows raw still has whole; 0 when nothing was taken away."""
    with conn, conn.cursor() as cur:
        cur.execute("select coalesce(max(kept_from_batch_id), 0) from ops.upkeep")
        (batch_id,) = cur.fetchone() or (0,)
    return int(batch_id)
