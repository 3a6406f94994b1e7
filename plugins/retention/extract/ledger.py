"""The books of extraction: one row of ops.loads per committed load, and what the source looked like then."""

from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from retention.sources.contract import Table


@dataclass(frozen=True)
class LoadResult:
    """A committed load. live_keys = live_keys of the load before + keys_new (first seen or back) - keys_deleted.

    `rows_appended` counts versions and tombstones; `keys_back` are those of `keys_new` that had been deleted before;
    `source_keys` is the source's own count in the snapshot (None for files); `skipped` says that the load had been
    committed before and nothing was done now; `seconds` is its duration.
    """

    load_id: int
    table: str
    rows_read: int
    rows_appended: int
    keys_new: int
    keys_deleted: int
    rows_rejected: int
    source_keys: int | None
    live_keys: int
    snapshot_at: datetime | None
    watermark_from: datetime | None
    watermark_to: datetime | None
    reader: str
    seconds: float
    skipped: bool = False
    keys_back: int = 0


COLUMNS = (
    "load_id, table_name, rows_read, rows_appended, keys_new, keys_deleted, rows_rejected, source_keys, live_keys, "
    "snapshot_at, watermark_from, watermark_to, reader, seconds"
)


@dataclass(frozen=True)
class Previous:
    """What the last committed load of a table left behind.

    `shape` is each supplied column's type in the source, `unmapped` the source's columns that nothing took,
    `source_hash` the digest of the profile's source.
    """

    live_keys: int = 0
    watermark: datetime | None = None
    contract_hash: str | None = None
    shape: dict[str, str] | None = None
    snapshot_at: datetime | None = None
    source_hash: str | None = None
    unmapped: list[str] | None = None


def committed_load(cur: Cursor, batch_id: int, table: str) -> LoadResult | None:
    """The batch's load of the table that is not a forced one, if it is committed."""
    cur.execute(
        sql.SQL(
            "select {}, true, keys_back from ops.loads where batch_id = %s and table_name = %s and not is_forced"
        ).format(sql.SQL(COLUMNS)),
        (batch_id, table),
    )
    row = cur.fetchone()
    return LoadResult(*row) if row else None


def previous_load(cur: Cursor, table: str) -> Previous:
    """State of a table after its last committed load; zeros and None before the first."""
    cur.execute(
        "select loads.live_keys, loads.watermark_to, loads.contract_hash, shapes.columns, loads.snapshot_at,"
        " shapes.source_hash, shapes.unmapped"
        " from ops.loads as loads left join ops.source_shapes as shapes on loads.table_name = shapes.table_name"
        " where loads.table_name = %s order by loads.load_id desc limit 1",
        (table,),
    )
    row = cur.fetchone()
    return Previous(*row) if row else Previous()


def lock_table(cur: Cursor, table: str) -> None:
    """Wait for a load of the same table that runs now; held to the end of the transaction.

    Load numbers of a table therefore grow in the order of their commits.
    """
    cur.execute("select pg_advisory_xact_lock(hashtextextended('extract ' || %s, 0))", (table,))


def number_load(cur: Cursor) -> int:
    """Take the number of a new load; rows that this transaction appends to raw tables carry it."""
    cur.execute("select nextval(pg_get_serial_sequence('ops.loads', 'load_id'))")
    (load_id,) = cur.fetchone() or (0,)
    cur.execute("select set_config('retention.load_id', %s, true)", (str(load_id),))
    return int(load_id)


def use_accepted_loss(cur: Cursor, batch_id: int, table: str) -> tuple[bool, int | None]:
    """Whether somebody accepted that the source lost rows of the table this night, for a load that is still to come,
    and how many keys it had then (None: unknown).

    The load that this transaction numbered uses it up, when it commits.
    """
    cur.execute(
        "update ops.accepted_losses set load_id = current_setting('retention.load_id')::bigint"
        " where batch_id = %s and table_name = %s and load_id is null returning least_keys",
        (batch_id, table),
    )
    row = cur.fetchone()
    return row is not None, row[0] if row else None


def record_load(cur: Cursor, result: LoadResult, batch_id: int, is_forced: bool, table: Table) -> None:
    """Write the load into the ledger; it counts once the caller's transaction commits."""
    cur.execute(
        sql.SQL(
            "insert into ops.loads ({}, batch_id, is_forced, contract_hash, keys_back) values"
            " (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        ).format(sql.SQL(COLUMNS)),
        (
            result.load_id, result.table, result.rows_read, result.rows_appended, result.keys_new, result.keys_deleted,
            result.rows_rejected, result.source_keys, result.live_keys, result.snapshot_at, result.watermark_from,
            result.watermark_to, result.reader, result.seconds, batch_id, is_forced, table.hash,
            result.keys_back,
        ),
    )  # fmt: skip


def record_shape(
    cur: Cursor, table: str, load_id: int, shape: dict[str, str], source_hash: str, unmapped: list[str] | None = None
) -> None:
    """Remember which columns the source supplied, their types there, how the profile read them, and what it left."""
    cur.execute(
        "insert into ops.source_shapes (table_name, load_id, columns, source_hash, unmapped)"
        " values (%s, %s, %s, %s, %s)"
        " on conflict (table_name) do update set load_id = excluded.load_id, columns = excluded.columns,"
        " source_hash = excluded.source_hash, unmapped = excluded.unmapped",
        (table, load_id, Json(shape), source_hash, Json(unmapped)),
    )
