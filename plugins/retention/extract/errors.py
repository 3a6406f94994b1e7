"""What extraction raises. PostgreSQL's messages quote rows, so only what cannot hold a value is passed on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

NOTHING_LOADED = "Nothing of this table was loaded; the night stops before publish."


class ExtractError(RuntimeError):
    """A table could not be loaded; nothing of it was. The message names the table and holds no values of rows."""


class DriftError(ExtractError):
    """A mapped source column is gone or has another type."""


class ReconciliationError(ExtractError):
    """The source's own count differs from what would be live after the load."""


class DeletesRefusedError(ExtractError):
    """The source lost more keys than a sweep may delete."""


@contextmanager
def without_values(table: str, doing: str) -> Iterator[None]:
    """Turn a database error into an ExtractError with SQLSTATE, constraint, column and row number only."""
    try:
        yield
    except psycopg2.Error as error:
        failure = _describe(error)
        # It stays the suppressed context of ours: whoever prints that all the same finds no values either.
        error.args = (failure,)
        raise ExtractError(f"{table}: {doing} failed: {failure}. {NOTHING_LOADED}") from None


def _describe(error: psycopg2.Error) -> str:
    if error.pgcode is None:
        # Raised by the client library about the connection (refused, lost, password): quotes no row.
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    # The class is named after the condition: UniqueViolation, InvalidTextRepresentation.
    parts = [f"{type(error).__name__} (SQLSTATE {error.pgcode})"]
    if error.diag.constraint_name:
        parts.append(f"constraint {error.diag.constraint_name}")
    place = re.search(r"^COPY \w+, (?:line|row) (\d+)(?:, column (\w+))?", error.diag.context or "", re.MULTILINE)
    if place:
        parts += [f"row {place[1]}"] + ([f"column {place[2]}"] if place[2] else [])
    elif error.diag.column_name:
        parts.append(f"column {error.diag.column_name}")
    return ", ".join(parts)
