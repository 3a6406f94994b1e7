"""Loads one canonical table: one snapshot of the source, one transaction of the warehouse, one row of the ledger."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure.suppression import suppress_load
from retention.extract import ledger, rejects, versions, volume
from retention.extract.errors import (
    NOTHING_LOADED,
    ExtractError,
    NothingNewError,
    ReconciliationError,
    WaitsForNightError,
    without_values,
)
from retention.extract.files import load_files
from retention.extract.ledger import LoadResult, Previous
from retention.extract.postgres import connect, open_postgres
from retention.extract.reader import Fit, Query, Reader
from retention.extract.sql import open_sql
from retention.sources.contract import Table, load_contract, raw_identifier
from retention.sources.profile import FilesSource, Profile, SqlSource

#: Called with what is done ('copied', 'appended', 'swept') and the rows so far.
Progress = Callable[[str, int], None]
MONDAY = 0
_NOTHING_NOW = "Nothing of it was loaded now."


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
    is_short: bool = False,
) -> LoadResult:
    """Load `table` for a batch from where `profile` says; `connections` are the sources' DSNs by the profile's names.

    `as_of` is the batch's: it limits nothing that is read, weekly sweeps run when it is a Monday in the profile's zone.
    `environment` resolves `${NAME}` in the profile's file globs.

    Committed loads are immutable: when the batch has its load, nothing is done and that load is returned (`skipped`).
    `force` opens another load, which reads the source whole. With `is_short` (a ten-minute run) only what was written
    since is read: nothing is swept, counted or judged by its number, which the night does; WaitsForNightError when
    that is not enough. Raises ExtractError (DriftError, ReconciliationError,
    VolumeError, DeletesRefusedError) with nothing of the table loaded.
    """
    started = time.monotonic()
    profile = profile.resolved(environment)
    spec = load_contract().tables.get(table)
    if spec is None or table not in profile.tables:
        raise ExtractError(f"{table}: {profile.name} does not supply it. {NOTHING_LOADED}")
    with (
        without_values(table, "loading"),
        closing(connect(warehouse_dsn, table, "the warehouse")) as warehouse,
        warehouse,
        warehouse.cursor() as cur,
    ):
        ledger.lock_table(cur, table)
        committed = ledger.committed_load(cur, batch_id, table)
        is_asked = bool(rejects.asked(cur, table)) and not is_short
        result = None if force or is_asked else committed
        if result is None:
            load_id = ledger.number_load(cur)
            is_loss_accepted, least_keys = ledger.use_accepted_loss(cur, batch_id, table)
            load = Load(
                table=spec, profile=profile, as_of=as_of, cur=cur, load_id=load_id, force=force,
                on_progress=on_progress or _silent, previous=ledger.previous_load(cur, table),
                is_loss_accepted=is_loss_accepted, least_keys=least_keys, environment=environment, is_short=is_short,
            )  # fmt: skip
            result = replace(_load(load, connections), seconds=time.monotonic() - started)
            if not load.is_loss_accepted and not is_short:
                volume.refuse_few_rows(cur, spec, result)
            # Forced after a refusal it is the batch's own load: the night must not ask for another one.
            ledger.record_load(cur, result, batch_id, committed is not None, spec)
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
    #: What the source lost is deleted here too, however much it is: somebody said that it is right.
    is_loss_accepted: bool
    #: How many keys the source had when somebody said so.
    least_keys: int | None
    #: Holds the secret by which erased persons are recognised.
    environment: Mapping[str, str] = field(repr=False)
    is_short: bool = False

    @property
    def is_weekly_sweep(self) -> bool:
        """Whether the night is that of Monday where the operator is."""
        return self.as_of.astimezone(ZoneInfo(self.profile.zone)).weekday() == MONDAY


def _load(load: Load, connections: Mapping[str, str]) -> LoadResult:
    table, profile = load.table, load.profile
    source = profile.tables[table.name]
    if source.connection is not None and source.connection not in connections:
        known = ", ".join(sorted(connections)) or "none"
        raise ExtractError(
            f"{table.name}: connection {source.connection} of {profile.name} is not configured (known: {known}). "
            f"{NOTHING_LOADED}"
        )
    if isinstance(source, FilesSource):
        zone = profile.zone_of(table.name)
        url = None if source.connection is None else connections[source.connection]
        read = load_files(load.cur, table, source, zone, load.load_id, load.previous, load.force, url, load.environment)
        if load.is_short and not read.rows_read:
            # Not booked: whether a night's file came is judged by loads.
            raise NothingNewError(f"{table.name}: no new file. {_NOTHING_NOW}")
        return read
    dsn = connections[source.connection]
    with open_reader(dsn, table.name, f"the source {source.connection}") as reader:
        return (_load_short if load.is_short else _load_sql)(load, source, reader)


def open_reader(url: str, table: str, what: str) -> AbstractContextManager[Reader]:
    """A reader of the database that `url` addresses, for loading `table`; `what` names it in messages."""
    return (open_postgres if url.startswith("postgresql://") else open_sql)(url, table, what)


def _silent(stage: str, rows: int) -> None:
    """Nobody watches."""


def _open(load: Load, source: SqlSource, reader: Reader) -> tuple[datetime, Fit, Query, str]:
    """The source's snapshot: its time, the columns that fit, the rows, and how the profile reads them."""
    zone = load.profile.zone_of(load.table.name)
    snapshot_at = reader.open_snapshot()
    fit = Fit(load.table, source, reader.describe(source), load.previous.shape or {}, load.previous.unmapped)
    return snapshot_at, fit, reader.query(fit, zone), source.digest(zone)


def _load_sql(load: Load, source: SqlSource, reader: Reader) -> LoadResult:
    table, cur, previous = load.table, load.cur, load.previous
    snapshot_at, fit, query, source_hash = _open(load, source, reader)
    source_rows, watermark_to = query.count()
    if not load.is_loss_accepted:
        volume.refuse_lost_keys(table, previous.live_keys, previous.live_keys - source_rows)
        if previous.source_hash == source_hash:
            # Under another profile (its zone, its cursor's column) the times of writing cannot be compared.
            volume.refuse_old_snapshot(table, previous, watermark_to)
    elif load.least_keys is not None:
        volume.refuse_more_than_accepted(table, load.least_keys, source_rows)
    ledger.record_shape(cur, table.name, load.load_id, fit.shape, source_hash, fit.unmapped)
    is_first = versions.is_empty(cur, table)
    since = None if is_first else _since(load, fit, source_hash)
    reading = Reading(query, list(fit.fields), load)
    if is_first:
        rows_read, rejected = reading.straight()
        suppress_load(cur, table, raw_identifier(table.name), load.load_id, load.environment)
        appended = versions.Appended(new=rows_read - rejected, back=0, changed=0)
    else:
        rows_read, rejected = reading.staged(since)
        suppress_load(cur, table, versions.INCOMING, load.load_id, load.environment)
        appended = versions.append_changed(cur, table)
    live = previous.live_keys + appended.new + appended.back

    deleted = 0
    if not is_first and (table.deletes.startswith("sweep") or load.is_loss_accepted):
        if since is None and not reading.unfit:
            deleted = versions.append_tombstones(cur, table, versions.INCOMING, live, load.is_loss_accepted)
        elif since is None or table.deletes == "sweep_nightly" or load.is_weekly_sweep or source_rows != live:
            reading.keys()
            deleted = versions.append_tombstones(cur, table, versions.SOURCE_KEYS, live, load.is_loss_accepted)
        load.on_progress("swept", deleted)
    live -= deleted
    source_keys = source_rows - rejected
    if source_keys != live:
        # Rows rejected by earlier loads are still counted by the source; its keys are not.
        source_keys = query.count_keys()
    if source_keys > live:
        source_keys -= reading.keys_not_kept()
    if source_keys != live:
        raise ReconciliationError(
            f"{table.name}: the source has {source_keys:,} keys in the snapshot and {live:,} would be live after this "
            f"load. {NOTHING_LOADED} {_remedy(table, source_keys < live)}"
        )
    if since is None:
        rejects.settle(cur, table.name, load.load_id, {None})
    return LoadResult(
        load_id=load.load_id,
        table=table.name,
        rows_read=rows_read,
        rows_appended=appended.new + appended.back + appended.changed + deleted,
        keys_new=appended.new + appended.back,
        keys_deleted=deleted,
        keys_back=appended.back,
        rows_rejected=rejected,
        source_keys=source_keys,
        live_keys=live,
        snapshot_at=snapshot_at,
        watermark_from=since,
        watermark_to=watermark_to,
        reader=query.label,
        seconds=0.0,
    )


def _load_short(load: Load, source: SqlSource, reader: Reader) -> LoadResult:
    """What was written since the last load, and nothing else is asked of the source."""
    table, cur, previous = load.table, load.cur, load.previous
    snapshot_at, fit, query, source_hash = _open(load, source, reader)
    since = None if versions.is_empty(cur, table) else _since(load, fit, source_hash)
    if since is None or previous.watermark is None:
        raise WaitsForNightError(f"{table.name}: it is to be read whole, as the next night will. {_NOTHING_NOW}")
    rows_read, rejected = Reading(query, list(fit.fields), load).staged(since)
    latest = versions.latest_written(cur, table)
    if latest is not None and latest < previous.watermark <= snapshot_at:
        # A replica that lags would put old versions over newer ones; or the newest row is gone, which the night finds.
        raise WaitsForNightError(
            f"{table.name}: the source's latest write is of {latest:%Y-%m-%d %H:%M:%S %Z}, the last load had seen one "
            f"of {previous.watermark:%Y-%m-%d %H:%M:%S %Z}. {_NOTHING_NOW}"
        )
    suppress_load(cur, table, versions.INCOMING, load.load_id, load.environment)
    appended = versions.append_changed(cur, table)
    rows = appended.new + appended.back + appended.changed
    if not rows and not rejected and (latest is None or latest <= previous.watermark):
        # Not booked: the next load reads from the same watermark on, and finds the same.
        raise NothingNewError(f"{table.name}: nothing was written since the last load. {_NOTHING_NOW}")
    return LoadResult(
        load_id=load.load_id,
        table=table.name,
        rows_read=rows_read,
        rows_appended=rows,
        keys_new=appended.new + appended.back,
        keys_deleted=0,
        keys_back=appended.back,
        rows_rejected=rejected,
        source_keys=None,
        live_keys=previous.live_keys + appended.new + appended.back,
        snapshot_at=snapshot_at,
        watermark_from=since,
        watermark_to=max(latest or previous.watermark, previous.watermark),
        reader=query.label,
        seconds=0.0,
    )


def _remedy(table: Table, is_less: bool) -> str:
    if is_less and not table.deletes.startswith("sweep"):
        return (
            f"If the source deletes rows, make its deletes sweep_weekly (now {table.deletes}) in sources/contract.yml; "
            f"if it did so this once, and rightly: `retention accept-loss {table.name}`."
        )
    return f"`retention reload {table.name}` reads the table whole."


def _since(load: Load, fit: Fit, source_hash: str) -> datetime | None:
    """From which write time on the source is read; None when it is to be read whole."""
    previous: Previous = load.previous
    is_whole = (
        load.force
        or bool(rejects.asked(load.cur, load.table.name))
        or load.table.cursor not in fit.fields
        or previous.watermark is None
        # What is newly supplied or newly in the contract is missing in every row that raw has.
        or previous.contract_hash != load.table.hash
        or previous.shape != fit.shape
        # A map, constant or query that the profile changed holds for old rows too.
        or previous.source_hash != source_hash
    )
    if is_whole or previous.watermark is None:
        return None
    # A row stamped with the future must not hide what is written until then.
    return min(previous.watermark, previous.snapshot_at or previous.watermark) - load.table.overlap


class Reading:
    """Copies from the source's snapshot into the warehouse's transaction."""

    def __init__(self, query: Query, names: list[str], load: Load) -> None:
        self.query = query
        self.names = names
        self.load = load
        #: Rows that the warehouse cannot hold. What it has of them stays: they are still in the source.
        self.unfit = 0
        #: Keys that it cannot hold; None until all keys were read.
        self.keys_lost: int | None = None

    def _copy(self, since: datetime | None, into: sql.Identifier) -> tuple[int, int]:
        table, cur = self.load.table, self.load.cur
        copied = self.query.copy(self.names, since, cur.connection, into)
        self.unfit = copied.rejected
        if copied.rejects is not None:
            versions.keep_rejects(cur, table, self.load.load_id, copied.rejects)
        self.load.on_progress("copied", copied.rows)
        return copied.rows + copied.rejected, copied.rejected

    def straight(self) -> tuple[int, int]:
        """Everything straight into an empty raw table; returns rows read and rejected."""
        table, cur = self.load.table, self.load.cur
        versions.drop_index(cur, table)
        rows, rejected = self._copy(None, raw_identifier(table.name))
        return rows, rejected + versions.create_index(cur, table, self.load.load_id)

    def staged(self, since: datetime | None) -> tuple[int, int]:
        """Rows written at or after `since` into the temporary table `incoming`; returns rows read and rejected."""
        table, cur = self.load.table, self.load.cur
        versions.create_staging(cur, table)
        rows, rejected = self._copy(since, versions.INCOMING)
        return rows, rejected + versions.reject_keys(cur, table, versions.INCOMING, self.load.load_id)

    def keys(self) -> int:
        """All keys of the source into the temporary table `source_keys`, once; returns how many could not go there."""
        if self.keys_lost is None:
            table, cur = self.load.table, self.load.cur
            versions.create_key_staging(cur, table)
            self.keys_lost = self.query.copy(list(table.key), None, cur.connection, versions.SOURCE_KEYS).rejected
        return self.keys_lost

    def keys_not_kept(self) -> int:
        """Keys of the source that are not live because the warehouse cannot hold their rows, tonight's or older."""
        if not versions.has_unfit_rows(self.load.cur, self.load.table):
            return 0
        return self.keys() + versions.count_unfit_keys(self.load.cur, self.load.table)
