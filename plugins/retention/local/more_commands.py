"""Commands about single matters: rows that could not be read, escalations, reading texts, calendars.

`retention.cli` takes them in. Rooms are imported inside the commands: help must come at once.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from retention.local.command import working

rejects_app = typer.Typer(help="Rows that could not be read: what is open, and reading it again.")


@rejects_app.callback(invoke_without_command=True)
def rejects(
    context: typer.Context,
    replayed: Annotated[bool, typer.Option("--all", help="Also those that were read again since.")] = False,
) -> None:
    """Rows that could not be read: count by table, file, reason and load. Without what they say."""
    if context.invoked_subcommand is not None:
        return
    with working(alone=False) as (home, progress):
        from retention.local import rejects as room

        room.show_summary(home, progress.console, replayed)


@rejects_app.command("show")
def show_rejects(
    table: Annotated[str, typer.Argument(help="As in the contract, e.g. vendor.call_attempts.")],
    file: Annotated[str | None, typer.Option(help="Of this file only, as `retention rejects` names it.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    rows: Annotated[bool, typer.Option("--rows", help="What they say, too: personal. On a terminal only.")] = False,
) -> None:
    """List open rejects of a table with file, line and reason."""
    with working(alone=False) as (home, progress):
        from retention.local import rejects as room

        room.show_rows(home, progress.console, table, file, limit, rows)


@rejects_app.command("replay")
def replay_rejects(
    table: Annotated[str, typer.Argument(help="As in the contract, e.g. vendor.call_attempts.")],
    file: Annotated[str | None, typer.Option(help="This file only, as `retention rejects` names it.")] = None,
) -> None:
    """Read again what has open rejects: now, if a night is unfinished, else with the table's next load."""
    with working() as (home, progress):
        from retention.local import rejects as room
        from retention.local import setup

        setup.up_databases(home, progress)
        with progress.doing(f"replay of {table}"):
            done = room.replay(home, table, file)
        if done.appended is None:
            progress.say(f"{done.asked:,} rejects: the next load of {table} reads them again (`retention run`).")
            return
        progress.say(
            f"{done.asked:,} rejects were read again: {done.appended:,} rows came in, {done.still_open:,} are open. "
            "`retention run` goes on with the night."
        )


escalations_app = typer.Typer(help="Sensitive episodes to be taken over: what is in the outbox, and a run by hand.")


@escalations_app.callback(invoke_without_command=True)
def escalations(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 30,
) -> None:
    """Sensitive episodes in the outbox that nobody delivered yet, the first due first; ids only."""
    if context.invoked_subcommand is not None:
        return
    with working(alone=False) as (home, progress):
        from retention.local import escalations as room

        room.show_outbox(home, progress.console, limit)


@escalations_app.command("run")
def run_escalations(
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M"], help="End of the interval, Moscow. Default: the last ten minutes."),
    ] = None,
) -> None:
    """Do now what the DAG escalations does every ten minutes: load, check, read, build, hand over."""
    with working() as (home, progress):
        from retention.local import escalations as room
        from retention.local import setup

        setup.up_databases(home, progress)
        with progress.doing("what was written since"):
            done = room.run_now(home, as_of)
        progress.say(room.describe(done))


text_app = typer.Typer(no_args_is_help=True, help="The model of sentiment and topic: train it, measure it.")


@text_app.command("train")
def train_text(
    labels: Annotated[
        Path | None, typer.Option(help="CSV: text, sentiment (-1, 0, 1), topic. Default: only the shipped labels.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to. Default: .local/text_model.npz; without labels the shipped one.")
    ] = None,
) -> None:
    """Train on your own labelled messages, and on the shipped ones besides. Nothing leaves this machine."""
    with working(alone=False) as (home, progress):
        from retention.text.console import train_here

        train_here(home.project, home.folder, labels, out, progress.console)


@text_app.command("evaluate")
def evaluate_text(
    labels: Annotated[Path, typer.Option(help="CSV: text, sentiment (-1, 0, 1), topic. Not those it was trained on.")],
    model: Annotated[Path | None, typer.Option(help="Default: RETENTION_TEXT_MODEL, else the shipped one.")] = None,
) -> None:
    """Precision and recall of each sentiment and topic on labelled messages."""
    with working(alone=False) as (home, progress):
        from retention.text.console import evaluate_here

        evaluate_here(home.project, labels, model, progress.console)


def calendars(
    years: Annotated[str, typer.Option(help="First and last year, as 2023-2028: all that the seed is to hold.")],
) -> None:
    """Write the seed of holidays, moved working days and short days of these years: docs/business_time.md."""
    with working(alone=False) as (home, progress):
        from retention.calendars import days

        wanted = days.parse_years(years)
        seed = home.project / "dbt_project" / "seeds" / "calendar_days.csv"
        days.refuse_lost_years(wanted, seed)
        rows = days.days_of(wanted, days.read_short_days())
        seed.write_text(days.as_csv(rows), encoding="utf-8")
        progress.say(f"{len(rows)} days into {seed.relative_to(home.project)}; the next night computes with them")
