"""Which cells of a level x segment table to hide, so that no small cell can be found by subtraction.

The table is published with its margins: every line (one level over the segments, one segment over the levels, and the
two lines of totals) is an equation "parts = total". A hidden cell can be computed when the equations fix it. So hide
the small cells, then the next smallest cell of a line that gives one away, until the equations leave every hidden cell
free.
"""

from collections.abc import Mapping

import numpy as np

ALL = "all"
Cell = tuple[str, str]


def lines_of(cells: Mapping[Cell, int]) -> list[list[Cell]]:
    """Every line of a level x segment table: its parts and their total, whichever of them exist."""
    lines: dict[tuple[int, str], list[Cell]] = {}
    for cell in cells:
        for axis in (0, 1):
            lines.setdefault((axis, cell[axis]), []).append(cell)
    return [line for line in lines.values() if len(line) > 1]


def hidden_cells(sizes: Mapping[Cell, int], small: set[Cell]) -> set[Cell]:
    """The cells of `small` and those that must be hidden with them.

    sizes: n of each cell, the key being (level, segment) with 'all' for a total. small: the cells that must not be
    known; an empty cell is known to be empty and never hidden.
    """
    lines = lines_of(sizes)
    hidden = {cell for cell in small if sizes[cell] > 0}
    while (exposed := _determined(hidden, lines)) & small:
        # A line with one hidden cell gives it away by itself; failing that, several lines together do.
        giving = [line for line in lines if len(hidden & set(line)) == 1] or [
            line for line in lines if exposed & set(line)
        ]
        shown = {cell for cell, n in sizes.items() if n > 0 and cell not in hidden}
        if not shown:
            # A line without its total gives nothing away, however few it has.
            break
        beside = {cell for line in giving for cell in line if cell in shown}
        # Parts before totals at equal size: the total is what most readers need.
        hidden.add(min(beside or shown, key=lambda cell: (sizes[cell], cell.count(ALL), cell)))
    return hidden


def _determined(hidden: set[Cell], lines: list[list[Cell]]) -> set[Cell]:
    """Hidden cells that the published ones fix: those at 0 in every solution of the homogeneous equations."""
    unknown = sorted(hidden)
    rows = []
    for line in lines:
        signs = [0.0] * len(unknown)
        for cell in line:
            if cell in hidden:
                # The total of a line stands on the other side of its equation.
                axis_total = _is_total_of(cell, line)
                signs[unknown.index(cell)] = -1.0 if axis_total else 1.0
        if any(signs):
            rows.append(signs)
    if not rows:
        return set()
    _, values, directions = np.linalg.svd(np.array(rows), full_matrices=True)
    rank = int((values > 1e-9).sum())
    free = directions[rank:]
    return {cell for i, cell in enumerate(unknown) if not len(free) or np.abs(free[:, i]).max() < 1e-9}


def _is_total_of(cell: Cell, line: list[Cell]) -> bool:
    """Whether `cell` is the total of `line`: the axis that varies along the line is 'all' in it."""
    axis = 0 if len({other[0] for other in line}) > 1 else 1
    return cell[axis] == ALL
