"""Net promoter scores, agents and partners with a known truth."""

from statistics import NormalDist

import numpy as np
import pandas as pd
from recovery import Bounds, Estimator
from simulated_episodes import DAY
from simulated_shares import LIKENESS, STRATA_LEFT, VENDOR_ADDS, VENDOR_GETS, alike, parties

from retention.outcomes.firefighters import rank_firefighters
from retention.outcomes.partner_inputs import CASE_COLUMNS
from retention.outcomes.partners import compare_partners
from retention.outcomes.surveys import net_promoter

MIN_CELL_N = 10
DETRACTORS, PROMOTERS = 0.25, 0.45


def _net_promoter(parties_count: int, mean_size: float, name: str) -> Estimator:
    def once(rng: np.random.Generator) -> Bounds:
        party = parties(rng, parties_count, mean_size)
        shared = rng.standard_normal(parties_count)[party]
        latent = np.sqrt(LIKENESS) * shared + np.sqrt(1 - LIKENESS) * rng.standard_normal(len(party))
        low, high = (NormalDist().inv_cdf(p) for p in (DETRACTORS, 1 - PROMOTERS))
        opinions = np.where(latent < low, -1.0, np.where(latent >= high, 1.0, 0.0))
        _, interval = net_promoter(opinions, party)
        return Bounds(interval.low, interval.high, PROMOTERS - DETRACTORS)

    return Estimator(name, once)


AGENTS = 40
#: Spread of the agents' own factors about 1: gamma with this shape.
SHAPE = 8.0


def cases(rng: np.random.Generator, party: np.ndarray, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """A frame of partner_inputs.CASE_COLUMNS of one quarter; codes and flags as given, all mature."""
    n = len(party)
    frame = {}
    for name, (kind, _) in CASE_COLUMNS.items():
        if kind == "code":
            values = columns.get(name, np.full(n, "2026-Q1" if name == "period" else "x"))
            frame[name] = pd.Categorical(values)
        elif kind == "bool":
            frame[name] = columns.get(name, np.zeros(n, bool))
        elif kind == "int64":
            frame[name] = party
        else:
            frame[name] = columns.get(name, np.full(n, np.nan))
    return pd.DataFrame(frame | {"followed_s": np.full(n, 400 * DAY), "cost_rub": np.full(n, 100.0)})


def _left_at(rng: np.random.Generator, is_left: np.ndarray) -> np.ndarray:
    return np.where(is_left, rng.uniform(1, 89, len(is_left)) * DAY, np.nan)


def _agent(rng: np.random.Generator) -> Bounds | None:
    """One agent's factor on the hazard of its cases, in strata of unlike cases that agents get in unlike shares."""
    n = 4_000
    agent = rng.integers(0, AGENTS, n)
    hard = rng.beta(2, 2, AGENTS)
    stratum = (rng.random(n) < hard[agent]).astype(int)
    factor = rng.gamma(SHAPE, 1 / SHAPE, AGENTS)
    probability = np.array([0.05, 0.12])[stratum] * factor[agent]
    names = np.array([f"A{i}" for i in range(AGENTS)])
    frame = cases(rng, np.arange(n), {
        "churn_s": _left_at(rng, rng.random(n) < probability), "stratum": stratum.astype(str), "agent": names[agent],
        "sourcing": np.full(n, "in_house"), "partner": np.full(n, "in_house"), "team": np.full(n, "T1"),
    })  # fmt: skip
    chosen = int(rng.integers(0, AGENTS))
    row = next(
        row for row in rank_firefighters(frame, MIN_CELL_N) if (row.unit_kind, row.unit) == ("agent", names[chosen])
    )
    if row.ci_low is None or row.ci_high is None:
        return None
    # Relative to what all agents together do in the strata of this agent's cases.
    share = [np.average(factor[agent[stratum == s]]) for s in (0, 1)]
    own = np.bincount(stratum[agent == chosen], minlength=2) * np.array([0.05, 0.12])
    return Bounds(row.ci_low, row.ci_high, float(factor[chosen] * own.sum() / (own * share).sum()))


def _vendor(adds: float, name: str) -> Estimator:
    def once(rng: np.random.Generator) -> Bounds | None:
        party = parties(rng, 1_200, 1.8)
        stratum = rng.integers(0, 4, len(party))
        is_vendor = rng.random(len(party)) < VENDOR_GETS[stratum]
        left = alike(rng, np.round(STRATA_LEFT[stratum] + adds * is_vendor, 6), party)
        partner = np.where(is_vendor, "V1", "in_house")
        frame = cases(rng, party, {
            "churn_s": _left_at(rng, left), "stratum": stratum.astype(str), "partner": partner,
            "sourcing": np.where(is_vendor, "outsourced", "in_house"), "team": np.where(is_vendor, "TV", "TI"),
        })  # fmt: skip
        wanted = ("vendor", "V1", "all", "all", 90)
        row = next(
            row
            for row in compare_partners(frame, MIN_CELL_N)
            if (row.unit_kind, row.unit, row.period, row.use_case, row.horizon_days) == wanted
        )
        if row.difference_ci_low is None or row.difference_ci_high is None:
            return None
        return Bounds(row.difference_ci_low, row.difference_ci_high, adds)

    return Estimator(name, once, is_in_smoke=False)


ESTIMATORS = (
    _net_promoter(500, 1.0, "net promoter score, one answer a party"),
    _net_promoter(150, 3.0, "net promoter score, parties of several answers"),
    Estimator("ratio of an agent (average over agents)", _agent, is_in_smoke=False),
    _vendor(VENDOR_ADDS, "vendor with easier cases against in-house, +3 points"),
    _vendor(0.0, "vendor with easier cases against in-house, none"),
)
