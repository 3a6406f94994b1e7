"""Suppression: no hidden cell can be computed from the shown ones."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from retention.outcomes.suppression import ALL, hidden_cells, hidden_in_tree

COUNTS = st.lists(
    st.lists(st.sampled_from([0, 0, 1, 3, 9, 10, 15, 40, 400]), min_size=3, max_size=3), min_size=1, max_size=4
)


def with_totals(counts):
    sizes = {(f"L{i}", f"s{j}"): n for i, line in enumerate(counts) for j, n in enumerate(line)}
    for i, line in enumerate(counts):
        sizes[f"L{i}", ALL] = sum(line)
    for j in range(len(counts[0])):
        sizes[ALL, f"s{j}"] = sum(line[j] for line in counts)
    sizes[ALL, ALL] = sum(map(sum, counts))
    return sizes


def is_fixed(cell, hidden, counts):
    """Oracle, exact: is the cell's row in the span of the equations among hidden cells (Gauss over fractions)?"""
    unknown = sorted(hidden)
    equations = []
    parts = [(f"L{i}", f"s{j}") for i in range(len(counts)) for j in range(3)]
    levels, segments = sorted({p[0] for p in parts}), sorted({p[1] for p in parts})
    lines = [([(x, s) for s in segments], (x, ALL)) for x in [*levels, ALL]]
    lines += [([(x, s) for x in levels], (ALL, s)) for s in [*segments, ALL]]
    for members, total in lines:
        row = [Fraction((u in members) - (u == total)) for u in unknown]
        equations.append(row)
    rank = _rank(equations)
    return _rank([*equations, [Fraction(u == cell) for u in unknown]]) == rank


def _rank(rows):
    rows, rank = [list(row) for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][column] / rows[rank][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


def test_nothing_small_hides_nothing():
    sizes = with_totals([[10, 20, 30], [40, 50, 60]])
    assert hidden_cells(sizes, set()) == set()


def test_a_small_cell_takes_the_next_smallest_of_each_of_its_lines():
    sizes = with_totals([[3, 20, 30], [40, 50, 60]])
    hidden = hidden_cells(sizes, {("L0", "s0")})
    assert hidden == {("L0", "s0"), ("L0", "s1"), ("L1", "s0"), ("L1", "s1")}


def test_a_single_breakdown_hides_the_small_and_the_next():
    sizes = {(ALL, "mass"): 100, (ALL, "vip"): 3, (ALL, "corporate"): 20, (ALL, "unknown"): 0, (ALL, ALL): 123}
    assert hidden_cells(sizes, {(ALL, "vip")}) == {(ALL, "vip"), (ALL, "corporate")}


def test_an_empty_cell_protects_nothing_and_is_not_hidden():
    sizes = {(ALL, "mass"): 100, (ALL, "vip"): 3, (ALL, "unknown"): 0, (ALL, ALL): 103}
    assert hidden_cells(sizes, {(ALL, "vip"), (ALL, "unknown")}) == {(ALL, "vip"), (ALL, "mass")}


def test_a_line_without_its_total_may_be_hidden_whole():
    assert hidden_cells({("kept", ALL): 4, ("broken", ALL): 0}, {("kept", ALL)}) == {("kept", ALL)}


def test_edge_73_two_small_cells_of_a_line_need_a_third_when_they_are_few_together():
    """12 of 67 and 5 of 60 shown: the two hidden are 7 of 7, each of them as well."""
    sizes = {(ALL, ALL): 67, ("a1", ALL): 60, ("a2", ALL): 3, ("a3", ALL): 4}
    small = {("a2", ALL), ("a3", ALL)}
    assert hidden_cells(sizes, small) == small
    assert hidden_cells(sizes, small, 7) == small
    assert hidden_cells(sizes, small, 10) == {*small, ("a1", ALL)}


def tree(*teams):
    """Sizes and parents of (vendor, team, n) with one sourcing for all."""
    sizes, parents = {(ALL, ALL): 0, ("sourcing", "out"): 0}, {("sourcing", "out"): (ALL, ALL)}
    for vendor, team, n in teams:
        parents["team", team], parents["vendor", vendor] = ("vendor", vendor), ("sourcing", "out")
        sizes["team", team] = n
        for cell in (("vendor", vendor), ("sourcing", "out"), (ALL, ALL)):
            sizes[cell] = sizes.get(cell, 0) + n
    return sizes, parents


def test_edge_73_a_small_team_is_guarded_within_its_vendor():
    sizes, parents = tree(("A", "a1", 60), ("A", "a2", 3), ("B", "b1", 40), ("B", "b2", 12))
    assert hidden_in_tree(sizes, parents, {("team", "a2")}, 10) == {("team", "a2"), ("team", "a1")}


def test_edge_73_a_hidden_vendor_hides_no_more_than_its_hidden_teams():
    """Of the hidden A only a2 is unknown: with all of the small B it would be 7 of 7 in what is outsourced."""
    sizes, parents = tree(("A", "a1", 20), ("A", "a2", 3), ("B", "b1", 4), ("C", "c1", 90), ("C", "c2", 12))
    small = {("team", "a2"), ("team", "b1"), ("vendor", "B")}
    hidden = hidden_in_tree(sizes, parents, {*small, ("vendor", "A")}, 10)
    assert hidden == {*small, ("vendor", "A"), ("team", "a1")}
    assert not hidden_in_tree(sizes, parents, set(), 10)


def unknown_n(cell, hidden, sizes):
    """Oracle: units of a hidden row or column total that are in its hidden parts, or in all of it when none is."""
    axis = 0 if cell[1] == ALL else 1
    inner = [other for other in hidden if ALL in cell and ALL not in other and other[axis] == cell[axis]]
    return sum(sizes[other] for other in inner) or sizes[cell]


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_edge_73_the_hidden_part_of_a_line_is_no_small_cell_either(counts):
    sizes = with_totals(counts)
    hidden = hidden_cells(sizes, {cell for cell, n in sizes.items() if 0 < n < 10}, 10)
    assert not [cell for cell in hidden if is_fixed(cell, hidden, counts)]
    for total in (cell for cell in sizes if ALL in cell and cell not in hidden):
        for axis in (0, 1):
            if total[1 - axis] == ALL:
                line = [cell for cell in hidden if cell[axis] == total[axis] and cell[1 - axis] != ALL]
                assert not line or sum(unknown_n(cell, hidden, sizes) for cell in line) >= 10


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_no_small_cell_is_fixed_by_the_shown_ones(counts):
    sizes = with_totals(counts)
    small = {cell for cell, n in sizes.items() if 0 < n < 10}
    hidden = hidden_cells(sizes, small)
    assert small <= hidden
    assert all(sizes[cell] for cell in hidden)
    assert not [cell for cell in small if is_fixed(cell, hidden, counts)]
