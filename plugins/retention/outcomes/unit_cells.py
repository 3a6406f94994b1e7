"""The units that handled cases (agents, teams, vendors, in-house): their cases by quarter, and which must be hidden."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from retention.outcomes.cells import SECONDS_PER_DAY, Flags, Positions
from retention.outcomes.standardise import Floats
from retention.outcomes.suppression import ALL, Cell, hidden_cells

IN_HOUSE, OUTSOURCED, UNKNOWN = "in_house", "outsourced", "unknown"
#: A comparison that loses more of a unit's own cases than this, for want of like cases elsewhere, is none.
MAX_DROPPED_SHARE = 0.5
#: Quarters that are looked at, the latest included.
QUARTERS = 8
#: The unit that a unit's cases add up to, by kind: the column of the frame that names it.
TOTAL_OF = {"team": "partner", "vendor": "sourcing", "sourcing": None}

Cells = dict[Cell, Positions]
#: A cell of one of several tables that share cells: (kind of unit, (unit, period)).
Key = tuple[str, Cell]
#: Cells that add up to one total: what each is called elsewhere, and its size.
Table = tuple[dict[Cell, Key], dict[Cell, int]]


@dataclass(frozen=True)
class Cases:
    """The frame of partner_inputs.CASE_COLUMNS as arrays (n,) of the latest quarters, judged at one horizon.

    stratum: codes of stratum and quarter together, so that only cases of one quarter are ever compared.
    """

    left: Flags
    is_mature: Flags
    stratum: Positions
    party: Positions
    stayed_s: Floats  # to the first end of any kind or the horizon
    cost_rub: Floats


def latest_quarters(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases of the latest QUARTERS quarters in which there are any, positions anew."""
    quarters = sorted(cases["period"].unique())[-QUARTERS:]
    return cases[cases["period"].isin(quarters)].reset_index(drop=True)


def judge(cases: pd.DataFrame, days: int) -> Cases:
    """Who of the frame is old enough to judge at `days`, and who had left voluntarily by then, before any other end."""
    horizon = float(days * SECONDS_PER_DAY)
    churn = np.nan_to_num(cases["churn_s"].to_numpy(), nan=np.inf)
    competing = np.nan_to_num(cases["competing_s"].to_numpy(), nan=np.inf)
    # Periods are few: one code for both, so that each quarter has its own strata.
    quarter = cases["period"].cat.codes.to_numpy().astype(np.int64)
    strata = len(cases["stratum"].cat.categories)
    return Cases(
        left=(churn < horizon) & (churn <= competing),
        is_mature=cases["followed_s"].to_numpy() >= horizon,
        stratum=quarter * strata + cases["stratum"].cat.codes.to_numpy(),
        party=cases["party"].to_numpy(),
        stayed_s=np.minimum(np.minimum(churn, competing), horizon),
        cost_rub=cases["cost_rub"].to_numpy(),
    )


def units(cases: pd.DataFrame, kind: str, chosen: Flags) -> Cells:
    """Row positions of every (unit, quarter) of a kind with any chosen case, and of (unit, 'all').

    A vendor is an outsourced partner.
    """
    column = "partner" if kind == "vendor" else kind
    positions = np.flatnonzero(chosen & _is_of(cases, kind))
    part = cases.iloc[positions]
    found: Cells = {}
    for cell, rows in part.groupby([column, "period"], observed=True, sort=True).indices.items():
        found[cast(Cell, cell)] = positions[rows]
    for unit, rows in part.groupby(column, observed=True, sort=True).indices.items():
        found[str(unit), ALL] = positions[rows]
    return found


def is_small(party: Positions, rows: Positions, min_cell_n: int) -> bool:
    """Whether a cell's rows are too few to publish, or of one party only. No rows are nothing to hide."""
    return bool(len(rows) and (len(rows) < min_cell_n or (party[rows] == party[rows[0]]).all()))


def hidden_units(
    cases: pd.DataFrame, cells: dict[str, Cells], small: set[Key], min_cell_n: int, below: Sequence[Table] = ()
) -> set[Key]:
    """The small (kind, cell) and those that would give them away.

    Teams add up to their partner, vendors to what is outsourced, every unit's quarters to all of them. What is hidden
    in one table hides its total in the table above, and a total its parts in the table below, until nothing changes.
    cells: the narrower kinds first. below: tables whose totals are parts in those of `cells`.
    """
    tables = [*below, *(table for kind in cells for table in _tables(cases, kind, cells[kind]))]
    hidden = set(small)
    while True:
        before = len(hidden)
        unknown: dict[Key, int] = {}
        for keys, sizes in tables:
            # Of a hidden total only its hidden parts are unknown, so that is all it hides in the table above.
            unknown_sizes = {cell: unknown.get(keys[cell], n) for cell, n in sizes.items()}
            found = hidden_cells(unknown_sizes, {cell for cell, key in keys.items() if key in hidden}, min_cell_n)
            hidden |= {keys[cell] for cell in found}
            parts = [cell for cell in found if cell[0] != ALL]
            for unit, period in found:
                if unit == ALL and (n := sum(unknown_sizes[part] for part in parts if part[1] == period)):
                    unknown[keys[unit, period]] = n
        if len(hidden) == before:
            return hidden


def _tables(cases: pd.DataFrame, kind: str, cells: Cells) -> Iterator[Table]:
    """The table of each total of a kind."""
    above = TOTAL_OF[kind]
    column = "partner" if kind == "vendor" else kind
    pairs = cases.loc[_is_of(cases, kind), [column, above or column]].drop_duplicates().astype(str)
    members: dict[str, set[str]] = {}
    for unit, total in pairs.itertuples(index=False):
        members.setdefault(total if above else ALL, set()).add(unit)
    for total, mine in members.items():
        # A partner in-house is no vendor but a sourcing.
        upper = "vendor" if above == "partner" and total != IN_HOUSE else "sourcing"
        keys = {cell: (kind, cell) for cell in cells if cell[0] in mine}
        sizes = {cell: len(cells[cell]) for cell in keys}
        for _, period in list(keys):
            sizes[ALL, period] = sum(n for (unit, when), n in sizes.items() if when == period and unit != ALL)
            keys[ALL, period] = (upper, (total, period))
        yield keys, sizes


def _is_of(cases: pd.DataFrame, kind: str) -> Flags:
    if kind != "vendor":
        return np.ones(len(cases), dtype=bool)
    return np.asarray(cases["sourcing"].to_numpy(dtype=object) == OUTSOURCED)
