"""What a load means in raw: which rows are new versions, which keys are gone, which rows cannot be kept.

All work is done by the warehouse; the connection's transaction is the load's, and `retention.load_id` is set in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from psycopg2 import sql
from psycopg2.errors import UniqueViolation
from psycopg2.extensions import cursor as Cursor

from retention.extract import volume
from retention.sources.contract import Table, loads_index, raw_identifier, versions_index

INCOMING = sql.Identifier("incoming")
SOURCE_KEYS = sql.Identifier("source_keys")


@dataclass(frozen=True)
class Appended:
    """New versions by reason. `new` and `back` (seen before, then deleted) are keys that become live."""

    new: int
    back: int
    changed: int


def _list(names: Sequence[str], prefix: str = "") -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(name) for name in names)


def _join(names: Sequence[str], left: str, right: str) -> sql.Composed:
    pair = sql.SQL(f"{left}.{{0}} = {right}.{{0}}")
    return sql.SQL(" and ").join(pair.format(sql.Identifier(name)) for name in names)


def is_empty(cur: Cursor, table: Table) -> bool:
    """Whether raw has nothing of the table."""
    cur.execute(sql.SQL("select not exists (select from {})").format(raw_identifier(table.name)))
    (answer,) = cur.fetchone() or (False,)
    return bool(answer)


def create_staging(cur: Cursor, table: Table) -> None:
    """An empty temporary table `incoming` with the contract's columns."""
    query = sql.SQL("create temp table {} on commit drop as select {} from {} with no data")
    cur.execute(query.format(INCOMING, _list(list(table.columns)), raw_identifier(table.name)))


def latest_written(cur: Cursor, table: Table) -> datetime | None:
    """The greatest cursor in `incoming`; None without rows."""
    cur.execute(sql.SQL("select max({}) from {}").format(sql.Identifier(table.cursor or ""), INCOMING))
    row = cur.fetchone()
    return row[0] if row else None


def create_key_staging(cur: Cursor, table: Table) -> None:
    """An empty temporary table `source_keys` with the key columns."""
    query = sql.SQL("create temp table {} on commit drop as select {} from {} with no data")
    cur.execute(query.format(SOURCE_KEYS, _list(table.key), raw_identifier(table.name)))


def reject_keys(cur: Cursor, table: Table, rows: sql.Identifier, load_id: int) -> int:
    """Move rows whose key is NULL or was there before (the first stays) from `rows` to the rejects; return how many."""
    null_key = sql.SQL(" or ").join(sql.Identifier(name) + sql.SQL(" is null") for name in table.key)
    keys = _list(table.key)
    cur.execute(
        sql.SQL(
            "select exists (select from {rows} where {null_key})"
            " or exists (select from {rows} group by {keys} having count(*) > 1)"
        ).format(rows=rows, null_key=null_key, keys=keys)
    )
    (is_found,) = cur.fetchone() or (False,)
    if not is_found:
        return 0
    cur.execute(
        sql.SQL(
            "with numbered as ("
            " select ctid as place, ({null_key}) as is_null,"
            " row_number() over (partition by {keys} order by ctid) as nth from {rows}),"
            " moved as (delete from {rows} as r using numbered"
            " where r.ctid = numbered.place and (is_null or nth > 1) returning is_null, to_jsonb(r)::text as row_text)"
            " insert into raw.rejects (load_id, table_name, reason, row_text)"
            " select %s, %s, case when is_null then %s else %s end, row_text from moved"
        ).format(null_key=null_key, keys=keys, rows=rows),
        (load_id, table.name, f"key {', '.join(table.key)} is NULL", f"key {', '.join(table.key)} is not unique"),
    )
    return int(cur.rowcount)


def keep_rejects(cur: Cursor, table: Table, load_id: int, rejects: IO[bytes]) -> None:
    """Put rows that a reader could not give a warehouse's form (COPY text: reason, row text) into the rejects."""
    cur.execute("create temp table unfit (reason text, row_text text) on commit drop")
    cur.copy_expert("copy unfit from stdin", rejects)
    cur.execute(
        "insert into raw.rejects (load_id, table_name, reason, row_text) select %s, %s, reason, row_text from unfit",
        (load_id, table.name),
    )


def has_unfit_rows(cur: Cursor, table: Table) -> bool:
    """Whether a row of the table is an open reject for what a column holds."""
    cur.execute(
        "select exists (select from raw.rejects"
        " where table_name = %s and replayed_load_id is null and reason ~ '^column ')",
        (table.name,),
    )
    (answer,) = cur.fetchone() or (False,)
    return bool(answer)


def count_unfit_keys(cur: Cursor, table: Table) -> int:
    """Keys in `source_keys` that have no live version and were rejected for what a column holds."""
    in_reject = sql.SQL("unfit.row ->> {0} = {1}::text")
    same_reject = sql.SQL(" and ").join(
        in_reject.format(sql.Literal(name), sql.Identifier("s", name)) for name in table.key
    )
    cur.execute(
        sql.SQL(
            "with unfit as materialized ("
            " select case when pg_input_is_valid(row_text, 'jsonb') then row_text::jsonb end as row"
            " from raw.rejects where table_name = {name} and replayed_load_id is null and reason ~ '^column ')"
            " select count(*) from (select distinct {key} from {keys}) as s"
            " where exists (select from unfit where {same_reject})"
            " and 'u' is distinct from"
            " (select r._op from {raw} as r where {same_key} order by r._load_id desc limit 1)"
        ).format(
            name=sql.Literal(table.name),
            key=_list(table.key),
            keys=SOURCE_KEYS,
            same_reject=same_reject,
            raw=raw_identifier(table.name),
            same_key=_join(table.key, "r", "s"),
        )
    )
    (count,) = cur.fetchone() or (0,)
    return int(count)


def drop_index(cur: Cursor, table: Table) -> None:
    """Drop the indexes for a first load; they are built faster, and that of loads better, over the loaded rows."""
    for suffix in ("_versions", "_loads"):
        cur.execute(sql.SQL("drop index if exists raw.{}").format(sql.Identifier(table.raw.split(".")[1] + suffix)))


def create_index(cur: Cursor, table: Table, load_id: int) -> int:
    """Build the indexes over a first load; bad keys go to the rejects and are counted.

    The unique index is also the cheapest check that keys are unique: only when it fails are repeated ones looked for.
    """
    target = raw_identifier(table.name)
    null_key = sql.SQL(" or ").join(sql.Identifier(name) + sql.SQL(" is null") for name in table.key)
    cur.execute(sql.SQL("select exists (select from {} where {})").format(target, null_key))
    (has_null_key,) = cur.fetchone() or (False,)
    rejected = reject_keys(cur, table, target, load_id) if has_null_key else 0
    cur.execute("savepoint before_index")
    try:
        cur.execute(versions_index(table))
    except UniqueViolation:
        cur.execute("rollback to savepoint before_index")
        rejected += reject_keys(cur, table, target, load_id)
        cur.execute(versions_index(table))
    cur.execute(loads_index(table))
    cur.execute(sql.SQL("analyze {}").format(target))
    return rejected


def append_changed(cur: Cursor, table: Table) -> Appended:
    """Append the rows of `incoming` that raw does not have as its latest live version; equal rows are left out."""
    cur.execute(sql.SQL("analyze {}").format(INCOMING))
    columns = list(table.columns)
    cur.execute(
        sql.SQL(
            "with judged as materialized ("
            " select i.*, case when latest._load_id is null then 'new'"
            " when latest._op = 'd' then 'back' else 'changed' end as change from {incoming} as i"
            " left join lateral (select * from {raw} as r where {same_key} order by r._load_id desc limit 1) as latest"
            " on true where latest._load_id is null or latest._op = 'd' or ({ours}) is distinct from ({theirs})),"
            " appended as (insert into {raw} ({columns}) select {columns} from judged)"
            " select count(*) filter (where change = 'new'), count(*) filter (where change = 'back'),"
            " count(*) filter (where change = 'changed') from judged"
        ).format(
            incoming=INCOMING,
            raw=raw_identifier(table.name),
            same_key=_join(table.key, "r", "i"),
            ours=_list(columns, "i."),
            theirs=_list(columns, "latest."),
            columns=_list(columns),
        )
    )
    return Appended(*(cur.fetchone() or (0, 0, 0)))


def append_tombstones(cur: Cursor, table: Table, keys: sql.Identifier, live_keys: int, is_accepted: bool) -> int:
    """Append a tombstone for each live key that is not in `keys` (all keys of the source); returns how many.

    Raises DeletesRefusedError when that would delete too large a share of `live_keys` and nobody accepted it.
    """
    cur.execute(sql.SQL("analyze {}").format(keys))
    cur.execute(
        sql.SQL(
            "create temp table gone on commit drop as"
            " select {key} from ("
            " select distinct on ({key}) {key}, _op from {raw} as r"
            " where not exists (select from {keys} as s where {same_key})"
            " order by {key}, _load_id desc) as latest where _op = 'u'"
        ).format(key=_list(table.key), raw=raw_identifier(table.name), keys=keys, same_key=_join(table.key, "s", "r"))
    )
    gone = int(cur.rowcount)
    if not is_accepted:
        volume.refuse_lost_keys(table, live_keys, gone)
    query = sql.SQL("insert into {} ({}, _op) select {}, 'd' from gone")
    cur.execute(query.format(raw_identifier(table.name), _list(table.key), _list(table.key)))
    return gone
