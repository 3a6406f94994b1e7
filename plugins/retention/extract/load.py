"""Loads one canonical table: one snapshot of the source, one transaction of the warehouse, one row of the ledger."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.extract import ledger, versions
from retention.extract.copy import stream
from retention.extract.errors import NOTHING_LOADED, ExtractError, ReconciliationError, without_values
from retention.extract.files import load_files
from retention.extract.ledger import LoadResult, Previous
from retention.extract.postgres import SourceQuery, describe, open_snapshot
from retention.sources.contract import Table, load_contract, raw_identifier
from retention.sources.profile import FilesSource, Profile, SqlSource

#: Called with what is done ('copied', 'appended', 'swept') and the rows so far.
Progress = Callable[[str, int], None]
MONDAY = 0


def extract_table(
    warehouse_dsn: str,
    table: str,
    profile: Profile,
    connections: Mapping[str, str],
    batch_id: int,
    as_of: datetime,
    environment: Mapping[str, str],
    force: bool = False,
    on_progress: Progress | None = None,
) -> LoadResult:
    """Load `table` for a batch from where `profile` says; `connections` are the sources' DSNs by the profile's names.

    `as_of` is the batch's: it limits nothing that is read, weekly sweeps run when it is a Monday in the profile's zone.
    `environment` resolves `${NAME}` in the profile's file globs.

    Committed loads are immutable: when the batch has its load, nothing is done and that load is returned (`skipped`).
    `force` opens another load, which reads the source whole. Raises ExtractError (DriftError, ReconciliationError,
    DeletesRefusedError) with nothing of the table loaded.
    """
    started = time.monotonic()
    profile = profile.resolved(environment)
    spec = load_contract().tables.get(table)
    if spec is None or table not in profile.tables:
        raise ExtractError(f"{table}: {profile.name} does not supply it. {NOTHING_LOADED}")
    with (
        without_values(table, "loading"),
        closing(_connect(warehouse_dsn, table, "the warehouse")) as warehouse,
        warehouse,
        warehouse.cursor() as cur,
    ):
        ledger.lock_table(cur, table)
        result = None if force else ledger.committed_load(cur, batch_id, table)
        if result is None:
            load = Load(
                table=spec, profile=profile, as_of=as_of, cur=cur, load_id=ledger.number_load(cur), force=force,
                on_progress=on_progress or _silent, previous=ledger.previous_load(cur, table),
            )  # fmt: skip
            result = replace(_load(load, connections), seconds=time.monotonic() - started)
            ledger.record_load(cur, result, batch_id, force, spec)
    return result


@dataclass(frozen=True)
class Load:
    """One load under way: the open transaction of the warehouse and what is known before the source is read."""

    table: Table
    profile: Profile
    as_of: datetime
    cur: Cursor
    load_id: int
    force: bool
    on_progress: Progress
    previous: Previous

    @property
    def is_weekly_sweep(self) -> bool:
        """Whether the night is that of Monday where the operator is."""
        return self.as_of.astimezone(ZoneInfo(self.profile.zone)).weekday() == MONDAY


def _load(load: Load, connections: Mapping[str, str]) -> LoadResult:
    table, profile = load.table, load.profile
    source = profile.tables[table.name]
    if isinstance(source, FilesSource):
        zone = profile.zone_of(table.name)
        return load_files(load.cur, table, source, zone, load.load_id, load.previous, load.force)
    if source.connection not in connections:
        known = ", ".join(sorted(connections)) or "none"
        raise ExtractError(
            f"{table.name}: connection {source.connection} of {profile.name} is not configured (known: {known}). "
            f"{NOTHING_LOADED}"
        )
    dsn = connections[source.connection]
    with closing(_connect(dsn, table.name, f"the source {source.connection}")) as conn:
        return _load_sql(load, source, conn)


def _silent(stage: str, rows: int) -> None:
    """Nobody watches."""


def _connect(dsn: str, table: str, what: str) -> Connection:
    with without_values(table, f"connecting to {what}"):
        conn = psycopg2.connect(dsn, connect_timeout=10, application_name=f"retention extract {table}")
        conn.set_client_encoding("UTF8")
    return conn


def _load_sql(load: Load, source: SqlSource, conn: Connection) -> LoadResult:
    table, cur, previous = load.table, load.cur, load.previous
    zone = load.profile.zone_of(table.name)
    source_hash = source.digest(zone)
    with without_values(table.name, "reading the source"):
        snapshot_at = open_snapshot(conn, table.name)
        with conn.cursor() as source_cur:
            columns = describe(source_cur, source)
            query = SourceQuery(table, source, columns, zone, previous.shape or {})
            source_rows, watermark_to = query.count(source_cur)
    ledger.record_shape(cur, table.name, load.load_id, query.shape, source_hash)
    is_first = versions.is_empty(cur, table)
    since = None if is_first else _since(load, query, source_hash)
    reading = Reading(conn, query, load)
    if is_first:
        rows_read, rejected = reading.straight()
        appended = versions.Appended(new=rows_read - rejected, back=0, changed=0)
    else:
        rows_read, rejected = reading.staged(since)
        appended = versions.append_changed(cur, table)
    live = previous.live_keys + appended.new + appended.back

    deleted = 0
    if not is_first and table.deletes.startswith("sweep"):
        if since is None:
            deleted = versions.append_tombstones(cur, table, versions.INCOMING, live)
        elif table.deletes == "sweep_nightly" or load.is_weekly_sweep or source_rows != live:
            reading.keys()
            deleted = versions.append_tombstones(cur, table, versions.SOURCE_KEYS, live)
        load.on_progress("swept", deleted)
    live -= deleted
    source_keys = source_rows - rejected
    if source_keys != live:
        # Rows rejected by earlier loads are still counted by the source; its keys are not.
        with without_values(table.name, "reading the source"), conn.cursor() as source_cur:
            source_keys = query.count_keys(source_cur)
    if source_keys != live:
        raise ReconciliationError(
            f"{table.name}: the source has {source_keys:,} keys in the snapshot and {live:,} would be live after this "
            f"load. {NOTHING_LOADED} {_remedy(table, source_keys < live)}"
        )
    return LoadResult(
        load_id=load.load_id,
        table=table.name,
        rows_read=rows_read,
        rows_appended=appended.new + appended.back + appended.changed + deleted,
        keys_new=appended.new + appended.back,
        keys_deleted=deleted,
        rows_rejected=rejected,
        source_keys=source_keys,
        live_keys=live,
        snapshot_at=snapshot_at,
        watermark_from=since,
        watermark_to=watermark_to,
        reader="postgres binary" if query.is_binary else "postgres text",
        seconds=0.0,
    )


def _remedy(table: Table, is_less: bool) -> str:
    if is_less and not table.deletes.startswith("sweep"):
        return (
            f"If the source deletes rows, make its deletes sweep_weekly (now {table.deletes}) in sources/contract.yml."
        )
    return "A forced load reads the table whole."


def _since(load: Load, query: SourceQuery, source_hash: str) -> datetime | None:
    """From which write time on the source is read; None when it is to be read whole."""
    previous: Previous = load.previous
    is_whole = (
        load.force
        or load.table.cursor not in query.fields
        or previous.watermark is None
        # What is newly supplied or newly in the contract is missing in every row that raw has.
        or previous.contract_hash != load.table.hash
        or previous.shape != query.shape
        # A map, constant or query that the profile changed holds for old rows too.
        or previous.source_hash != source_hash
    )
    if is_whole or previous.watermark is None:
        return None
    # A row stamped with the future must not hide what is written until then.
    return min(previous.watermark, previous.snapshot_at or previous.watermark) - load.table.overlap


class Reading:
    """Copies from the source's snapshot into the warehouse's transaction."""

    def __init__(self, conn: Connection, query: SourceQuery, load: Load) -> None:
        self.conn = conn
        self.query = query
        self.load = load

    def _copy(self, names: list[str], since: datetime | None, into: sql.Identifier) -> int:
        is_binary = self.query.is_binary
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
        target = sql.SQL("copy {} ({}) from stdin (format {})")
        return stream(
            self.conn,
            self.query.copy_out(names, since, is_binary),
            self.load.cur.connection,
            target.format(into, columns, sql.SQL("binary" if is_binary else "text")),
            self.load.table.name,
        )

    def straight(self) -> tuple[int, int]:
        """Everything straight into an empty raw table; returns rows read and rejected."""
        table, cur = self.load.table, self.load.cur
        versions.drop_index(cur, table)
        target = raw_identifier(table.name)
        rows = self._copy(list(self.query.fields), None, target)
        self.load.on_progress("copied", rows)
        return rows, versions.create_index(cur, table, self.load.load_id)

    def staged(self, since: datetime | None) -> tuple[int, int]:
        """Rows written at or after `since` into the temporary table `incoming`; returns rows read and rejected."""
        versions.create_staging(self.load.cur, self.load.table)
        rows = self._copy(list(self.query.fields), since, versions.INCOMING)
        self.load.on_progress("copied", rows)
        rejected = versions.reject_keys(self.load.cur, self.load.table, versions.INCOMING, self.load.load_id)
        return rows, rejected

    def keys(self) -> None:
        """All keys of the source into the temporary table `source_keys`."""
        versions.create_key_staging(self.load.cur, self.load.table)
        self._copy(list(self.load.table.key), None, versions.SOURCE_KEYS)
