"""Creating a simulated operator and moving it on.

Law: create(D days) followed by forward(1) equals create(D + 1 days), in every table, file and truth. Each day has its
own random numbers, each row is written on its own day, and the state is stored last: a killed forward is repeated.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from retention.simulator import days as simulated
from retention.simulator import tables, truth, usage
from retention.simulator.codes import COUNTED_CHANNELS, NA, Ints
from retention.simulator.files import append_from, write_drops
from retention.simulator.load import FLUSH_ROWS, Buffer, Databases
from retention.simulator.render import csv_text
from retention.simulator.schema import TABLES, Table
from retention.simulator.state import World

FIRST_DATE = date(2025, 1, 1)
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Summary:
    """What was written. `day` is the last simulated day, `rows` by table."""

    day: date
    rows: dict[str, int]
    seconds: float


def create(crm_dsn: str, helpdesk_dsn: str, folder: Path, subscribers: int, days: int, seed: int,
           progress: Progress | None = None) -> Summary:  # fmt: skip
    """Makes an operator anew: its two databases' tables, daily files, truth and state. What was there is replaced.

    One transaction a database: an interrupted run leaves the old tables. Raises ValueError below 1 subscriber or day.
    """
    if subscribers < 1 or days < 1:
        raise ValueError(f"subscribers ({subscribers}) and days ({days}) must be at least 1; nothing was changed")
    began = time.perf_counter()
    for name in ("state", "truth", "drops"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    world = World(seed, subscribers)
    counts: Counter[str] = Counter()
    with Databases(crm_dsn, helpdesk_dsn) as databases:
        databases.create_tables()
        buffer = Buffer(databases)

        def keep(name: str, rows: Ints) -> None:
            counts[name] += rows.shape[1]
            buffer.add(name, rows)

        for day in range(days):
            if day and usage.month_start(day) == day:
                # The month is over: its rows are final.
                keep("usage_months", usage.rows(world, day - 1, NA))
                _report(progress, f"{FIRST_DATE + timedelta(days=day)}", sum(counts.values()))
            for name, rows in _one_day(world, folder, counts).items():
                keep(name, rows)
        keep("usage_months", usage.rows(world, days - 1, NA))
        for name in tables.ENTITIES:
            for start in range(0, tables.size(world, name), FLUSH_ROWS):
                keep(name, tables.rows(world, name, NA, start, start + FLUSH_ROWS))
        for name in tables.SMALL:
            keep(name, tables.small(world, name))
        buffer.flush()
        _report(progress, "keys and indexes", sum(counts.values()))
        databases.finish_tables()
    return _finish(world, folder, counts, began)


def forward(crm_dsn: str, helpdesk_dsn: str, folder: Path, days: int = 1, progress: Progress | None = None) -> Summary:
    """Moves an operator on by `days` from its stored state; each day is committed before the next begins.

    Raises FileNotFoundError when `folder` holds no state (then create one).
    """
    state = _state(folder)
    if not state.exists():
        raise FileNotFoundError(
            f"{state}: no simulated operator here, or its creation was interrupted. Nothing was changed. "
            "Run `retention simulate` with --subscribers and --days to create one."
        )
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    world = World.load(state)
    for _ in range(days):
        since, day = world.start, world.day
        with Databases(crm_dsn, helpdesk_dsn) as databases:
            changes = _one_day(world, folder, counts)
            changes["usage_months"] = usage.rows(world, day, since)
            for name in tables.ENTITIES:
                changes[name] = tables.rows(world, name, since, 0, tables.size(world, name))
            for name in tables.SMALL:
                changes[name] = tables.small(world, name)
            for name, rows in changes.items():
                counts[name] += rows.shape[1]
                databases.upsert(TABLES[name], rows)
        _report(progress, f"{FIRST_DATE + timedelta(days=day)}", sum(counts.values()))
        summary = _finish(world, folder, counts, began)
    return summary


def _one_day(world: World, folder: Path, counts: Counter[str]) -> dict[str, Ints]:
    """Simulates a day, writes its files and returns the rows of its database tables."""
    day = world.day
    rows, lost = simulated.simulate(world)
    write_drops(folder / "drops", day, rows)
    _append_truth(world, folder, TABLES["texts"], rows.get("texts", np.empty((4, 0), np.int64)))
    counted = np.concatenate([rows["channel_totals"][:3], lost.reshape(1, COUNTED_CHANNELS)])
    _append_truth(world, folder, truth.CONTACT_COUNTS, counted)
    for name in [name for name in rows if TABLES[name].place in ("drops", "truth")]:
        counts[name] += rows.pop(name).shape[1]
    return rows


def _append_truth(world: World, folder: Path, table: Table, rows: Ints) -> None:
    path = folder / "truth" / f"{table.name}.csv"
    counter = f"{table.name}_bytes"
    length = world.counters.get(counter, 0)
    world.counters[counter] = append_from(path, length, csv_text(table, rows, with_header=length == 0))


def _finish(world: World, folder: Path, counts: Counter[str], began: float) -> Summary:
    truth.write(world, folder / "truth")
    world.save(_state(folder))
    last = FIRST_DATE + timedelta(days=world.day - 1)
    return Summary(last, dict(sorted(counts.items())), time.perf_counter() - began)


def _state(folder: Path) -> Path:
    return folder / "state" / "operator.npz"


def _report(progress: Progress | None, step: str, rows: int) -> None:
    if progress:
        progress(step, rows)
