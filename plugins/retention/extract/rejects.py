"""Rejected rows: what is open, what is asked to be read again, and what a load has settled.

A reject is open until a load has read its file (or table) again. That load's own rejects take its place, if the row is
still bad. `ask` only leaves a word: the table's next load, in the open night or the next one, does the reading.
Runbook: docs/runbooks/rejects.md
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.extract import ledger
from retention.extract.csv_rows import NOT_TEXT, NUL, KeptRows
from retention.extract.errors import ExtractError

#: Of rejects whose kept text can be read again without the file: its own bytes, and no second row of a key.
_IS_READABLE = sql.SQL(
    "(not starts_with(reason, {}) and reason <> {} and reason !~ '^key .* is not unique'"
    " and left(row_text, 1) in ('[', '{{'))"
).format(sql.Literal(NOT_TEXT), sql.Literal(NUL))


@dataclass(frozen=True)
class RejectLine:
    """Rejects of one table, file (None: a database), reason and load; `replayed_load_id`: which load settled them."""

    table: str
    file: str | None
    reason: str
    rows: int
    load_id: int
    batch_id: int
    as_of: datetime
    replayed_load_id: int | None


@dataclass(frozen=True)
class Asked:
    """What `ask` noted: the files (None stands for the table whole, of a database) and their open rejects."""

    files: tuple[str | None, ...]
    rows: int


def summary(cur: Cursor, with_replayed: bool) -> list[RejectLine]:
    """Counts of open rejects, and of settled ones if wanted; the latest loads first. No row's text is in them."""
    cur.execute(
        "select r.table_name, r.file, r.reason, count(*), r.load_id, b.batch_id, b.as_of, r.replayed_load_id"
        " from raw.rejects as r join ops.loads as l on l.load_id = r.load_id"
        " join ops.batches as b on b.batch_id = l.batch_id"
        " where %s or r.replayed_load_id is null"
        " group by r.table_name, r.file, r.reason, r.load_id, b.batch_id, b.as_of, r.replayed_load_id"
        " order by r.load_id desc, r.table_name, r.file, count(*) desc, r.reason",
        (with_replayed,),
    )
    return [RejectLine(*row) for row in cur.fetchall()]


def open_rows(cur: Cursor, table: str, file: str | None, limit: int) -> list[tuple[int, str | None, int, str, str]]:
    """(reject id, file, line, reason, row text) of a table's open rejects. The texts may be personal data."""
    cur.execute(
        "select reject_id, file, line, reason, row_text from raw.rejects where table_name = %s"
        " and (%s is null or file = %s) and replayed_load_id is null order by reject_id limit %s",
        (table, file, file, limit),
    )
    return cur.fetchall()


def ask(cur: Cursor, table: str, file: str | None = None) -> Asked:
    """Ask the next load of `table` to read again what has open rejects (of `file` only, if given).

    Raises ExtractError when there are none. Waits for a load of the table that runs now: it cannot answer.
    """
    ledger.lock_table(cur, table)
    cur.execute(
        "select file, count(*) from raw.rejects where table_name = %s and (%s is null or file = %s)"
        " and replayed_load_id is null group by file order by file",
        (table, file, file),
    )
    found = dict(cur.fetchall())
    if not found:
        where = f"{table}, file {file}," if file else table
        raise ExtractError(f"{where} has no open rejects. Nothing was asked for. `retention rejects` lists what is.")
    cur.execute(
        "insert into ops.replays (table_name, file) select %s, wanted.file from unnest(%s::text[]) as wanted (file)"
        " where not exists (select from ops.replays as r where r.table_name = %s"
        " and r.file is not distinct from wanted.file and r.load_id is null)",
        (table, list(found), table),
    )
    return Asked(tuple(found), sum(found.values()))


def asked(cur: Cursor, table: str) -> set[str | None]:
    """Files of the table that its next load is asked to read again; None among them stands for the table whole."""
    cur.execute("select file from ops.replays where table_name = %s and load_id is null", (table,))
    return {file for (file,) in cur.fetchall()}


def kept_rows(cur: Cursor, table: str, file: str) -> KeptRows:
    """The open rejects of a file that is gone, as they were kept.

    Without those whose bytes only the file has, and those whose key the file had before: these stay open.
    """
    cur.execute(
        "select header from ops.files where table_name = %s and file = %s and header is not null"
        " order by load_id desc limit 1",
        (table, file),
    )
    (header,) = cur.fetchone() or (None,)
    cur.execute(
        sql.SQL(
            "select line, row_text from raw.rejects where table_name = %s and file = %s and replayed_load_id is null"
            " and {} order by line"
        ).format(_IS_READABLE),
        (table, file),
    )
    rows = [(line, json.loads(text)) for line, text in cur.fetchall()] if header else []
    return KeptRows(file, header or [], rows)


def settle(cur: Cursor, table: str, load_id: int, files: Collection[str | None]) -> None:
    """Mark rejects of earlier loads as read again by this one: of the files that it read, None for a table read whole.

    Of a file read from kept texts, only those that were among them. Answers what was asked for.
    """
    names = [file for file in files if file is not None]
    cur.execute(
        sql.SQL(
            "update raw.rejects as r set replayed_load_id = %(load_id)s where table_name = %(table)s"
            " and load_id < %(load_id)s and replayed_load_id is null"
            " and ((file is null and %(is_whole)s) or (file = any(%(names)s::text[]) and ("
            " exists (select from ops.files as f where f.load_id = %(load_id)s and f.file = r.file) or {})))"
        ).format(_IS_READABLE),
        {"load_id": load_id, "table": table, "is_whole": None in files, "names": names},
    )
    cur.execute("update ops.replays set load_id = %s where table_name = %s and load_id is null", (load_id, table))
