"""Four principles of service by quarter and unit: speed, honesty, responsibility, control of the result.

Shares with Wilson's interval and means with Student's, both of sums by party, since one customer's cases go well or
badly together. Units are nested (all, sourcing, vendor, team): what is too small is hidden, with whatever would give it
away by subtraction in the next wider or narrower table. An association of how a unit works with who leaves; a small
difference between units is noise, and none of it says that the unit caused it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes.intervals import Interval, critical_value, wilson_of_clusters
from retention.outcomes.suppression import ALL, Cell, hidden_in_tree

#: Share of cases that left, counted like the principles and shown beside them.
OUTCOME = "share_left_90d"
#: A mean per case; the others are shares.
MEANS = ("hand_offs",)
PRINCIPLES = ("speed", "honesty", "responsibility", *MEANS, "control", OUTCOME)
UNIT_KINDS = ("sourcing", "vendor", "team")
SMALL, NOTHING = "small_cell", "zero_denominator"

Sums = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PrincipleRow:
    """A row of outcomes.service_principles. `value` and `numerator` are NULL exactly when there is a refusal."""

    quarter_on: date
    principle: str
    unit_kind: str
    unit: str
    numerator: int | None
    denominator: int
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    method: str
    refusal_reason: str | None


def principles(sums: pd.DataFrame, min_cell_n: int) -> Iterator[PrincipleRow]:
    """Every principle, quarter, kind of unit and unit that occurs.

    sums: what was counted by quarter_on (a day), principle, sourcing, vendor, team and party (whole numbers): `events`
    of `n` units, each at least 1. A vendor belongs to one sourcing and a team to one vendor; in-house is a vendor, too.
    """
    for _, rows in sums.groupby(["quarter_on", "principle"], sort=True, observed=True):
        quarter_on, principle = rows["quarter_on"].iloc[0], str(rows["principle"].iloc[0])
        hidden = _hidden(rows, min_cell_n)
        yield _row(quarter_on, principle, ALL, ALL, rows, (ALL, ALL) in hidden)
        for kind in UNIT_KINDS:
            for unit, of_unit in rows.groupby(kind, sort=True, observed=True):
                yield _row(quarter_on, principle, kind, str(unit), of_unit, (kind, str(unit)) in hidden)


def _row(quarter_on: date, principle: str, kind: str, unit: str, rows: pd.DataFrame, is_hidden: bool) -> PrincipleRow:
    method = "mean" if principle in MEANS else "share"
    events, sizes = _by_party(rows)
    n = int(sizes.sum())
    interval = None if is_hidden else _mean(events, sizes) if method == "mean" else wilson_of_clusters(events, sizes)
    if interval is None:
        reason = NOTHING if not n else SMALL
        return PrincipleRow(quarter_on, principle, kind, unit, None, n, None, None, None, n, method, reason)
    total = int(events.sum())
    value = total / n
    low, high = min(interval.low, value), max(interval.high, value)
    return PrincipleRow(quarter_on, principle, kind, unit, total, n, value, low, high, n, method, None)


def _by_party(rows: pd.DataFrame) -> tuple[Sums, Sums]:
    """Events and units of each party."""
    codes, names = pd.factorize(rows["party"])
    events = np.bincount(codes, weights=rows["events"], minlength=len(names)).astype(np.int64)
    return events, np.bincount(codes, weights=rows["n"], minlength=len(names)).astype(np.int64)


def _mean(events: Sums, sizes: Sums) -> Interval | None:
    """Student's interval of a mean per unit, of parties' sums (ratio estimator; Cochran, Sampling Techniques, 6.4).

    Not below 0; None with fewer than two parties. When all parties agree it has no width: then nothing varies.
    """
    groups, n = len(sizes), int(sizes.sum())
    if groups < 2:
        return None
    mean = float(events.sum()) / n
    error = float(np.sqrt(groups / (groups - 1) * np.square(events - mean * sizes).sum())) / n
    half = critical_value(np.repeat(np.arange(groups), sizes)) * error
    return Interval(max(0.0, mean - half), mean + half)


def _hidden(rows: pd.DataFrame, min_cell_n: int) -> set[Cell]:
    """(kind, unit) of what must not be shown: too few units or one party only, and what would give those away.

    Units are a tree, and each unit with its parts is a line "parts = total".
    """
    sizes: dict[Cell, int] = {(ALL, ALL): int(rows["n"].sum())}
    parties: dict[Cell, int] = {(ALL, ALL): rows["party"].nunique()}
    parents: dict[Cell, Cell] = {}
    for parent_kind, kind in pairwise((ALL, *UNIT_KINDS)):
        for unit, of_unit in rows.groupby(kind, sort=True, observed=True):
            cell = (kind, str(unit))
            sizes[cell], parties[cell] = int(of_unit["n"].sum()), of_unit["party"].nunique()
            parents[cell] = (parent_kind, ALL if parent_kind == ALL else str(of_unit[parent_kind].iloc[0]))
    small = {cell for cell, n in sizes.items() if n < min_cell_n or parties[cell] < 2}
    return hidden_in_tree(sizes, parents, small, min_cell_n)
