"""What a command of this room says when it cannot do what was asked."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2


class ErasureError(RuntimeError):
    """Nothing, or not everything, was erased; the message says what is left and what to do, and holds no values."""


@contextmanager
def without_values(doing: str) -> Iterator[None]:
    """Turn a database error, which may quote a row, into an ErasureError with its class and SQLSTATE."""
    try:
        yield
    except psycopg2.Error as error:
        if error.pgcode is None:
            raise
        failure = f"{type(error).__name__} (SQLSTATE {error.pgcode})"
        error.args = (failure,)
        raise ErasureError(f"{doing} failed: {failure}. What was committed before is kept; run it again.") from None
