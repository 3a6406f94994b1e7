"""Confidence intervals of proportions and survival, 95%, honest about parties that appear several times.

With one row per party they are the textbook ones (Wilson; complementary log-log Greenwood). When a party holds several
rows the variance is the clustered one, never less than the textbook one, with Student's quantile on the effective
number of parties - 1.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True)
class Interval:
    """Bounds of a 95% interval."""

    low: float
    high: float


def critical_value(clusters: npt.NDArray[np.int64]) -> float:
    """Two-sided 95% quantile for n >= 1 rows in clusters (codes 0..G-1): normal when each row is its own cluster.

    Else Student's with G* - 1 degrees of freedom, at least 1, where G* = n^2 / sum of squared cluster sizes is G when
    they are equal and less when a few large parties decide.
    """
    sizes = np.bincount(clusters)
    if len(sizes) == len(clusters):
        return Z
    return _students(sizes)


def _students(sizes: npt.NDArray[np.int64]) -> float:
    effective = int(sizes.sum()) ** 2 / float(np.square(sizes).sum())
    return float(stdtrit(max(1.0, effective - 1), 0.5 + CONFIDENCE / 2))


def wilson(successes: float, n: float, critical: float = Z) -> Interval | None:
    """Wilson's score interval of successes / n (both may be effective, fractional sizes); None when n is 0.

    Raises ValueError unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"wilson: {successes} successes of {n} are impossible")
    if n == 0:
        return None
    share = successes / n
    weight = critical**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = critical * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    # At the ends the bound is the end itself; rounding must not leave it a hair away.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def clustered_wilson(is_success: npt.NDArray[np.bool_], clusters: npt.NDArray[np.int64]) -> Interval | None:
    """Wilson's interval of a share of rows, with the sample reduced by the design effect of clusters.

    is_success: (n,). clusters: (n,) codes 0..G-1, each occurring. When all rows agree there is no variance to
    measure, and each cluster counts as one row. None when there is no row, or one cluster only that holds several rows.
    """
    sizes = np.bincount(clusters)
    if len(sizes) == len(clusters):
        return wilson(float(is_success.sum()), len(clusters))
    return wilson_of_clusters(np.bincount(clusters[is_success], minlength=len(sizes)), sizes)


def wilson_of_clusters(successes: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> Interval | None:
    """Wilson's interval of a share whose units come in clusters, from each cluster's successes and size (G,).

    Student's quantile also where each cluster holds one unit. Empty clusters say nothing. None with fewer than two
    others.
    """
    successes, sizes = successes[sizes > 0], sizes[sizes > 0]
    groups, n = len(sizes), int(sizes.sum())
    if groups < 2:
        return None
    share = float(successes.sum()) / n
    critical = _students(sizes)
    if share in (0.0, 1.0):
        return wilson(share * groups, groups, critical)
    clustered = groups / (groups - 1) * float(np.square(successes - share * sizes).sum()) / n**2
    effect = max(1.0, clustered / (share * (1 - share) / n))
    return wilson(share * n / effect, n / effect, critical)


def log_log(survival: float, standard_error: float, critical: float = Z) -> Interval:
    """Interval of a survival strictly between 0 and 1 on the log(-log) scale: always inside (0, 1).

    The interval of an incidence is 1 minus that of its complement (the complementary log-log interval).
    """
    log_survival = math.log(survival)
    spread = critical * standard_error / (survival * -log_survival)
    # exp overflows near the ends for tiny samples; the bound there is the end itself.
    power = math.exp(min(spread, 700.0))
    return Interval(math.exp(log_survival * power), math.exp(log_survival / power))
