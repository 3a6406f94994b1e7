"""The cells that outcomes are published for, and how mature each is.

A table of cells has one or two axes and its totals: level x segment, or the members of one breakdown (topic, team,
month...), whose total is that of level x segment.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes.suppression import ALL, Cell, hidden_cells, hidden_in_tree

LEVELS = ("L1", "L2", "L3a", "L3b", "L3c", "L3d")
SEGMENTS = ("mass", "vip", "corporate", "unknown")
NO_BREAKDOWN = "none"
#: Columns of the frames that tables are also split by, one at a time. Team and vendor are those first assigned; the
#: month (Moscow) is the one in which the episode or contact began.
BREAKDOWNS = ("topic", "region", "product", "team", "vendor", "sourcing", "month")
#: Those that nest, the widest first: a team belongs to one vendor (in-house is one), a vendor to one sourcing.
NESTED = ("sourcing", "vendor", "team")
SECONDS_PER_DAY = 86_400

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
#: Members of an axis, and of each row the code: 1 + the place of its member.
Axis = tuple[Sequence[str], npt.NDArray[np.int32]]


def tables(frame: pd.DataFrame) -> Iterator[tuple[str, dict[Cell, Positions]]]:
    """Every table of a frame: (NO_BREAKDOWN, level x segment) first, then (breakdown, cells (member, ALL)) of each."""
    yield NO_BREAKDOWN, split(frame["level"], frame["segment"])
    for breakdown in BREAKDOWNS:
        yield breakdown, split_by(frame[breakdown])


def split(level: pd.Series, segment: pd.Series) -> dict[Cell, Positions]:
    """Row positions of level x segment: known ones, whatever else occurs, and 'all' on either axis.

    A cell without rows is there with no positions: a zero denominator is published, not left out.
    """
    return _split(_coded(level, LEVELS), _coded(segment, SEGMENTS))


def split_by(member: pd.Series) -> dict[Cell, Positions]:
    """Row positions of each member that occurs, under (member, 'all'), and of all rows."""
    return _split(_coded(member, ()), ((), np.zeros(len(member), dtype=np.int32)))


def split_by_segment(segment: pd.Series, chosen: Flags) -> dict[Cell, Positions]:
    """Row positions by segment and in total of the rows that `chosen` flags, under level 'all'."""
    rows = np.flatnonzero(chosen)
    found = _split(((), np.zeros(len(rows), dtype=np.int32)), _coded(segment.iloc[rows], SEGMENTS))
    return {cell: rows[positions] for cell, positions in found.items()}


def _split(first: Axis, second: Axis) -> dict[Cell, Positions]:
    """Row positions of the cells of two axes; one without members has its total only."""
    (members, code), (others, other_code) = first, second
    cells: dict[Cell, Positions] = {}
    width = len(others) + 1
    # One sort a margin: the code of a total is 0, so a level's total is the cell (level, 0).
    for by_first in (1, 0) if members else (0,):
        for by_second in (1, 0) if others else (0,):
            codes = code * (by_first * width) + other_code * by_second
            order = np.argsort(codes, kind="stable")
            ordered = codes[order]
            for i, member in enumerate(members, 1) if by_first else ((0, ALL),):
                for j, other in enumerate(others, 1) if by_second else ((0, ALL),):
                    low, high = np.searchsorted(ordered, [i * width + j, i * width + j + 1])
                    cells[member, other] = order[low:high]
    return cells


def _coded(values: pd.Series, known: Sequence[str]) -> Axis:
    """The known members and then any other that occurs, sorted, so that nothing falls out of the totals' parts."""
    found = pd.Categorical(values)
    used = found.categories[np.unique(found.codes)]
    members = [*known, *sorted(set(used) - set(known))]
    places = np.array([members.index(name) + 1 if name in used else 0 for name in found.categories], dtype=np.int32)
    return members, places[found.codes] if len(places) else np.zeros(len(values), dtype=np.int32)


def maturity(is_mature: Flags) -> str:
    """'mature' when every member is old enough to judge (so also of no members), 'immature' when none is."""
    if is_mature.all():
        return "mature"
    return "partly_mature" if is_mature.any() else "immature"


def suppressed(party: npt.NDArray[np.int64], cells: dict[Cell, Positions], min_cell_n: int) -> set[Cell]:
    """Cells too small to publish, with their complements: fewer than `min_cell_n` rows, or one party only.

    One party has no variance between parties, and its share would be one customer's own history. The table is taken by
    itself; for breakdowns that nest see `suppressed_units`.
    """
    sizes = {cell: len(rows) for cell, rows in cells.items()}
    small = {
        cell
        for cell, rows in cells.items()
        if len(rows) and (len(rows) < min_cell_n or (party[rows] == party[rows[0]]).all())
    }
    return hidden_cells(sizes, small, min_cell_n)


def suppressed_units(
    frame: pd.DataFrame, is_counted: Flags, min_cell_n: int, breakdowns: Sequence[str] = NESTED
) -> dict[str, set[Cell]]:
    """The same for the NESTED ones among the breakdowns, of one metric together: hidden cells (member, ALL) of each.

    Each member with its parts in the next narrower breakdown is a line: a hidden team must not be found from its
    vendor's total either. frame: a column for each breakdown, and party. is_counted: the rows that the metric counts.
    """
    kinds = [kind for kind in NESTED if kind in breakdowns]
    counted = frame.loc[is_counted, [*kinds, "party"]]
    sizes: dict[Cell, int] = {(ALL, ALL): len(counted)}
    is_small = len(counted) and (len(counted) < min_cell_n or counted["party"].min() == counted["party"].max())
    small: set[Cell] = {(ALL, ALL)} if is_small else set()
    parents: dict[Cell, Cell] = {}
    for above, kind in pairwise((ALL, *kinds)):
        grouped = counted.groupby(kind, observed=True, sort=True)
        found = grouped["party"].agg(["size", "min", "max"])
        totals = [ALL] * len(found) if above == ALL else grouped[above].first().astype(str)
        for (member, n, first, last), total in zip(found.itertuples(name=None), totals, strict=True):
            cell = (kind, str(member))
            sizes[cell], parents[cell] = int(n), (above, total)
            if n < min_cell_n or first == last:
                small.add(cell)
    hidden = hidden_in_tree(sizes, parents, small, min_cell_n)
    return {kind: {(unit, ALL) for of_kind, unit in hidden if of_kind == kind} for kind in kinds}
