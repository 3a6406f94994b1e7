"""How long what is kept: the seed retention_periods, validated against the contract."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from retention.erasure.errors import ErasureError
from retention.erasure.people import NUMBER
from retention.sources.contract import Contract, Table

REJECTS = "raw.rejects"
KINDS = ("texts", "rejects", "rows", "versions")


@dataclass(frozen=True)
class Period:
    """After so many days `what` of a table goes."""

    table: str
    what: str
    keep_days: int


def texts_of(table: Table) -> list[str]:
    """Personal columns that go with age: all but the number, which links."""
    return [name for name in table.personal if name != NUMBER]


def load_periods(seed: Path, contract: Contract, file_tables: Collection[str]) -> list[Period]:
    """The periods, in the order in which they are applied; ErasureError names the line that cannot be applied.

    `file_tables` are the tables that come from files: only of these can rows go, since a database's are counted against
    the source, key by key.
    """
    periods = []
    with seed.open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            if problem := _problem(row, contract, file_tables):
                raise ErasureError(f"{seed.name}, line {line}: {problem}. Nothing was removed.")
            periods.append(Period(row["table_name"], row["what"], int(row["keep_days"])))
    return sorted(periods, key=lambda period: (KINDS.index(period.what), period.table))


def _problem(row: dict[str, str], contract: Contract, file_tables: Collection[str]) -> str | None:
    name, what, days = row["table_name"], row["what"], row["keep_days"]
    if what not in KINDS:
        return f"what is none of {', '.join(KINDS)}"
    if not days.isdigit() or int(days) < 1:
        return "keep_days is not a number of days"
    if (name == REJECTS) != (what == "rejects"):
        return f"rejects go with {REJECTS}, and nothing else does"
    if name == REJECTS:
        return None
    table = contract.tables.get(name)
    if table is None:
        return f"{name} is not in the contract"
    if what == "versions":
        return None
    if table.event_at is None:
        return f"{name} has no event_at: nothing says how old a row is"
    if what == "texts" and not texts_of(table):
        return f"{name} has no personal texts"
    if what == "rows" and name not in file_tables:
        return f"{name} comes from a database, whose keys are counted against raw: rows go there first"
    return None
