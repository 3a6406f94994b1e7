"""Everything that `make bench` measures, into docs/benchmarks.md. A table of figures and ratios, not a test."""

import platform
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench_clocks
import bench_extract
import bench_mariadb
import bench_nights
import bench_outcomes
import bench_text

TARGET = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (header, *rows))
    first, *others = ("| " + " | ".join(row) + " |" for row in cells)
    return "\n".join([first, "|---|" + "---:|" * (len(header) - 1), *others])


def ways(results: Sequence[dict[str, object]]) -> str:
    """One row for each way of moving the same rows."""
    header = list(results[0])
    return table(header, [[_shown(row[name]) for name in header] for row in results])


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def nights(costs: Sequence[bench_nights.StepCost]) -> str:
    """One table for each size: both nights side by side, by step."""
    parts = []
    for size, of_size in groupby(costs, key=lambda cost: cost.subscribers):
        by_step: dict[str, list[bench_nights.StepCost]] = {}
        for cost in of_size:
            by_step.setdefault(cost.step, []).append(cost)
        rows = [
            [step, *(f"{cost.seconds:.1f}" for cost in pair), *(f"{cost.peak_mb:.0f}" for cost in pair)]
            for step, pair in by_step.items()
        ]
        totals = [sum(pair[night].seconds for pair in by_step.values()) for night in (0, 1)]
        rows.append(["**whole night**", *(f"**{total:.1f}**" for total in totals), "", ""])
        header = ["step", "first load, s", "next night, s", "first load, peak MB", "next night, peak MB"]
        parts.append(f"### {size:,} subscribers, {bench_nights.DAYS} days\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def clocks(costs: Sequence[bench_clocks.ClockCost]) -> str:
    """One row for each way of timing clocks."""
    header = ["way", "clocks", "seconds", "us per clock"]
    return table(
        header,
        [[c.way, f"{c.clocks:,}", f"{c.seconds:.2f}", f"{1e6 * c.seconds / c.clocks:,.0f}"] for c in costs],
    )


def outcomes(cost: bench_outcomes.OutcomeCost) -> str:
    """One row for each part of the outcome step."""
    rows = [[part.part, f"{part.seconds:.1f}", f"{part.sql_seconds:.1f}"] for part in cost.parts]
    return table(["part", "seconds", "of those in SQL"], rows)


def main() -> None:
    """Measure and write."""
    extraction = ways(bench_extract.run())
    mariadb = bench_mariadb.run()
    read = bench_text.run()
    timed = clocks(bench_clocks.run(100_000))
    tracked = bench_outcomes.run(1_000_000)
    costs = bench_nights.run([10_000, 100_000, 1_000_000])
    TARGET.write_text(
        f"""# Benchmarks

Written by `make bench` on {platform.machine()}, Python {platform.python_version()}. Seconds depend on the machine and
on what else it does: compare the rows of one run with each other.

## Extraction

One table from one PostgreSQL to another, in the same run.

{extraction}

The same table from MariaDB, without MariaDB's own CPU.

{ways(mariadb) if mariadb else "Not measured: MariaDB was not installed."}

## Texts

Messages a second through the reader on one core (`plugins/retention/text`), in chunks of 2,000, from nothing: a word is
slow the first time. The rows with a dash come after the whole and know the words. Near-duplicates of replies included.

{ways(read)}

## Clocks

Start, stop, due and pauses on {bench_clocks.CALENDARS} calendars, from tickets with ten events each. Schedules are
expanded by joining each clock with every window that it overlaps, as fivetran/dbt_zendesk does; both give the same
seconds.

{timed}

## Outcomes

{tracked.subscribers:,} subscribers and {bench_nights.DAYS} days ({tracked.episodes:,} index episodes,
{tracked.contacts:,} contacts): {tracked.seconds:.0f} s, peak {tracked.peak_mb:.0f} MB. By part, under a profiler that
slows Python and not SQL.

{outcomes(tracked)}

## Nights

Each step in a process of its own, as Airflow runs it, without Airflow's own start-up; tables one after the other
(Airflow reads four at once). Peak memory is the process's, most of it imported libraries.

{nights(costs)}
""",
        encoding="utf-8",
    )
    print(f"written: {TARGET}")


if __name__ == "__main__":
    main()
