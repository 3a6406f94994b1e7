"""What a person reads after a night: the retention manager's table, and where to go on."""

from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection
from rich import box
from rich.console import Console
from rich.table import Table

from retention.local import settings
from retention.local.home import Home
from retention.local.postgres import binary
from retention.local.run import Finished

#: What a retention manager asks first: title by (metric, horizon in days), in order.
HEADLINES = {
    ("share_left_any", 30): "Share left within 30 days",
    ("share_left_any", 60): "Share left within 60 days",
    ("share_left_any", 90): "Share left within 90 days",
    ("repeat_contact_rate", 7): "Repeat contacts within 7 days",
    ("repeat_contact_rate", 30): "Repeat contacts within 30 days",
    ("saved_3a", 90): "Restored after an order to leave",
    ("saved_3b", 90): "Restored after a threat to leave",
    ("won_back", 90): "Restored after leaving by order",
    ("reactivated", 90): "Restored after falling silent",
}
#: Metrics whose numerator is people that somebody may want to see.
COUNTED = {"saved_3a", "saved_3b", "won_back", "reactivated"}
_METRICS = """
select metric, horizon_days, numerator, value, ci_low, ci_high, n, maturity_status, refusal_reason
from marts.retention_metrics
where
    is_latest and breakdown = 'none' and level = 'all' and segment = 'all'
    and (metric, horizon_days) in %s
"""


def show_night(home: Home, finished: Finished, console: Console) -> None:
    """The published night in numbers, as role bi_reader sees it; then where to connect and what to try next."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "bi_reader"))) as conn:
        console.print()
        console.print(metrics_table(conn, f"Complaints and retention, as of {finished.as_of:%Y-%m-%d %H:%M} Moscow"))
    program, psql = _from_here(home.project / ".venv" / "bin" / "retention"), _from_here(binary("psql"))
    lines = (
        f"The night took {finished.seconds:.0f} s. PostgreSQL keeps running; `make down` stops it.",
        "",
        f"""Query the marts    {psql} "$({program} url)" -c '\\dv+ marts.*'""",
        "Run the next night make run",
        "See Airflow        make up",
        f"See what happened  {program} status",
        f"Undo this night    {program} rollback",
        f"Your own sources   {program} doctor, and README.md",
    )
    console.print()
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _from_here(path: Path) -> Path:
    """The path as one would type it in the present folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def metrics_table(conn: Connection, title: str) -> Table:
    """HEADLINES over all levels and segments; a value that is refused says why."""
    with conn, conn.cursor() as cur:
        cur.execute("select count(*) from marts.fct_complaint_episodes")
        (episodes,) = cur.fetchone() or (0,)
        cur.execute(_METRICS, (tuple(HEADLINES),))
        found = {(row[0], row[1]): row[2:] for row in cur.fetchall()}
    caption = "Restored: 90 days after the complaint still a subscriber, or again after having left."
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left", box=box.SIMPLE_HEAD)
    for column in ("", "value", "95 % interval", "of", "how final"):
        table.add_column(column, justify="left" if column in {"", "how final"} else "right", no_wrap=True)
    table.add_row("Complaint episodes", f"{episodes:,}", "", "", "")
    for (metric, horizon), name in HEADLINES.items():
        table.add_row(name, *_cells(metric, found.get((metric, horizon))))
    return table


def _cells(metric: str, row: tuple[object, ...] | None) -> tuple[str, str, str, str]:
    if row is None:
        return ("-", "", "", "not measured")
    numerator, value, low, high, n, maturity, refusal = row
    if value is None:
        return ("-", "", f"{n:,}", str(refusal).replace("_", " "))
    shown = f"{numerator:,} = {value:.1%}" if metric in COUNTED else f"{value:.1%}"
    return (shown, f"{low:.1%} to {high:.1%}", f"{n:,}", str(maturity).replace("_", " "))
