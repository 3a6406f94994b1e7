"""`retention ...`: the platform on one machine. Rooms are imported inside the commands: help must come at once."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from retention.local import more_commands
from retention.local.command import fail, plain, working

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
    with working() as (home, progress):
        from retention.local import setup

        ui = setup.up(home, progress)
        progress.console.print(
            f"\n  Airflow   {ui.url}\n  user      {ui.user}\n  password  {ui.password}", highlight=False
        )
        progress.console.print("  Stop with `make down`.", highlight=False)


@app.command()
def down() -> None:
    """Stop Airflow and PostgreSQL. Data stay; `retention up` or `retention run` goes on from them."""
    with working() as (home, progress):
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
    with working() as (home, progress):
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
    with working() as (home, progress):
        from retention.local import setup

        setup.up_databases(home, progress)
        if forward:
            setup.forward_operator(home, forward, progress)
            return
        day = setup.operator_day(home)
        if day is not None and not yes:
            question = f"Replace the operator that has lived until {day}, and everything in the warehouse?"
            if not sys.stdin.isatty():
                fail(f"{question} Nothing was changed. Say so with --yes.")
            typer.confirm(question, abort=True)
        setup.create_operator(home, subscribers, days, seed, progress)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Plain data for machines.")] = False,
) -> None:
    """The last night and what BI reads: steps, loads with lag and rejects, checks, slots, who is at work, sizes."""
    with working(alone=False) as (home, progress):
        from retention.local import status as state

        if as_json:
            import json

            print(json.dumps(state.status_json(home), default=plain, indent=2))
        else:
            state.show_status(home, progress.console)


@app.command()
def rollback() -> None:
    """Show BI the previous publication again, until the next build begins."""
    with working() as (home, progress):
        from contextlib import closing

        import psycopg2

        from retention import publish
        from retention.local import settings

        with closing(psycopg2.connect(settings.dsn(home, "warehouse", "publisher"))) as conn:
            progress.say(str(publish.rollback(conn)))


@app.command()
def reload(table: Annotated[str, typer.Argument(help="As in the contract, e.g. crm.parties.")]) -> None:
    """Read a table whole again for the night that did not finish: its source was corrected since."""
    with working() as (home, progress):
        from retention.local import setup
        from retention.local.reload import reload_table

        setup.up_databases(home, progress)
        with progress.doing(f"reload of {table}"):
            rows = reload_table(home, table)
        progress.say(f"{rows:,} rows were new or different. `retention run` goes on with the night.")


app.add_typer(more_commands.rejects_app, name="rejects")
app.add_typer(more_commands.escalations_app, name="escalations")
app.add_typer(more_commands.text_app, name="text")


@app.command(name="accept-drift")
def accept_drift(
    table: Annotated[str, typer.Argument(help="As in the contract, e.g. helpdesk.tickets.")],
    note: Annotated[str | None, typer.Option(help="Why; kept in ops.shape_versions.")] = None,
) -> None:
    """Take a source's columns as they are now: shows what changed, and books it for the table's next load."""
    with working() as (home, progress):
        from retention.local import acceptance, setup

        setup.up_databases(home, progress)
        proposal = acceptance.propose_drift(home, table)
        for line in proposal.lines():
            progress.say(line)
        if sys.stdin.isatty():
            typer.confirm("Accept?", abort=True)
        version = acceptance.accept_drift(home, proposal, note)
        progress.say(f"accepted: version {version} of the shapes. `retention run`, or clearing the task, goes on.")


@app.command(name="accept-loss")
def accept_loss(
    table: Annotated[str, typer.Argument(help="As in the contract, e.g. crm.parties.")],
    note: Annotated[str | None, typer.Option(help="Why; kept in ops.accepted_losses.")] = None,
) -> None:
    """Let a table through once that lost more rows than a night may: the source is right, they are gone."""
    with working() as (home, progress):
        from retention.local import acceptance, setup

        setup.up_databases(home, progress)
        progress.say(f"refused: {acceptance.refused_loss(home, table)}")
        if sys.stdin.isatty():
            typer.confirm("Accept the loss?", abort=True)
        acceptance.accept_loss(home, table, note)
        progress.say("accepted for this night. `retention run`, or clearing the task, goes on.")


@app.command()
def quarantine(
    table: Annotated[str | None, typer.Argument(help="Its rows one by one, e.g. crm.subscriptions.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 50,
) -> None:
    """Rows that critical checks set aside: not in the marts until they are corrected."""
    with working(alone=False) as (home, progress):
        from retention.local.set_aside import show_quarantine

        show_quarantine(home, progress.console, table, limit)


@app.command()
def rebuild(batch: Annotated[int, typer.Argument(min=1, help="A published batch: see `retention status`.")]) -> None:
    """Build a past night again from the loads it had, beside the marts, and compare it with what was published."""
    with working() as (home, progress):
        from retention import rebuild as past
        from retention.local import settings
        from retention.text.model_file import model_path

        with progress.doing(f"rebuild of batch {batch}"):
            model = model_path(settings.environment(home))
            comparison = past.rebuild(settings.dsn(home, "warehouse", "etl"), home.project, home.work, batch, model)
        progress.say(str(comparison))
        if comparison.differing:
            raise typer.Exit(1)


@app.command()
def erase(
    party: Annotated[str | None, typer.Option(help="party_id, as in the CRM.")] = None,
    by: Annotated[str | None, typer.Option(help="Who answers for it. Default: the user you are.")] = None,
    requested_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day of the request: the clock runs from there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be erased.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="After a restore: erase whom the acts are about.")] = False,
) -> None:
    """Erase a person's data everywhere, for good, and write an act of it. Numbers that are counted do not change."""
    with working(alone=False) as (home, progress):
        import getpass

        from retention.local import erasing

        if (party is None) != replay:
            fail("say whom: --party ID, or --replay for all that were erased before. Nothing was erased.")
        eraser, name = erasing.eraser(home), by or getpass.getuser()
        if party is None:
            acts = eraser.replay(name)
            progress.say(f"{sum(act.rows > 0 for act in acts)} of {len(acts)} parties had come back and were erased")
            return
        day = None if requested_on is None else requested_on.date()
        erasing.show_act(eraser.erase(party, name, day, dry_run), eraser.work, progress.console)


@app.command()
def upkeep() -> None:
    """Remove what is past its age: old versions, texts, rejects and rows, by the seed retention_periods."""
    with working(alone=False) as (home, progress):
        from retention.local import erasing

        done = erasing.upkeep(home)
        for one in done:
            progress.say(f"{one.what} of {one.table}: {one.rows:,} rows removed")
        if not done:
            progress.say("nothing is past its age")


app.command()(more_commands.calendars)


@app.command()
def doctor() -> None:
    """What the sources' profile maps, what is missing, and which marts will be empty for it."""
    with working(alone=False) as (home, progress):
        from retention.local import status as state

        if not state.show_diagnosis(home, progress.console):
            raise typer.Exit(1)


@app.command()
def backup() -> None:
    """Write a backup of the warehouse, while it is in use, into .local/backups (RETENTION_BACKUPS)."""
    with working(alone=False) as (home, progress):
        from retention.local import backups

        with progress.doing("backup of the warehouse"):
            path, made = backups.back_up(backups.place(home))
        progress.say(f"{made.bytes / 1e6:,.1f} MB in {path}")
        progress.say("Roles' passwords and the pseudonym key are not in it: keep the env file elsewhere, too.")


@app.command()
def restore(
    name: Annotated[str | None, typer.Argument(help="A folder of .local/backups, or a path. Default: newest.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace the warehouse without asking.")] = False,
) -> None:
    """Put a backup in the place of the warehouse, after its marts were compared with what was published then."""
    with working() as (home, progress):
        from retention.local import backups, setup

        where = backups.place(home)
        path = backups.choose(where, name)
        if not yes:
            question = f"Replace the warehouse by {path.name}? It is kept under another name."
            if not sys.stdin.isatty():
                fail(f"{question} Nothing was changed. Say so with --yes.")
            typer.confirm(question, abort=True)
        if where.admin_dsn == home.cluster.dsn("postgres"):
            setup.up_databases(home, progress)
        with progress.doing(f"restore of {path.name}"):
            restored = backups.restore(home, where, path)
        progress.say(f"marts are those of batch {restored.backup.batch_id}, as of {restored.backup.as_of}")
        if restored.kept_as:
            progress.say(f'the warehouse before it is the database "{restored.kept_as}"; drop it when it is not needed')


@app.command()
def install() -> None:
    """For a server of your own: create roles, databases and schemas there, as the environment says (.env.example)."""
    with working(alone=False) as (_, progress):
        import os

        from retention.local.server import install_from

        progress.say(f"installed on {install_from(os.environ)}")


@app.command()
def url(
    database: Annotated[str, typer.Argument(help=f"One of: {', '.join(DATABASES)}.")] = "warehouse",
    role: Annotated[str | None, typer.Option(help="As whom: etl, publisher, analyst, bi_reader, outreach...")] = None,
) -> None:
    """Print a connection URL: psql "$(retention url)". The warehouse is shown as BI sees it."""
    with working(alone=False) as (home, _):
        from retention.local import settings

        if database not in DATABASES:
            fail(f"there is no database `{database}` here: take one of {', '.join(DATABASES)}")
        default = "bi_reader" if database == "warehouse" else settings.SOURCE_READER
        print(settings.dsn(home, database, role or default))


if __name__ == "__main__":
    app()
