"""What every command is run in: home, progress, expected errors as one message. Rooms are imported when it runs."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from retention.local.console import Progress
    from retention.local.home import Home


@contextmanager
def working(alone: bool = True) -> Iterator[tuple["Home", "Progress"]]:
    """Home and progress for a command; expected errors become one message and exit code 1, a Ctrl-C 130."""
    import psycopg2
    from rich.console import Console

    from retention.local.console import Progress
    from retention.local.home import find_home

    signal.signal(signal.SIGTERM, _interrupt)
    progress = Progress(Console(width=None if sys.stdout.isatty() else 110))
    try:
        home = find_home()
        if alone:
            with home.exclusive():
                yield home, progress
        else:
            yield home, progress
    except KeyboardInterrupt:
        fail("interrupted. What was finished is kept; the same command goes on from there.", code=130)
    except psycopg2.OperationalError as error:
        if error.pgcode is not None or home.cluster.is_running():
            raise
        fail(f"PostgreSQL of {home.folder} does not run: start it with `make up` or `make run`")
    except Exception as error:
        # Our own classes are messages for people; anything else is a fault of ours and shows where it is.
        if not type(error).__module__.startswith("retention."):
            raise
        fail(str(error))


def plain(value: object) -> object:
    """What JSON has no type for: instants in ISO 8601, decimals as numbers."""
    return value.isoformat() if isinstance(value, datetime) else float(str(value))


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def fail(message: str, code: int = 1) -> NoReturn:
    """Say why on stderr and end the command with `code`."""
    from rich.console import Console

    console: Console = Console(stderr=True)
    console.print("[bold red]retention:[/] ", end="")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)
