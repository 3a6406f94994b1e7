"""Loads delimited text files, each content once by a given profile: cast by the warehouse, bad rows become rejects.

Of two files that state a row, that one is right whose row was written later by the table's cursor; without a cursor,
or at equal ones, the file whose name is later, whichever comes first. So a late old file adds what nobody knew and
changes nothing that a newer one has said. A file that is replaced takes back what it said: its rows replace its former
ones, and those that it no longer has stay as they were, since a drop is no inventory (ops.files.keys_not_restated
counts them).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from retention.erasure.suppression import suppress_load
from retention.extract import casts, drift, ledger, rejects, statements, versions
from retention.extract.copy import Chunks, copy_into
from retention.extract.csv_rows import FileRows, KeptRows, Parser, read_header
from retention.extract.drops import Drops, File, UnreadableError, open_drops
from retention.extract.errors import NOTHING_LOADED, ExtractError
from retention.extract.ledger import LoadResult, Previous
from retention.sources.contract import Table
from retention.sources.profile import FilesSource


@dataclass(frozen=True)
class Known:
    """The last reading of a file: its row of ops.files, and whether profile and contract are still those.

    `first_id` is the row of its first reading.
    """

    file_id: int
    first_id: int
    bytes: int
    sha256: str
    stamp: str | None
    is_current: bool


def load_files(
    cur: Cursor,
    table: Table,
    source: FilesSource,
    zone: ZoneInfo,
    load_id: int,
    previous: Previous,
    force: bool,
    connection_url: str | None,
    environment: Mapping[str, str],
) -> LoadResult:
    """Load the files whose last reading was of another content, profile or contract; with `force` all of them.

    `zone` is that of timestamps without one; `connection_url` is that of the Connection that the source names;
    `environment` holds the secret by which erased persons are recognised.

    A file of the size and stamp (time of change, ETag) of its last reading is not opened. Rows that cannot be cast,
    have no key or repeat a key of their file become rejects; those of files that `retention rejects replay` asks for
    are read again, from their kept texts when the file is gone. Raises DriftError when a file lacks a mapped column,
    ExtractError when it cannot be read at all.
    """
    source_hash = source.digest(zone)
    known = _known(cur, table, source_hash)
    asked = rejects.asked(cur, table.name)
    try:
        with open_drops(source, connection_url) as drops:
            found = drops.files()
            reading = [file for file in found if force or _is_to_read(cur, drops, file, known.get(file.name), asked)]
            here = {file.name for file in found}
            gone = [rejects.kept_rows(cur, table.name, name) for name in asked if name is not None and name not in here]
            entries: list[FileRows | KeptRows] = [FileRows(file, drops) for file in reading]
            entries += [rows for rows in gone if rows.rows]
            entries.sort(key=lambda entry: entry.name)
            # Old files may lack what later ones brought: read again, they are compared with each other only.
            is_rereading = any(_is_reread(known.get(entry.name), entry, force, asked) for entry in entries)
            shape = drift.accepted_as_gone(previous.shape) if is_rereading else previous.shape or {}
            parser = Parser(table, source, entries, shape, previous.unmapped)
            casts.create_staging(cur, table)
            into = sql.SQL("copy staged from stdin (format csv)")
            rows_read = copy_into(cur.connection, into, Chunks(parser.chunks()), table.name)
    except OSError as error:
        words = str(error) if isinstance(error, UnreadableError) else type(error).__name__
        raise ExtractError(f"{table.name}: files cannot be read: {words}. {NOTHING_LOADED}") from None
    names = [entry.name for entry in entries]
    kept = [entry.name for entry in entries if isinstance(entry, KeptRows)]
    rejected = casts.cast_rows(cur, table, source, zone, load_id, names)
    rejected += casts.reject_repeated(cur, table, load_id, names)
    statements.gather(cur, table)
    rejected += statements.reject_stated(cur, table, load_id, names, kept)
    statements.drop_late(cur, table, names, kept)
    first_ids = {name: last.first_id for name, last in known.items()}
    for entry, read in zip(entries, parser.readings, strict=True):
        if isinstance(entry, KeptRows):
            continue
        cur.execute(
            "insert into ops.files (table_name, file, bytes, sha256, stamp, header, source_hash, contract_hash,"
            " load_id, rows_read, rows_rejected)"
            " select %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, count(*) from raw.rejects where load_id = %s and file = %s"
            " returning file_id",
            (
                table.name, entry.name, read.bytes, read.sha256, entry.file.stamp, Json(read.header), source_hash,
                table.hash, load_id, read.rows, load_id, entry.name,
            ),
        )  # fmt: skip
        (file_id,) = cur.fetchone() or (0,)
        first_ids.setdefault(entry.name, file_id)
    statements.record(cur, table, [first_ids[name] for name in names])
    statements.count_not_restated(cur, table, load_id, [first_ids[name] for name in names])
    suppress_load(cur, table, versions.INCOMING, load_id, environment)
    appended = versions.append_changed(cur, table)
    rejects.settle(cur, table.name, load_id, names)
    if names:
        # Old files read again beside known ones say nothing of what the others supply.
        is_partial = is_rereading and not force and all(k.is_current for name, k in known.items() if name in here)
        shape = {**(previous.shape or {}), **parser.shape} if is_partial else parser.shape
        unmapped = parser.unmapped | set(previous.unmapped or ()) if is_partial else parser.unmapped
        ledger.record_shape(cur, table.name, load_id, shape, source_hash, sorted(unmapped))
    return LoadResult(
        load_id=load_id,
        table=table.name,
        rows_read=rows_read,
        rows_appended=appended.new + appended.back + appended.changed,
        keys_new=appended.new + appended.back,
        keys_deleted=0,
        rows_rejected=rejected,
        source_keys=None,
        live_keys=previous.live_keys + appended.new + appended.back,
        snapshot_at=None,
        watermark_from=previous.watermark,
        watermark_to=_watermark(cur, table, previous.watermark),
        reader="files",
        seconds=0.0,
        keys_back=appended.back,
    )


def unread_headers(
    cur: Cursor, table: Table, source: FilesSource, zone: ZoneInfo, connection_url: str | None
) -> tuple[dict[str, list[str]], bool]:
    """Header of each file that the next load would read, and whether it would read known ones among them again."""
    known = _known(cur, table, source.digest(zone))
    with open_drops(source, connection_url) as drops:
        files = [file for file in drops.files() if _is_to_read(cur, drops, file, known.get(file.name), set())]
        headers = {file.name: read_header(source, drops, file) for file in files}
    return headers, any(_is_reread(known.get(file.name), FileRows(file, drops), False, set()) for file in files)


def _known(cur: Cursor, table: Table, source_hash: str) -> Mapping[str, Known]:
    """The last reading of each file. That counts, not any: what is changed and changed back is read a third time."""
    cur.execute(
        "select distinct on (file) file, file_id, min(file_id) over (partition by file), bytes, sha256, stamp,"
        " source_hash = %s and contract_hash = %s from ops.files where table_name = %s order by file, load_id desc",
        (source_hash, table.hash, table.name),
    )
    return {name: Known(*columns) for name, *columns in cur.fetchall()}


def _is_to_read(cur: Cursor, drops: Drops, file: File, last: Known | None, asked: set[str | None]) -> bool:
    """Whether a file is to be read; a mere touch of it is remembered."""
    if last is None or not last.is_current or file.name in asked or file.bytes != last.bytes:
        return True
    if file.stamp is not None and file.stamp == last.stamp:
        return False
    if drops.sha256(file.path) != last.sha256:
        return True
    cur.execute("update ops.files set stamp = %s where file_id = %s", (file.stamp, last.file_id))
    return False


def _is_reread(last: Known | None, entry: FileRows | KeptRows, force: bool, asked: set[str | None]) -> bool:
    return last is not None and (force or not last.is_current or entry.name in asked)


def _watermark(cur: Cursor, table: Table, previous: datetime | None) -> datetime | None:
    """The latest instant that the files tell of: of their writing if they say so, else of the events."""
    column = table.cursor or table.event_at
    if column is None:
        return None
    query = sql.SQL("select greatest(max({}), %s) from incoming").format(sql.Identifier(column))
    cur.execute(query, (previous,))
    (latest,) = cur.fetchone() or (None,)
    at: datetime | None = latest
    return at
