"""Shares and rates with a known truth: contacts of parties, two partners with unlike cases, rates of many places."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd
from recovery import Bounds, Estimator

from retention.outcomes.frames import CONTACT_COLUMNS
from retention.outcomes.metrics import contact_metrics
from retention.outcomes.standardise import standardise
from retention.outcomes.touchpoints import shrink

Ints = npt.NDArray[np.int64]
MIN_CELL_N = 10
REPEATS_7D, REPEATS_30D = 0.10, 0.25
#: Correlation of the latent normals of a party's rows: they are alike, and each is a success with its own probability.
LIKENESS = 0.6


def parties(rng: np.random.Generator, count: int, mean_size: float) -> Ints:
    """Party of each row; sizes are geometric, so that a few have many rows."""
    return np.repeat(np.arange(count), rng.geometric(1 / mean_size, count))


def alike(rng: np.random.Generator, probability: npt.NDArray[np.float64], party: Ints) -> npt.NDArray[np.bool_]:
    """A success or not for each row with its own probability, dependent within a party (Gaussian copula)."""
    shared = rng.standard_normal(int(party.max()) + 1)[party]
    latent = np.sqrt(LIKENESS) * shared + np.sqrt(1 - LIKENESS) * rng.standard_normal(len(party))
    quantile = {p: NormalDist().inv_cdf(p) for p in np.unique(probability)}
    return latent < np.array([quantile[p] for p in probability])


def contacts(rng: np.random.Generator, parties_count: int, mean_size: float) -> pd.DataFrame:
    """A frame of frames.CONTACT_COLUMNS in one cell; a tenth have windows that are not over, and lie so far."""
    party = parties(rng, parties_count, mean_size)
    n = len(party)
    is_old = rng.random(n) > 0.1
    values = {
        "party": party,
        "has_repeat_7d": alike(rng, np.full(n, REPEATS_7D), party) & is_old,
        "has_repeat_30d": alike(rng, np.full(n, REPEATS_30D), party) & is_old,
        "is_window_7d_elapsed": is_old, "is_window_30d_elapsed": is_old, "is_first_contact": np.ones(n, bool),
    }  # fmt: skip
    frame = {}
    for name, (kind, _) in CONTACT_COLUMNS.items():
        if kind == "code":
            only = {"level": "L1", "segment": "mass"}.get(name, "x")
            frame[name] = pd.Categorical.from_codes(np.zeros(n, np.int16), categories=pd.Index([only], dtype=str))
        else:
            frame[name] = values[name]
    return pd.DataFrame(frame)


def _share(metric: str, days: int, truth: float, parties_count: int, mean_size: float, name: str) -> Estimator:
    def once(rng: np.random.Generator) -> Bounds | None:
        rows = contact_metrics(contacts(rng, parties_count, mean_size), MIN_CELL_N)
        row = next(r for r in rows if (r.metric, r.level, r.segment, r.horizon_days) == (metric, "all", "all", days))
        if row.ci_low is None or row.ci_high is None:
            return None
        return Bounds(row.ci_low, row.ci_high, truth)

    return Estimator(name, once)


#: Share left by stratum, easy to hard, and which share of its cases the vendor gets.
STRATA_LEFT = np.array([0.04, 0.08, 0.15, 0.25])
VENDOR_GETS = np.array([0.7, 0.5, 0.3, 0.15])
VENDOR_ADDS = 0.03


def _partners(rng: np.random.Generator, adds: float) -> tuple[npt.NDArray[np.bool_], Ints, Ints, Ints]:
    party = parties(rng, 1_200, 1.8)
    stratum = rng.integers(0, 4, len(party))
    group = (rng.random(len(party)) < VENDOR_GETS[stratum]).astype(np.int64)
    left = alike(rng, np.round(STRATA_LEFT[stratum] + adds * group, 6), party)
    return left, group, stratum, party


def _difference(adds: float, name: str) -> Estimator:
    def once(rng: np.random.Generator) -> Bounds | None:
        found = standardise(*_partners(rng, adds)).difference(1, 0)
        # The same in every stratum, so on any mix.
        return None if found is None else Bounds(found.low, found.high, adds)

    return Estimator(name, once)


def _standardised(rng: np.random.Generator) -> Bounds | None:
    left, group, stratum, party = _partners(rng, VENDOR_ADDS)
    vendor = standardise(left, group, stratum, party).groups[1]
    if vendor.low is None or vendor.high is None:
        return None
    mix = np.bincount(stratum, minlength=4) / len(stratum)
    return Bounds(vendor.low, vendor.high, float((mix * (STRATA_LEFT + VENDOR_ADDS)).sum()))


FAMILIES, PLACES, SHAPE = 6, 25, 3.0


def _shrunken(rng: np.random.Generator) -> Bounds:
    family = np.repeat(np.arange(FAMILIES), PLACES)
    mean = np.geomspace(0.5, 8.0, FAMILIES)[family]
    exposure = rng.lognormal(0.0, 1.0, len(family))
    truth = rng.gamma(SHAPE, mean / SHAPE)
    found = shrink(rng.poisson(truth * exposure).astype(float), exposure, family)
    # Coverage of such intervals is an average over places: one of them a frame.
    place = int(rng.integers(0, len(family)))
    return Bounds(float(found.low[place]), float(found.high[place]), float(truth[place]))


ESTIMATORS = (
    _share("repeat_contact_rate", 7, REPEATS_7D, 400, 2.5, "repeat rate 7 days, parties of several contacts"),
    _share("first_contact_resolution", 30, 1 - REPEATS_30D, 60, 8.0, "first contact resolution, 60 large parties"),
    _difference(VENDOR_ADDS, "standardised difference of partners, +3 points"),
    _difference(0.0, "standardised difference of partners, none"),
    Estimator("standardised share of a partner", _standardised),
    Estimator("shrunken rate of a place (average over places)", _shrunken),
)
