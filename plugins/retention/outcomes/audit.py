"""Who leaves after a case was handled as required, after a review by a person, after a promise kept or broken.

Associations, never effects: cases differ in more than their level. What is compared was decided before what is counted:
a score is of the steps that fell due within two days, of subscribers who were still there then, and who left is counted
from then on. Else those who stay longer would have more done for them, and doing more would look like keeping them
(immortal time; Suissa, American Journal of Epidemiology 2008; landmark method: Anderson, Cain and Gelber, Journal of
Clinical Oncology 1983).
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from retention.outcomes.cells import Flags, Positions, maturity, split_by, suppressed
from retention.outcomes.intervals import clustered_wilson
from retention.outcomes.metrics import MetricRow
from retention.outcomes.standardise import NO_OVERLAP, Standardised, standardise
from retention.outcomes.suppression import ALL
from retention.outcomes.unit_cells import MAX_DROPPED_SHARE

HORIZON_DAYS = 90
STANDARDISED, CRUDE, AFTER_PROMISE = "share_left_by_audit", "share_left_by_audit_crude", "churn_after_promise"
METRICS = (STANDARDISED, CRUDE, AFTER_PROMISE)
#: Bands of the share of required steps done in time, and of reviewers' scores (0 to 100): name and least score.
AUDIT_BANDS = (("none_in_time", 0.0), ("under_half", 1e-9), ("half_or_more", 0.5), ("all_in_time", 1.0))
QA_BANDS = (("under_60", 0.0), ("60_to_79", 60.0), ("80_and_over", 80.0))


def band_of(score: pd.Series, bands: tuple[tuple[str, float], ...]) -> pd.Series:
    """The name of each score's band: the last whose least score it reaches. Scores are not missing and not negative."""
    places = np.searchsorted([least for _, least in bands], score.to_numpy(dtype=np.float64), side="right") - 1
    return pd.Series(pd.Categorical.from_codes(places, categories=pd.Index([name for name, _ in bands], dtype=str)))


def left_by_band(cases: pd.DataFrame, breakdown: str, min_cell_n: int) -> Iterator[MetricRow]:
    """Share that left within 90 days by band of a score, crude, and standardised to the compared bands' mix of levels.

    cases: one row per index episode that is still there when its score is known: band, level, party (whole numbers),
    is_left, is_mature (the 90 days are known). Bands that are too small are hidden, with their complement. Of a
    standardised row the denominator is the band's mature cases, and n those at levels that all compared bands have.
    """
    mature = cases[cases["is_mature"]].reset_index(drop=True)
    yield from _shares(CRUDE, cases, breakdown, "band", min_cell_n, with_total=True)
    band: Positions = np.asarray(mature["band"].cat.codes, dtype=np.int64)
    hidden = {member for member, _ in suppressed(mature["party"].to_numpy(), split_by(mature["band"]), min_cell_n)}
    names = _members(cases, "band")
    shown = tuple(code for code in np.unique(band) if names[code] not in hidden)
    found = _compared(mature, band, shown, min_cell_n)
    for code, name in enumerate(names):
        n, status = int((band == code).sum()), maturity(cases.loc[cases["band"] == name, "is_mature"].to_numpy())
        group: Standardised | None = None
        refusal: str | None = "small_cell" if n else _nothing(status)
        if code in shown:
            # Alone there is nobody to compare with.
            group, refusal = found.get(code, (None, NO_OVERLAP))
        value, low, high = None, None, None
        if group is not None and refusal is None:
            value, low, high = group.value, group.low, group.high
        used = group.n_used if group is not None else 0
        yield MetricRow(
            STANDARDISED, ALL, ALL, HORIZON_DAYS, None, n, value, low, high, used, status, "direct_standardisation",
            refusal, breakdown, name,
        )  # fmt: skip


def _compared(
    mature: pd.DataFrame, band: Positions, shown: tuple[int, ...], min_cell_n: int
) -> dict[int, tuple[Standardised, str | None]]:
    """By band of `shown` (two or more, else nothing), what it is on the common mix, or why it is in no comparison.

    One odd band must not take the others along: what is compared is the most bands, of those the most cases, none of
    which loses more than half of itself. Bands are few enough to try every choice of them.
    """
    left, level, party = mature["is_left"].to_numpy(), mature["level"].cat.codes.to_numpy(), mature["party"].to_numpy()

    def standardised(bands: tuple[int, ...]) -> dict[int, Standardised]:
        rows = np.isin(band, bands)
        groups = standardise(left[rows], np.searchsorted(bands, band[rows]), level[rows], party[rows]).groups
        return dict(zip(bands, groups, strict=True))

    best: dict[int, Standardised] = {}
    everyone: dict[int, Standardised] = {}
    for size in range(len(shown), 1, -1):
        for bands in combinations(shown, size):
            groups = standardised(bands)
            everyone = everyone or groups
            is_whole = not any(group.refusal(min_cell_n, MAX_DROPPED_SHARE) for group in groups.values())
            if is_whole and _used(groups) > _used(best):
                best = groups
        if best:
            break
    refused = {
        code: (group, group.refusal(min_cell_n, MAX_DROPPED_SHARE) or NO_OVERLAP) for code, group in everyone.items()
    }
    return refused | {code: (group, None) for code, group in best.items()}


def _used(groups: dict[int, Standardised]) -> int:
    return sum(group.n_used for group in groups.values())


def left_after_promise(promises: pd.DataFrame, min_cell_n: int) -> Iterator[MetricRow]:
    """Share that left within 90 days after a promise was due: kept, and broken (moved by the agent is broken).

    promises: one row per promise that fell due while the subscriber was there: outcome ('kept' or 'broken'), party,
    is_left, is_mature.
    """
    yield from _shares(AFTER_PROMISE, promises, "promise", "outcome", min_cell_n, with_total=True)


def _shares(
    metric: str, rows: pd.DataFrame, breakdown: str, by: str, min_cell_n: int, *, with_total: bool
) -> Iterator[MetricRow]:
    mature = rows[rows["is_mature"]].reset_index(drop=True)
    party = mature["party"].to_numpy()
    is_left: Flags = mature["is_left"].to_numpy(dtype=bool)
    cells = {member: places for (member, _), places in split_by(mature[by]).items()}
    hidden = {member for member, _ in suppressed(party, split_by(mature[by]), min_cell_n)}
    for member in [*_members(rows, by), *((ALL,) if with_total else ())]:
        places = cells.get(member, np.empty(0, dtype=np.int64))
        of_member = rows["is_mature"] if member == ALL else rows.loc[rows[by] == member, "is_mature"]
        n, status = len(places), maturity(of_member.to_numpy(dtype=bool))
        refusal = "small_cell" if member in hidden else None if n else _nothing(status)
        if refusal is not None:
            yield MetricRow(
                metric,
                ALL,
                ALL,
                HORIZON_DAYS,
                None,
                n,
                None,
                None,
                None,
                n,
                status,
                "share",
                refusal,
                breakdown,
                member,
            )
            continue
        left = int(is_left[places].sum())
        interval = clustered_wilson(is_left[places], pd.factorize(party[places])[0])
        assert interval is not None, "a cell with one party is hidden"
        yield MetricRow(
            metric, ALL, ALL, HORIZON_DAYS, left, n, left / n, interval.low, interval.high, n, status, "share", None,
            breakdown, member,
        )  # fmt: skip


def _members(rows: pd.DataFrame, by: str) -> list[str]:
    """Every band there could be, in its order, whether it occurs or not."""
    return list(rows[by].cat.categories)


def _nothing(status: str) -> str:
    return "immature" if status == "immature" else "zero_denominator"
