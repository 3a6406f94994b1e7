"""Teams and agents: how many of their cases left, against what like cases elsewhere would have led to expect.

Indirect standardisation: a unit's expected number is the sum over its cases of the share left in the case's stratum and
quarter, all units together (a case that no other unit has the like of is left out of both numbers). The ratio of
observed to expected is shrunk by the gamma-Poisson model of touchpoints.shrink towards 1, the more the less is expected
of the unit (Clayton and Kaldor, Biometrics 1987; DuMouchel, American Statistician 1999): who had twenty cases is not
the best or the worst by luck. The interval treats the expectation as known, and shares as rates, which makes it a
little too wide where many leave.

An association: cases of one stratum still differ, and nobody drew lots for them. Small differences are noise, a rank is
not one of merit, and none of it is for pay.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retention.outcomes.cells import Positions, maturity
from retention.outcomes.intervals import clustered_wilson
from retention.outcomes.standardise import NO_OVERLAP, Floats
from retention.outcomes.suppression import ALL, Cell
from retention.outcomes.touchpoints import shrink
from retention.outcomes.unit_cells import (
    MAX_DROPPED_SHARE,
    UNKNOWN,
    Cases,
    Cells,
    Key,
    Table,
    hidden_units,
    is_small,
    judge,
    latest_quarters,
    units,
)

HORIZON_DAYS = 90
#: What no agent of a team had: a cell that is not published.
REST = "rest of team"


@dataclass(frozen=True)
class FirefighterRow:
    """One row of outcomes.firefighters: the unit's mature cases (n of `cases`), kept and expected.

    Everything after `refusal_reason` is NULL exactly when there is one. A ratio above 1: more left than expected.
    """

    period: str
    unit_kind: str
    unit: str
    horizon_days: int
    cases: int
    n: int
    maturity_status: str
    refusal_reason: str | None = None
    left_count: int | None = None
    kept_share: float | None = None
    kept_ci_low: float | None = None
    kept_ci_high: float | None = None
    dropped_share: float | None = None
    compared_left: int | None = None
    expected_left: float | None = None
    ratio: float | None = None
    shrunken_ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reading: str | None = None
    unit_rank: int | None = None


@dataclass(frozen=True)
class Expected:
    """Of each unit (units,): cases compared, those of them that left, and how many of their like would have."""

    n: Positions
    left: Positions
    expected: Floats


def rank_firefighters(cases: pd.DataFrame, min_cell_n: int) -> Iterator[FirefighterRow]:
    """Teams by quarter and over the latest quarters, agents over these only: a quarter is too short for one person.

    cases: columns CASE_COLUMNS. min_cell_n: units with fewer mature cases, or of one party only, are refused, with
    another one of their team, partner or quarters, or their team, where that would give them away. Ranks are among
    those shown.
    """
    cases = latest_quarters(cases)
    judged = judge(cases, HORIZON_DAYS)
    named = (cases["agent"] != UNKNOWN).to_numpy()
    teams = units(cases, "team", np.ones(len(cases), dtype=bool))
    agents = {cell: rows for cell, rows in units(cases, "agent", named).items() if cell[1] == ALL}
    mature = {cell: rows[judged.is_mature[rows]] for cell, rows in teams.items()}
    mature_agents = {cell: rows[judged.is_mature[rows]] for cell, rows in agents.items()}
    below: list[Table] = []
    judged_cells: dict[Key, Positions] = {("team", cell): rows for cell, rows in mature.items()}
    judged_cells |= {("agent", cell): rows for cell, rows in mature_agents.items()}
    for table, rest in _agents_of_teams(cases, mature_agents, mature):
        below.append(table)
        judged_cells |= {key: rest for key in table[0].values() if key[0] == REST}
    small = {key for key, rows in judged_cells.items() if is_small(judged.party, rows, min_cell_n)}
    found = hidden_units(cases, {"team": mature}, small, min_cell_n, below)
    hidden = {kind: {cell for of_kind, cell in found if of_kind == kind} for kind in ("team", "agent")}
    for period in sorted({period for _, period in teams}):
        yield from _ranked("team", {cell: teams[cell] for cell in teams if cell[1] == period}, judged, hidden["team"])
    yield from _ranked("agent", agents, judged, hidden["agent"])


def expect(judged: Cases, rows: list[Positions]) -> Expected:
    """What is compared of units that hold these mature rows each (none empty), and what their like would have done."""
    unit = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    everything = np.concatenate(rows)
    stratum = pd.factorize(judged.stratum[everything])[0]
    left = judged.left[everything]
    share = np.bincount(stratum, weights=left) / np.bincount(stratum)
    # A stratum of one unit only has nothing to compare it with.
    pairs = np.unique(stratum * len(rows) + unit)
    used = (np.bincount(pairs // len(rows)) > 1)[stratum]
    return Expected(
        n=np.bincount(unit[used], minlength=len(rows)),
        left=np.bincount(unit[used & left], minlength=len(rows)),
        expected=np.asarray(np.bincount(unit[used], weights=share[stratum[used]], minlength=len(rows)), np.float64),
    )


def _agents_of_teams(cases: pd.DataFrame, agents: Cells, teams: Cells) -> Iterator[tuple[Table, Positions]]:
    """Of each team the agents that add up to it, and the cases of it that none of them had.

    agents, teams: their mature cases. An agent is of the team that gave most of its cases. Where all its agents' cases
    are the team's own, the rest of the team, which is published nowhere, is a part as well: it can be computed.
    """
    pairs = cases.groupby(["agent", "team"], observed=True).size().sort_values(kind="stable")
    home = {str(agent): str(team) for agent, team in pairs.index}
    for (team, period), rows in teams.items():
        if period != ALL or not len(rows):
            continue
        members = {cell: mine for cell, mine in agents.items() if home[cell[0]] == team and len(mine)}
        keys: dict[Cell, Key] = {cell: ("agent", cell) for cell in members} | {(ALL, ALL): ("team", (team, ALL))}
        sizes = {cell: len(mine) for cell, mine in members.items()} | {(ALL, ALL): len(rows)}
        named = np.concatenate([*members.values(), np.empty(0, np.int64)])
        rest = np.setdiff1d(rows, named)
        if len(rest) and np.isin(named, rows).all():
            keys[UNKNOWN, ALL], sizes[UNKNOWN, ALL] = (REST, (team, ALL)), len(rest)
        else:
            rest = rest[:0]
        yield (keys, sizes), rest


def _ranked(kind: str, counted: Cells, judged: Cases, hidden: set[Cell]) -> Iterator[FirefighterRow]:
    """Units of one kind and period, compared with one another."""
    mature = {cell: rows[judged.is_mature[rows]] for cell, rows in counted.items()}
    measured = _measured({cell: rows for cell, rows in mature.items() if len(rows)}, judged)
    rows = []
    for cell, everyone in counted.items():
        status = maturity(judged.is_mature[everyone])
        row = FirefighterRow(cell[1], kind, cell[0], HORIZON_DAYS, len(everyone), len(mature[cell]), status)
        if not row.n:
            rows.append(replace(row, refusal_reason="immature"))
        elif cell in hidden:
            rows.append(replace(row, refusal_reason="small_cell"))
        else:
            rows.append(replace(row, **measured[cell]))
    shown = sorted((row for row in rows if row.refusal_reason is None), key=lambda row: (row.shrunken_ratio, row.unit))
    ranks = {row.unit: rank for rank, row in enumerate(shown, 1)}
    yield from (replace(row, unit_rank=ranks.get(row.unit)) for row in rows)


def _measured(mature: Cells, judged: Cases) -> dict[Cell, dict[str, Any]]:
    """Columns of FirefighterRow for every unit with mature cases: measured, or why not. All units shape the prior."""
    if not mature:
        return {}
    found = expect(judged, list(mature.values()))
    expecting = np.flatnonzero(found.expected > 0)
    posterior = None
    if len(expecting):
        family = np.zeros(len(expecting), np.int64)
        posterior = shrink(found.left[expecting].astype(np.float64), found.expected[expecting], family)
    measured: dict[Cell, dict[str, Any]] = {}
    for i, (cell, own) in enumerate(mature.items()):
        if found.n[i] < (1 - MAX_DROPPED_SHARE) * len(own):
            measured[cell] = {"refusal_reason": NO_OVERLAP}
            continue
        if posterior is None or not found.expected[i]:
            # Nobody left, of these cases or of any like them.
            measured[cell] = {"refusal_reason": "zero_denominator"}
            continue
        at = int(np.searchsorted(expecting, i))
        kept = clustered_wilson(~judged.left[own], pd.factorize(judged.party[own])[0])
        low, high = float(posterior.low[at]), float(posterior.high[at])
        measured[cell] = {
            "left_count": int(judged.left[own].sum()),
            "kept_share": 1 - float(judged.left[own].mean()),
            "kept_ci_low": kept.low if kept else None,
            "kept_ci_high": kept.high if kept else None,
            "dropped_share": 1 - int(found.n[i]) / len(own),
            "compared_left": int(found.left[i]),
            "expected_left": float(found.expected[i]),
            "ratio": float(found.left[i] / found.expected[i]),
            "shrunken_ratio": float(posterior.rate[at]),
            "ci_low": low,
            "ci_high": high,
            "reading": "fewer_left" if high < 1 else "more_left" if low > 1 else "as_expected",
        }
    return measured
