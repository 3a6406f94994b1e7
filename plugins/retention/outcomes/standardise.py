"""Direct standardisation: groups' means on one and the same mix of cases, so that easier cases are no merit.

The mean of each group is taken within strata of what decided who got the case, and the strata are weighted by the
pooled mix of all groups compared (Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 3rd ed.,
ch. 19). Only strata that every group has are comparable; the share of rows dropped with the others is published beside.

A stratum's variance is that of its parties' sums, s^2 / n when each row is its own party, so that it is unbiased in
thin strata, too; a party's rows in several strata are added first. Weights are taken as given: the question is about
this mix. The interval of a bounded mean is Wilson's at the effective size that has this variance; that of a difference
joins the two by the method of variance estimates recovery (Newcombe, Statistics in Medicine 1998; Zou and Donner, ibid.
2008).

It claims nothing about what the strata do not hold: cases of one stratum may still differ between groups.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.outcomes.intervals import Interval, critical_value, wilson

NO_OVERLAP, TOO_FEW = "no_overlap", "too_few"
SHARES = (0.0, 1.0)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Standardised:
    """A group's mean over `n` rows, and on the common mix over the `n_used` rows of overlapping strata.

    `value`, its standard error and its bounds are None exactly when there is a refusal ('no_overlap').
    """

    n: int
    n_used: int
    crude: float
    value: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    refusal_reason: str | None

    def refusal(self, min_n: int, max_dropped_share: float) -> str | None:
        """Why this is not to be published: no overlap, fewer than `min_n` rows in it, or too much of the group dropped.

        Of a group that lost most of its rows, the rate of the rest is not its rate.
        """
        if self.refusal_reason is not None:
            return self.refusal_reason
        if self.n_used < min_n:
            return TOO_FEW
        return NO_OVERLAP if self.n_used < (1.0 - max_dropped_share) * self.n else None


@dataclass(frozen=True)
class Difference:
    """One group's standardised mean less the reference's, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Groups on the same mix. `groups` is in order of the codes; `correlation[i, j]` of two values that share parties.

    dropped_share: of the rows of all groups, those in strata that not every group has.
    """

    groups: tuple[Standardised, ...]
    correlation: Floats  # (groups, groups)
    dropped_share: float
    strata_used: int

    def difference(self, group: int, reference: int) -> Difference | None:
        """Group less reference; None when they have no stratum in common."""
        one, other = self.groups[group], self.groups[reference]
        if one.value is None or other.value is None:
            return None
        assert one.low is not None
        assert one.high is not None
        assert other.low is not None
        assert other.high is not None
        # A party that is on both sides may widen the interval; that it narrows it is left to no chance.
        shared = min(0.0, float(self.correlation[group, reference]))
        value = one.value - other.value
        down = _joined(one.value - one.low, other.high - other.value, shared)
        up = _joined(one.high - one.value, other.value - other.low, shared)
        return Difference(value, value - down, value + up)


def standardise(
    values: npt.ArrayLike,
    group: npt.ArrayLike,
    stratum: npt.ArrayLike,
    party: npt.ArrayLike,
    bounds: tuple[float, float] | None = SHARES,
) -> Comparison:
    """Means of `values` by group, standardised to the pooled mix of the strata that every group has.

    values: (n,) flags or numbers, one per case. group: (n,) codes 0..G-1, each occurring. stratum, party: (n,) whole
    numbers, any. bounds: the least and the greatest value there can be (shares 0 and 1, net promoter -1 and 1), or None
    for a mean without any, whose interval is then Student's. A stratum overlaps when at least two parties of every
    group are in it: of one there is no variance. Compare two partners by passing the rows of these two only. Raises
    ValueError on lengths that differ, a group without rows, values outside the bounds or not finite.
    """
    y, g, s, p = _checked(values, group, stratum, party, bounds)
    n_groups, n_strata = int(g.max()) + 1, int(s.max()) + 1
    cell = g * n_strata + s
    parties = _parties(cell, p, n_groups * n_strata)
    overlaps = (parties.reshape(n_groups, n_strata) >= 2).all(axis=0)
    used: Flags = np.asarray(overlaps)[s]
    counts = np.bincount(g, minlength=n_groups)
    used_counts = np.bincount(g[used], minlength=n_groups)
    crude = np.bincount(g, weights=y, minlength=n_groups) / counts
    if not used.any():
        return Comparison(
            tuple(
                Standardised(int(counts[i]), 0, float(crude[i]), None, None, None, None, NO_OVERLAP)
                for i in range(n_groups)
            ),
            np.eye(n_groups),
            1.0,
            0,
        )

    y, g, s, p, cell = y[used], g[used], s[used], p[used], cell[used]
    weight = np.bincount(s, minlength=n_strata) / len(s)
    sizes = np.bincount(cell, minlength=n_groups * n_strata)
    sums = np.bincount(cell, weights=y, minlength=n_groups * n_strata)
    means = np.divide(sums, sizes, out=np.zeros(len(sums)), where=sizes > 0)
    value = (means.reshape(n_groups, n_strata) * weight).sum(axis=1)
    # What each row does to its group's value, scaled so that a stratum of few parties has its unbiased variance.
    few = np.sqrt(parties[cell] / (parties[cell] - 1))
    influence = weight[s] / sizes[cell] * (y - means[cell]) * few
    covariance, error = _spread(influence, g, p, n_groups)
    scale = np.where(error > 0, error, 1.0)
    groups = []
    for i in range(n_groups):
        rows = g == i
        interval = _interval(
            float(value[i]),
            float(error[i]),
            critical_value(pd.factorize(p[rows])[0]),
            # Parties as good as this many of equal weight: what the interval rests on where nothing varies.
            1.0 / float((np.square(weight) / np.where(overlaps, parties.reshape(n_groups, n_strata)[i], 1)).sum()),
            bounds,
        )
        groups.append(
            Standardised(
                int(counts[i]),
                int(used_counts[i]),
                float(crude[i]),
                float(value[i]),
                float(error[i]),
                interval.low,
                interval.high,
                None,
            )
        )
    return Comparison(
        tuple(groups),
        covariance / np.outer(scale, scale),
        1.0 - int(used_counts.sum()) / len(used),
        int(overlaps.sum()),
    )


def _checked(
    values: npt.ArrayLike,
    group: npt.ArrayLike,
    stratum: npt.ArrayLike,
    party: npt.ArrayLike,
    bounds: tuple[float, float] | None,
) -> tuple[Floats, Ints, Ints, Ints]:
    y, g = np.asarray(values, dtype=np.float64), np.asarray(group, dtype=np.int64)
    s: Ints = pd.factorize(np.asarray(stratum))[0]
    p: Ints = pd.factorize(np.asarray(party))[0]
    if not len(y) == len(g) == len(s) == len(p):
        raise ValueError(f"standardise: {len(y)} values, {len(g)} groups, {len(s)} strata and {len(p)} parties")
    if not len(y) or g.min() < 0 or not np.bincount(g).all():
        raise ValueError("standardise: groups must be codes 0..G-1, each with rows")
    if not np.isfinite(y).all() or (bounds is not None and not bounds[0] <= y.min() <= y.max() <= bounds[1]):
        raise ValueError(f"standardise: values must be finite and within {bounds}, found {y.min()} to {y.max()}")
    return y, g, s, p


def _parties(cell: Ints, party: Ints, n_cells: int) -> Ints:
    """How many parties each cell has."""
    width = int(party.max()) + 1
    # Sorted, not hashed: four times faster on a quarter of a million rows.
    pairs = np.sort(cell * width + party)
    is_new = np.concatenate(([True], pairs[1:] != pairs[:-1]))
    return np.bincount(pairs[is_new] // width, minlength=n_cells)


def _spread(influence: Floats, group: Ints, party: Ints, n_groups: int) -> tuple[Floats, Floats]:
    """Covariance (groups, groups) of the values between parties, and their standard errors (groups,).

    An error is never less than that of rows without parties: clustering is there to widen.
    """
    codes, names = pd.factorize(party)
    cell = group * len(names) + codes
    sums: Floats = np.asarray(np.bincount(cell, weights=influence, minlength=n_groups * len(names)), dtype=np.float64)
    by_group = sums.reshape(n_groups, len(names))
    covariance = by_group @ by_group.T
    by_row = np.bincount(group, weights=np.square(influence), minlength=n_groups)
    error: Floats = np.sqrt(np.maximum(np.diag(covariance), by_row))
    return covariance, error


def _interval(
    value: float, error: float, critical: float, parties: float, bounds: tuple[float, float] | None
) -> Interval:
    if bounds is None:
        return Interval(value - critical * error, value + critical * error)
    low, width = bounds[0], bounds[1] - bounds[0]
    # A sum of weighted means may miss an end by a rounding.
    share = min(1.0, max(0.0, round((value - low) / width, 12)))
    variance = (error / width) ** 2
    size = share * (1.0 - share) / variance if variance > 0 and 0.0 < share < 1.0 else parties
    found = wilson(share * size, size, critical)
    assert found is not None, "a comparison has rows"
    return Interval(low + width * min(found.low, share), low + width * max(found.high, share))


def _joined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))
