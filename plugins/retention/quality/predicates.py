"""Expectations as conditions of our own: which rows fail. Great Expectations counts failing rows, it does not name all.

A wrong condition would let bad rows through, so the gate compares its count with Great Expectations' own.
"""

from collections.abc import Callable, Mapping
from typing import Any

from psycopg2 import sql

from retention.quality.suites import Expectation

Arguments = Mapping[str, Any]


def failing_rows(expectation: Expectation, row: str) -> sql.Composed | None:
    """Condition true for the rows (alias `row`) that fail, and never NULL; None when rows cannot be told apart by it.

    None is: a check of the whole table or of uniqueness, and any type or argument that is not known here.
    """
    if expectation.type not in _CONDITIONS:
        return None
    known, condition = _CONDITIONS[expectation.type]
    return condition(row, expectation.kwargs) if set(expectation.kwargs) <= known else None


def _is_null(row: str, kwargs: Arguments) -> sql.Composed:
    return sql.SQL("({} is null)").format(sql.Identifier(row, kwargs["column"]))


def _outside_set(row: str, kwargs: Arguments) -> sql.Composed:
    values = sql.SQL(", ").join(map(sql.Literal, kwargs["value_set"]))
    return sql.SQL("({0} is not null and {0} not in ({1}))").format(sql.Identifier(row, kwargs["column"]), values)


def _outside_range(row: str, kwargs: Arguments) -> sql.Composed | None:
    column = sql.Identifier(row, kwargs["column"])
    sides = [
        sql.SQL("{} " + comparison + " {}").format(column, sql.Literal(kwargs[bound]))
        for bound, comparison in (("min_value", "<"), ("max_value", ">"))
        if kwargs.get(bound) is not None
    ]
    if not sides:
        return None
    return sql.SQL("({} is not null and ({}))").format(column, sql.SQL(" or ").join(sides))


def _not_greater(row: str, kwargs: Arguments) -> sql.Composed | None:
    # Another way with missing values would count other rows.
    if kwargs.get("ignore_row_if") != "either_value_is_missing":
        return None
    a, b = (sql.Identifier(row, kwargs[name]) for name in ("column_A", "column_B"))
    comparison = "<" if kwargs.get("or_equal") else "<="
    return sql.SQL("({0} is not null and {1} is not null and {0} " + comparison + " {1})").format(a, b)


_CONDITIONS: dict[str, tuple[set[str], Callable[[str, Arguments], sql.Composed | None]]] = {
    "expect_column_values_to_not_be_null": ({"column"}, _is_null),
    "expect_column_values_to_be_in_set": ({"column", "value_set"}, _outside_set),
    "expect_column_values_to_be_between": ({"column", "min_value", "max_value"}, _outside_range),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        {"column_A", "column_B", "or_equal", "ignore_row_if"},
        _not_greater,
    ),
}
