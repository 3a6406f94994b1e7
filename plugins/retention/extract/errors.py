"""What extraction raises. PostgreSQL's messages quote rows, so only what cannot hold a value is passed on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from pymysql.constants import ER  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

NOTHING_LOADED = "Nothing of this table was loaded; the night stops before publish."

#: libpq on a URL that falls apart at the wrong place.
BAD_URL = re.compile(r'^invalid |host name "[^"]*@')
#: A SQLSTATE or an Oracle error.
CODE = re.compile(r"[0-9A-Z]{5}|[A-Z]{3}-\d{4,5}")
#: MySQL's: the client library's own, and the server's by their names.
CLIENT_CODES = range(2000, 3000)
SERVER_CODES: dict[object, str] = {code: name for name, code in vars(ER).items() if isinstance(code, int)}


class ExtractError(RuntimeError):
    """A table could not be loaded; nothing of it was. The message names the table and holds no values of rows."""


class DriftError(ExtractError):
    """A mapped source column is gone or has another type."""


class ReconciliationError(ExtractError):
    """The source's own count differs from what would be live after the load."""


class VolumeError(ExtractError):
    """The source shows far less, or something older, than the last loads saw; `retention accept-loss` lets it pass."""


class WaitsForNightError(ExtractError):
    """A ten-minute run cannot load the table: it has to be read whole, or its source shows less than before."""


class NothingNewError(WaitsForNightError):
    """Nothing is there to be loaded by day, and no load is booked: nothing was written, no file came."""


class DeletesRefusedError(VolumeError):
    """The source lost more keys than one load may delete."""


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
    except SQLAlchemyError as error:
        failure = _describe_other(error)
        error.args = (failure,)
        raise ExtractError(f"{table}: {doing} failed: {failure}. {NOTHING_LOADED}") from None


def _describe(error: psycopg2.Error) -> str:
    if error.pgcode is None:
        # Raised by the client library about the connection (refused, lost, password): quotes no row.
        text = " ".join(str(error).split()).rstrip(".")
        if isinstance(error, psycopg2.ProgrammingError) or BAD_URL.search(text):
            # It would quote what it took for a host or a port: parts of a password.
            return "the connection's URL is not one: percent-encode its password"
        return text or type(error).__name__
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


def _describe_other(error: SQLAlchemyError) -> str:
    """Of another database: the driver's class and its code, with the code's name for MySQL's and MariaDB's."""
    if not isinstance(error, DBAPIError):
        # SQLAlchemy's own words about a URL, a driver or a table.
        return " ".join(str(error).split()).rstrip(".")
    driver = error.orig
    error.orig, error.statement, error.params = None, None, None
    given = driver.args if driver is not None else ()
    code = next((part for part in given if isinstance(part, int) or CODE.fullmatch(str(part))), None)
    code = getattr(given[0], "full_code", code) if given else code
    code = getattr(driver, "sqlite_errorname", code)
    if isinstance(code, int) and code in CLIENT_CODES and len(given) > 1:
        # Raised by the client library about the connection: quotes no row.
        text = f"{given[1]} ({code})"
    elif code is not None:
        text = f"{type(driver).__name__} ({' '.join(filter(None, (str(code), SERVER_CODES.get(code))))})"
    else:
        text = type(driver).__name__
    if driver is not None:
        driver.args = (text,)
    return text
