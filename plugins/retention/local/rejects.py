"""`retention rejects`: what could not be read, for a person; and reading it again.

Runbook: docs/runbooks/rejects.md
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC

import psycopg2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retention.extract import rejects
from retention.local import settings
from retention.local.home import Home, LocalError
from retention.local.reload import unfinished_night


def show_summary(home: Home, console: Console, with_replayed: bool) -> None:
    """One line per table, file, reason and load; no row's text."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn, conn.cursor() as cur:
        lines = rejects.summary(cur, with_replayed)
    if not lines:
        console.print("  no rejects" if with_replayed else "  no open rejects", highlight=False)
        return
    table = Table()
    for column in ("table", "file", "reason", "rows", "load", "night (UTC)", "replayed"):
        table.add_column(column, overflow="fold", justify="right" if column in ("rows", "load") else "left")
    for line in lines:
        replayed = "open" if line.replayed_load_id is None else f"by load {line.replayed_load_id}"
        table.add_row(
            line.table, escape(line.file or ""), escape(line.reason), f"{line.rows:,}", str(line.load_id),
            f"{line.as_of.astimezone(UTC):%Y-%m-%d %H:%M}", replayed,
        )  # fmt: skip
    console.print(table)


def show_rows(home: Home, console: Console, table: str, file: str | None, limit: int, with_text: bool) -> None:
    """Open rejects of a table one by one; `with_text` adds what the row said, on a terminal only: it may be personal.

    Raises LocalError where the text would end in a file or a pipe.
    """
    if with_text and not console.is_terminal:
        raise LocalError("rows may hold personal data and are shown on a terminal only. Nothing was shown.")
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn, conn.cursor() as cur:
        rows = rejects.open_rows(cur, table, file, limit)
    listed = Table()
    for column in ("reject", "file", "line", "reason", *(["row"] if with_text else [])):
        listed.add_column(column, overflow="fold")
    for reject_id, name, line, reason, text in rows:
        texts = [escape(text or "")] if with_text else []
        listed.add_row(str(reject_id), escape(name or ""), str(line or ""), escape(reason), *texts)
    console.print(listed)


@dataclass(frozen=True)
class Replayed:
    """What came of a replay: rejects asked for, rows that came in (None: not yet), and the table's open ones."""

    asked: int
    appended: int | None
    still_open: int


def replay(home: Home, table: str, file: str | None) -> Replayed:
    """Read again what has open rejects of `table` (of `file` only): in the unfinished night, else with the next load.

    Raises ExtractError when there are none, or when the load fails; then they stay asked for.
    """
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn:
        with conn, conn.cursor() as cur:
            asked = rejects.ask(cur, table, file)
        found = unfinished_night(home, "retention rejects replay")
        if found is None:
            return Replayed(asked.rows, None, asked.rows)
        night, batch_id = found
        appended = night.extract(batch_id, table)
        with conn, conn.cursor() as cur:
            still_open = sum(line.rows for line in rejects.summary(cur, with_replayed=False) if line.table == table)
    return Replayed(asked.rows, appended, still_open)
