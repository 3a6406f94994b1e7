"""The platform's state for a person: the last night from its books, and the sources as the doctor finds them."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from retention.local import settings
from retention.local.home import Home
from retention.local.state import Row, State, read_state
from retention.sources import doctor
from retention.sources.profile import load_profile

ZONE = ZoneInfo("Europe/Moscow")
#: A holder of the lease that was silent for longer is taken over.
SILENT_SECONDS = 30


def status_json(home: Home) -> dict[str, Any]:
    """The state as plain data; instants are ISO 8601 with zone, sizes bytes, durations seconds."""
    return asdict(read_state(home))


def show_status(home: Home, console: Console) -> None:
    """The last night in a few lines, then what went wrong, tables, checks, slots, who is at work, and sizes."""
    state = read_state(home)
    for line in headline(state):
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    for step in state.failures:
        console.print(f"\n  [bold red]{escape(step['step'])}[/] failed at {_at(step['failed_at'])}", highlight=False)
        console.print(_indented(step["message"]), markup=False, highlight=False, soft_wrap=True)
    if state.night is not None:
        for table in _night_tables(state):
            _print(console, table)
    if state.alerts:
        _print(console, _alerts(state))
    _print(console, _slots(state))
    if state.sizes is not None:
        for table in _sizes(state.sizes):
            _print(console, table)
    else:
        console.print("\n  Sizes: a table is being made anew; ask again in a moment.", highlight=False)


def headline(state: State) -> list[str]:
    """What one asks first: is the night done, what does BI read, is anything at work."""
    lines = [f"Airflow     {', '.join(state.airflow) or 'not running'}"]
    night = state.night
    if night is None:
        return [*lines, "Last night  none was run yet: `retention run`"]
    name = f"batch {night['batch_id']}, as of {_at(night['as_of'])} Moscow"
    if night["state"] == "published":
        verdict = f"[green]published[/] at {_at(night['published_at'])}, {night['minutes']:.1f} minutes of work"
    elif state.failures:
        verdict = f"[bold red]stopped[/] in {escape(night['failed_steps'])}: see below, docs/runbooks/nightly.md"
    elif state.at_work:
        verdict = f"[yellow]at work[/] since {_at(night['opened_at'])}: {', '.join(r['step'] for r in state.at_work)}"
    else:
        verdict = "[yellow]not finished[/], nobody at work: `retention run` goes on with it"
    lines.append(f"Last night  {name}: {verdict}")
    if state.publication is not None:
        shown = state.publication
        verb = "published" if shown["action"] == "publish" else "rolled back to"
        lines.append(
            f"BI reads    batch {shown['batch_id']}, as of {_at(shown['as_of'])}, {verb} at "
            f"{_at(shown['published_at'])}: {shown['marts']} marts, {shown['rows']:,} rows"
        )
    else:
        lines.append("BI reads    nothing yet: no night was published")
    if state.not_loaded:
        lines.append(f"[yellow]Not loaded[/]  {len(state.not_loaded)} tables: {', '.join(state.not_loaded)}")
    if late := [row["table"] for row in state.tables if row["is_late"] and row["is_loaded_tonight"]]:
        lines.append(f"[yellow]Late[/]        {', '.join(late)}: older than usual, see lag")
    for what, column in (("Rejects", "rejects_open"), ("Set aside", "quarantined")):
        if count := sum(row[column] for row in state.tables):
            lines.append(f"[yellow]{what:<11}[/] {count:,} rows: `retention {_COMMANDS[column]}`")
    return lines


_COMMANDS = {"rejects_open": "rejects", "quarantined": "quarantine"}


def _night_tables(state: State) -> Iterable[Table]:
    loads = []
    for row in state.tables:
        tonight = [row[name] if row["is_loaded_tonight"] else "-" for name in ("read", "appended", "deleted")]
        loads.append((row["table"], *tonight, row["rejects_open"], row["quarantined"], row["live"], _lag(row)))
    yield _table("Loads", ("table", "read", "new", "gone", "rejects", "aside", "live", "lag"), loads, right=("lag",))
    yield _table("Steps", ("step", "rows", "s"), ((r["step"], r["rows"], r["seconds"]) for r in state.steps))
    yield _table(
        "Checks", ("gate", "asked", "passed", "warnings", "set aside", "critical"),
        ((r["gate"], r["asked"], r["passed"], r["warnings"], r["quarantined"], r["critical"]) for r in state.checks),
    )  # fmt: skip
    if state.failed_checks:
        table = _table("Checks that did not pass", ("what", "rows", "why"), ())
        for row in state.failed_checks:
            fate = "set aside" if row["is_quarantined"] else row["severity"]
            what = f"{row['gate']}: {row['table']}\n{row['check']}\n{fate}"
            table.add_row(escape(what), _text(row["rows"]), escape(row["message"] or ""))
        yield table


def _alerts(state: State) -> Table:
    told = (
        row["error"]
        or (f"{row['channel']}, {_at(row['delivered_at'])}" if row["channel"] else "no RETENTION_ALERT_URL")
        for row in state.alerts
    )
    rows = (
        (_at(row["as_of"]), row["kind"], _at(row["raised_at"]), who)
        for row, who in zip(state.alerts, told, strict=True)
    )
    return _table("Alerts", ("night", "alert", "raised", "delivered"), rows)


def _slots(state: State) -> Table:
    table = _table("Slots and lease", ("what", "state", "batch or step", "since"), ())
    for row in state.slots:
        table.add_row(row["slot"], row["state"], _text(row["batch_id"]), _at(row["changed_at"]))
    for row in state.at_work:
        silent = row["silent_seconds"]
        sign = "[red]silent[/]" if silent > SILENT_SECONDS else "at work"
        table.add_row(escape(row["run"]), sign, escape(row["step"]), f"last sign {silent:.0f} s ago")
    if not state.at_work:
        table.add_row("lease", "free", "", "")
    return table


def _sizes(sizes: Row) -> Iterable[Table]:
    title = f"Sizes: {_bytes(sizes['database_bytes'])}, {_bytes(sizes['disk_free_bytes'])} free on the disk"
    rows = ((row["schema"], row["tables"], _bytes(row["bytes"])) for row in sizes["schemas"])
    yield _table(title, ("schema", "tables", "size"), rows, right=("size",))
    rows = ((row["table"], f"~{row['rows_about']:,}", _bytes(row["bytes"])) for row in sizes["tables"])
    yield _table("Biggest tables", ("table", "rows", "size"), rows, right=("rows", "size"))


def show_diagnosis(home: Home, console: Console) -> bool:
    """What the profile in force maps and lacks, and which marts suffer; returns whether a night can run."""
    environment = settings.environment(home)
    profile = load_profile(environment["RETENTION_SOURCES"]).resolved(environment)
    manifest = home.work / "dbt" / "marts_a" / "manifest.json"
    if not manifest.exists():
        from retention.transform import Dbt, Project

        # Before the first night nobody has parsed the models; parsing writes the manifest and connects to nothing.
        manifest.parent.mkdir(parents=True, exist_ok=True)
        Dbt(Project(home.project / "dbt_project", manifest.parent, settings.dsn(home, "warehouse", "etl")))
    marts = doctor.marts_of_manifest(manifest)
    diagnosis = doctor.diagnose(profile, settings.source_dsns(home), marts)
    table = Table(title=f"Profile {diagnosis.profile}", title_justify="left")
    for column in ("table", "state", "from", "mapped", "not supplied", "in the source only"):
        table.add_column(column)
    for found in diagnosis.tables:
        table.add_row(
            found.table, found.state, found.origin, str(len(found.mapped)) if found.mapped else "",
            ", ".join((*(f"{name} (required)" for name in found.missing_required), *found.missing)),
            ", ".join(found.unmapped),
        )  # fmt: skip
    console.print(table)
    for found in diagnosis.tables:
        if found.problem:
            console.print(f"  {found.table}: {found.problem}", markup=False, highlight=False, soft_wrap=True)
    for mart in diagnosis.marts:
        verdict = "will be empty" if mart.is_empty else "will lack something"
        console.print(f"  mart {mart.mart} {verdict}: no {', '.join(mart.lacking)}", highlight=False, soft_wrap=True)
    return diagnosis.is_healthy


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], right: tuple[str, ...] = ()) -> Table:
    """A narrow table; columns of numbers, and those named in `right`, are right-aligned."""
    cells = list(rows)
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False)
    for number, column in enumerate(columns):
        is_number = any(isinstance(row[number], int | float) for row in cells)
        is_right = is_number or column in right
        table.add_column(column, justify="right" if is_right else "left", no_wrap=is_number, overflow="fold")
    for row in cells:
        table.add_row(*(escape(_text(cell)) for cell in row))
    return table


def _print(console: Console, table: Table) -> None:
    """The title as a line of its own: a table's would wrap at its width."""
    console.print(f"\n  [bold]{table.title}[/]", highlight=False, soft_wrap=True)
    table.title = None
    if table.row_count:
        console.print(Padding(table, (0, 0, 0, 1), expand=False))
    else:
        console.print("  none")


def _lag(row: Row) -> str:
    if row["lag_hours"] is None:
        return "-"
    text = f"{row['lag_hours']:.1f} h" if abs(row["lag_hours"]) < 100 else f"{row['lag_hours'] / 24:.0f} d"
    return f"{text} late" if row["is_late"] and row["is_loaded_tonight"] else text


def _at(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(ZONE):%Y-%m-%d %H:%M}"


def _bytes(count: int) -> str:
    size, units = float(count), ("B", "kB", "MB", "GB")
    for unit in units:
        if size < 1000 or unit == units[-1]:
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if size >= 10 else f"{size:,.1f} {unit}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
