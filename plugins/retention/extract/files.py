"""Loads delimited text files, each content once by a given profile: cast by the warehouse, bad rows become rejects."""

import hashlib
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import fsspec
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.extract import casts, ledger, versions
from retention.extract.copy import CHUNK, Chunks, copy_into
from retention.extract.csv_rows import Parser
from retention.extract.errors import NOTHING_LOADED, ExtractError
from retention.extract.ledger import LoadResult, Previous
from retention.sources.contract import Table
from retention.sources.profile import FilesSource


@dataclass(frozen=True)
class File:
    """A file as found: `url` opens it, `name` is its path below the glob's first wildcard.

    `bytes` and `sha256` are of its stored (perhaps packed) content.
    """

    url: str
    name: str
    bytes: int
    sha256: str


def find_files(source: FilesSource) -> list[File]:
    """Files that the glob matches, by name; an empty list when none does."""
    filesystem, pattern = fsspec.url_to_fs(source.files)
    fixed = re.split(r"[*?\[]", pattern)[0].rpartition("/")[0]
    found = []
    for path in sorted(str(path) for path in filesystem.glob(pattern)):
        digest, size = hashlib.sha256(), 0
        with filesystem.open(path, "rb") as stream:
            while part := stream.read(CHUNK):
                digest.update(part)
                size += len(part)
        found.append(
            File(filesystem.unstrip_protocol(path), path.removeprefix(fixed).lstrip("/"), size, digest.hexdigest())
        )
    return found


def load_files(
    cur: Cursor, table: Table, source: FilesSource, zone: ZoneInfo, load_id: int, previous: Previous, force: bool
) -> LoadResult:
    """Load the files whose last reading was of another content, profile or contract; with `force` all of them.

    `zone` is that of timestamps without one.

    Rows that cannot be cast, have no key or repeat a key of their file become rejects; a row that a later file (by
    name) states again replaces the earlier one. Raises DriftError when a file lacks a mapped column, ExtractError when
    it cannot be read at all.
    """
    source_hash = source.digest(zone)
    # The last reading counts, not any: what is changed and changed back is read a third time.
    cur.execute(
        "select distinct on (file) file, sha256, source_hash = %s and contract_hash = %s from ops.files"
        " where table_name = %s order by file, load_id desc",
        (source_hash, table.hash, table.name),
    )
    known = {(name, sha256): is_current for name, sha256, is_current in cur.fetchall()}
    try:
        files = [file for file in find_files(source) if force or not known.get((file.name, file.sha256), False)]
        # Old files may lack what later ones brought: read again, they are compared with each other only.
        is_rereading = any((file.name, file.sha256) in known for file in files)
        shape = {} if is_rereading else previous.shape or {}
        parser = Parser(table, source, [(file.url, file.name) for file in files], shape)
        casts.create_staging(cur, table)
        into = sql.SQL("copy staged from stdin (format csv)")
        rows_read = copy_into(cur.connection, into, Chunks(parser.chunks()), table.name)
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        # Only the file system's own words are passed on: they name a path, not a row.
        words = f" {error}" if isinstance(error, OSError) else ""
        raise ExtractError(
            f"{table.name}: files cannot be read: {type(error).__name__}{words}. {NOTHING_LOADED}"
        ) from None
    names = [file.name for file in files]
    rejected = casts.cast_rows(cur, table, source, zone, load_id, names)
    rejected += casts.reject_repeated(cur, table, load_id, names)
    appended = versions.append_changed(cur, table)
    for number, file in enumerate(files):
        cur.execute(
            "insert into ops.files (table_name, file, bytes, sha256, source_hash, contract_hash, load_id, rows_read,"
            " rows_rejected)"
            " select %s, %s, %s, %s, %s, %s, %s, %s, count(*) from raw.rejects where load_id = %s and file = %s",
            (
                table.name, file.name, file.bytes, file.sha256, source_hash, table.hash, load_id, parser.rows[number],
                load_id, file.name,
            ),
        )  # fmt: skip
    if files:
        ledger.record_shape(cur, table.name, load_id, parser.shape, source_hash)
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
    )


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
