"""The cells that outcomes are published for: level x segment with their totals, and how mature each is."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes.suppression import ALL, Cell, hidden_cells

LEVELS = ("L1", "L2", "L3a", "L3b", "L3c", "L3d")
SEGMENTS = ("mass", "vip", "corporate", "unknown")
SECONDS_PER_DAY = 86_400

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def split(level: pd.Series, segment: pd.Series) -> dict[Cell, Positions]:
    """Row positions of every cell: known levels and segments, whatever else occurs, and 'all' on either axis.

    A cell without rows is there with no positions: a zero denominator is published, not left out.
    """
    levels = _with_known(level, LEVELS)
    segments = _with_known(segment, SEGMENTS)
    level_code = pd.Index(levels).get_indexer(pd.Index(level)) + 1
    segment_code = pd.Index(segments).get_indexer(pd.Index(segment)) + 1
    cells: dict[Cell, Positions] = {}
    width = len(segments) + 1
    # One sort a breakdown: the code of a total is 0, so a level's total is the cell (level, 0).
    for by_level, by_segment in ((1, 1), (1, 0), (0, 1), (0, 0)):
        code = (level_code * by_level * width + segment_code * by_segment).astype(np.int32)
        order = np.argsort(code, kind="stable")
        ordered = code[order]
        for i, level_name in enumerate(levels, 1) if by_level else ((0, ALL),):
            for j, segment_name in enumerate(segments, 1) if by_segment else ((0, ALL),):
                low, high = np.searchsorted(ordered, [i * width + j, i * width + j + 1])
                cells[level_name, segment_name] = order[low:high]
    return cells


def split_by_segment(segment: pd.Series, chosen: Flags) -> dict[Cell, Positions]:
    """Row positions by segment and in total of the rows that `chosen` flags, under level 'all'."""
    rows = np.flatnonzero(chosen)
    names = segment.to_numpy(dtype=object)[rows]
    cells = {(ALL, name): rows[names == name] for name in _with_known(segment, SEGMENTS)}
    cells[ALL, ALL] = rows
    return cells


def maturity(is_mature: Flags) -> str:
    """'mature' when every member is old enough to judge (so also of no members), 'immature' when none is."""
    if is_mature.all():
        return "mature"
    return "partly_mature" if is_mature.any() else "immature"


def suppressed(party: npt.NDArray[np.int64], cells: dict[Cell, Positions], min_cell_n: int) -> set[Cell]:
    """Cells too small to publish, with their complements: fewer than `min_cell_n` rows, or one party only.

    One party has no variance between parties, and its share would be one customer's own history.
    """
    sizes = {cell: len(rows) for cell, rows in cells.items()}
    small = {
        cell
        for cell, rows in cells.items()
        if len(rows) and (len(rows) < min_cell_n or (party[rows] == party[rows[0]]).all())
    }
    return hidden_cells(sizes, small)


def _with_known(values: pd.Series, known: Iterable[str]) -> list[str]:
    """The known values and then any other that occurs, sorted, so that nothing falls out of the totals' parts."""
    known = list(known)
    return known + sorted(set(values.unique()) - set(known))
