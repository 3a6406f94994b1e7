"""Which cells of published tables to hide, so that nothing too small can be found by subtraction.

A table is published with its margins: every line (one level over the segments, the teams of a vendor, the two lines of
totals) is an equation "parts = total". What is hidden of a line is known together when its total is shown, and a hidden
cell is known when the equations fix it. So hide the small cells, then the next smallest cell of a line that gives one
away, until the equations leave every hidden cell free and what they give of a line together is no small cell either.

Within one table, or one tree of them, and not across: what another metric or mart shows of the same people is not
looked at.
"""

from collections.abc import Mapping, Sequence

import numpy as np

ALL = "all"
Cell = tuple[str, str]
#: The total, None where it is not published, and the parts that add up to it.
Line = tuple[Cell | None, list[Cell]]


def lines_of(cells: Mapping[Cell, int]) -> list[Line]:
    """Every line of a level x segment table: its total and its parts, whichever of them exist."""
    lines: dict[tuple[int, str], list[Cell]] = {}
    for cell in cells:
        for axis in (0, 1):
            lines.setdefault((axis, cell[axis]), []).append(cell)
    found: list[Line] = []
    for (axis, name), line in lines.items():
        if len(line) > 1:
            total = (name, ALL) if axis == 0 else (ALL, name)
            found.append((total if total in cells else None, [cell for cell in line if cell != total]))
    return found


def hidden_cells(sizes: Mapping[Cell, int], small: set[Cell], min_n: int = 0) -> set[Cell]:
    """The cells of `small` and those that must be hidden with them.

    sizes: n of each cell, the key being (level, segment) with 'all' for a total. small: the cells that must not be
    known; an empty cell is known to be empty and never hidden. min_n: the least n that the hidden part of a line may
    have together; 0 leaves it at two cells that hide each other.
    """
    return hidden_of_lines(sizes, lines_of(sizes), small, min_n)


def hidden_in_tree(sizes: Mapping[Cell, int], parents: Mapping[Cell, Cell], small: set[Cell], min_n: int) -> set[Cell]:
    """The same for nested units, (kind, unit): each that is somebody's parent is a total of its children."""
    lines: dict[Cell, list[Cell]] = {}
    for child, parent in parents.items():
        lines.setdefault(parent, []).append(child)
    return hidden_of_lines(sizes, list(lines.items()), small, min_n)


def hidden_of_lines(sizes: Mapping[Cell, int], lines: Sequence[Line], small: set[Cell], min_n: int) -> set[Cell]:
    """The cells of `small` and those that must be hidden with them, of any table with these lines."""
    totals = [total for total, _ in lines]
    hidden = {cell for cell in small if sizes[cell] > 0}
    while giving := _giving_away(sizes, lines, hidden, min_n):
        shown = {cell for cell, n in sizes.items() if n > 0 and cell not in hidden}
        if not shown:
            # A line without its total gives nothing away, however few it has.
            break
        # Parts before totals at equal size: the total is what most readers need.
        hidden.add(min(giving & shown or shown, key=lambda cell: (sizes[cell], totals.count(cell), cell)))
    return hidden


def hidden_n(cell: Cell, sizes: Mapping[Cell, int], lines: Sequence[Line], hidden: set[Cell]) -> int:
    """How many units of a hidden cell nobody knows: of a total, not those in the parts of it that are shown."""
    below = [[part for part in parts if part in hidden] for total, parts in lines if total == cell]
    known = [sum(hidden_n(part, sizes, lines, hidden) for part in parts) for parts in below if parts]
    return min(known, default=sizes[cell])


def _giving_away(sizes: Mapping[Cell, int], lines: Sequence[Line], hidden: set[Cell], min_n: int) -> set[Cell]:
    """Cells of the lines that give hidden ones away, of which one more is to be hidden; empty when none does."""
    exposed = _determined(hidden, lines)
    if exposed:
        whole = [{*parts, *((total,) if total else ())} for total, parts in lines]
        # A line with one hidden cell gives it away by itself; failing that, several lines together do.
        alone = [line for line in whole if len(hidden & line) == 1 and exposed & line]
        return set().union(*(alone or [line for line in whole if exposed & line]))
    for total, parts in lines:
        mine = [part for part in parts if part in hidden]
        if mine and total and total not in hidden and sum(hidden_n(c, sizes, lines, hidden) for c in mine) < min_n:
            return {total, *parts, *_beneath(mine, lines, hidden)}
    return set()


def _beneath(cells: list[Cell], lines: Sequence[Line], hidden: set[Cell]) -> set[Cell]:
    """The parts of hidden totals, and of the hidden totals among them."""
    found: set[Cell] = set()
    for total, parts in lines:
        if total in cells:
            found |= {*parts, *_beneath([part for part in parts if part in hidden], lines, hidden)}
    return found


def _determined(hidden: set[Cell], lines: Sequence[Line]) -> set[Cell]:
    """Hidden cells that the published ones fix: those at 0 in every solution of the homogeneous equations."""
    place = {cell: i for i, cell in enumerate(sorted(hidden))}
    rows = []
    for total, parts in lines:
        signs = np.zeros(len(place))
        for cell in parts:
            if cell in place:
                signs[place[cell]] = 1.0
        if total in place:
            # The total of a line stands on the other side of its equation.
            signs[place[total]] = -1.0
        if signs.any():
            rows.append(signs)
    if not rows:
        return set()
    _, values, directions = np.linalg.svd(np.array(rows), full_matrices=True)
    rank = int((values > 1e-9).sum())
    free = directions[rank:]
    return {cell for cell, i in place.items() if not len(free) or np.abs(free[:, i]).max() < 1e-9}
