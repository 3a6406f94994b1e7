"""`retention ...`: the platform on one machine. Rooms are imported inside the commands: help must come at once."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from retention.local.console import Progress
    from retention.local.home import Home

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Complaints into retention, on one machine: an embedded PostgreSQL, Airflow and a simulated operator.",
    epilog="Start with: retention run",
)
DATABASES = ("warehouse", "crm", "helpdesk")


@app.command()
def up() -> None:
    """Start PostgreSQL and Airflow with its UI on 127.0.0.1, and leave them running."""
    with _working() as (home, progress):
        from retention.local import setup

        ui = setup.up(home, progress)
        progress.console.print(
            f"\n  Airflow   {ui.url}\n  user      {ui.user}\n  password  {ui.password}", highlight=False
        )
        progress.console.print("  Stop with `make down`.", highlight=False)


@app.command()
def down() -> None:
    """Stop Airflow and PostgreSQL. Data stay; `retention up` or `retention run` goes on from them."""
    with _working() as (home, progress):
        from retention.local import setup

        stopped = setup.down(home)
        progress.say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def run(
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The morning to build, for your own sources. Default: the last one."),
    ] = None,
) -> None:
    """Run the next night to its end and show what came out.

    The first time a simulated operator is created; then it lives a day more for each run. A night that did not finish
    is continued.
    """
    with _working() as (home, progress):
        from retention.local import report
        from retention.local.run import run_next

        finished = run_next(home, progress, None if as_of is None else as_of.date())
        report.show_night(home, finished, progress.console)


@app.command()
def simulate(
    subscribers: Annotated[int, typer.Option(min=1, help="Active subscriptions at the start.")] = 10_000,
    days: Annotated[int, typer.Option(min=1, help="Days lived, from 2025-01-01.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed gives the same operator.")] = 1,
    forward: Annotated[int, typer.Option(min=0, help="Let the present operator live so many days more.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace the present operator without asking.")] = False,
) -> None:
    """Make a simulated operator anew, or move it on with --forward. A new one starts with an empty warehouse."""
    with _working() as (home, progress):
        from retention.local import setup

        setup.up_databases(home, progress)
        if forward:
            setup.forward_operator(home, forward, progress)
            return
        day = setup.operator_day(home)
        if day is not None and not yes:
            question = f"Replace the operator that has lived until {day}, and everything in the warehouse?"
            if not sys.stdin.isatty():
                _fail(f"{question} Nothing was changed. Say so with --yes.")
            typer.confirm(question, abort=True)
        setup.create_operator(home, subscribers, days, seed, progress)


@app.command()
def status() -> None:
    """The last night: steps, loads, checks that failed, slots, and who is at work."""
    with _working(alone=False) as (home, progress):
        from retention.local import status as state

        state.show_status(home, progress.console)


@app.command()
def rollback() -> None:
    """Show BI the previous publication again, until the next build begins."""
    with _working() as (home, progress):
        from contextlib import closing

        import psycopg2

        from retention import publish
        from retention.local import settings

        with closing(psycopg2.connect(settings.dsn(home, "warehouse", "publisher"))) as conn:
            progress.say(str(publish.rollback(conn)))


@app.command()
def reload(table: Annotated[str, typer.Argument(help="As in the contract, e.g. crm.parties.")]) -> None:
    """Read a table whole again for the night that did not finish: its source was corrected since."""
    with _working() as (home, progress):
        from retention.local import setup
        from retention.local.reload import reload_table

        setup.up_databases(home, progress)
        with progress.doing(f"reload of {table}"):
            rows = reload_table(home, table)
        progress.say(f"{rows:,} rows were new or different. `retention run` goes on with the night.")


@app.command()
def rebuild(batch: Annotated[int, typer.Argument(min=1, help="A published batch: see `retention status`.")]) -> None:
    """Build a past night again from the loads it had, beside the marts, and compare it with what was published."""
    with _working() as (home, progress):
        from retention import rebuild as past
        from retention.local import settings

        with progress.doing(f"rebuild of batch {batch}"):
            comparison = past.rebuild(settings.dsn(home, "warehouse", "etl"), home.project, home.work, batch)
        progress.say(str(comparison))
        if comparison.differing:
            raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """What the sources' profile maps, what is missing, and which marts will be empty for it."""
    with _working(alone=False) as (home, progress):
        from retention.local import status as state

        if not state.show_diagnosis(home, progress.console):
            raise typer.Exit(1)


@app.command()
def install() -> None:
    """For a server of your own: create roles, databases and schemas there, as the environment says (.env.example)."""
    with _working(alone=False) as (_, progress):
        import os

        from retention.local.server import install_from

        progress.say(f"installed on {install_from(os.environ)}")


@app.command()
def url(
    database: Annotated[str, typer.Argument(help=f"One of: {', '.join(DATABASES)}.")] = "warehouse",
    role: Annotated[str | None, typer.Option(help="etl, publisher, analyst, bi_reader, source_reader.")] = None,
) -> None:
    """Print a connection URL: psql "$(retention url)". The warehouse is shown as BI sees it."""
    with _working(alone=False) as (home, _):
        from retention.local import settings

        if database not in DATABASES:
            _fail(f"there is no database `{database}` here: take one of {', '.join(DATABASES)}")
        default = "bi_reader" if database == "warehouse" else settings.SOURCE_READER
        print(settings.dsn(home, database, role or default))


@contextmanager
def _working(alone: bool = True) -> Iterator[tuple["Home", "Progress"]]:
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
        _fail("interrupted. What was finished is kept; the same command goes on from there.", code=130)
    except psycopg2.OperationalError as error:
        if error.pgcode is not None or home.cluster.is_running():
            raise
        _fail(f"PostgreSQL of {home.folder} does not run: start it with `make up` or `make run`")
    except Exception as error:
        # Our own classes are messages for people; anything else is a fault of ours and shows where it is.
        if not type(error).__module__.startswith("retention."):
            raise
        _fail(str(error))


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, code: int = 1) -> NoReturn:
    from rich.console import Console

    console: Console = Console(stderr=True)
    console.print("[bold red]retention:[/] ", end="")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
