"""Actions at some instant of follow-up with a known hazard ratio, or none; only who has not left yet can get one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from recovery import Bounds, Estimator
from simulated_episodes import DAY

from retention.outcomes.exposure import FOLLOW_UP_DAYS, measure_exposures
from retention.outcomes.exposure_inputs import COLUMNS

MIN_CELL_N = 10
MANY_DAYS = 1_000.0


@dataclass(frozen=True)
class Case:
    """What is planted. With several strata the hazards, and how often they are acted upon, differ between them."""

    hazard_ratio: float
    strata: int = 1
    parties: int = 1_100
    #: Share of subscribers with a twin of the same party who leaves on the very same day, acted upon with him.
    twins: float = 0.3


def cases(rng: np.random.Generator, case: Case) -> pd.DataFrame:
    """A frame of exposure_inputs.COLUMNS: the action comes on day 1 to 40, and changes the hazard from then on."""
    first = rng.random(case.parties) < case.twins
    party = np.repeat(np.arange(case.parties), 1 + first)
    n = case.parties
    stratum = rng.integers(0, case.strata, n)
    hazard = np.array([0.003, 0.006, 0.012])[:: 1 if case.strata > 1 else 3][stratum]
    # The hotter the case, the sooner it is acted upon: confounding that the strata take up.
    is_acted = rng.random(n) < np.array([0.3, 0.5, 0.7])[stratum if case.strata > 1 else 1]
    at = np.where(is_acted, rng.uniform(1, 40, n), np.inf)
    # Time runs slower or faster by the ratio once the action is there.
    wait = rng.exponential(1 / hazard)
    left = np.minimum(wait, at) + np.maximum(wait - at, 0) / case.hazard_ratio
    competing = rng.exponential(1 / 0.001, n)
    followed = rng.uniform(30, 200, n)
    values = {
        "decided_s": np.where(left < competing, left, np.nan) * DAY,
        "competing_s": np.where(left < competing, np.nan, competing) * DAY,
        "followed_s": followed * DAY,
        "follow_up_s": np.where(at < np.minimum(left, competing), at, np.nan) * DAY,
    }
    frame = {}
    for name, (kind, _) in COLUMNS.items():
        if kind == "code":
            names = ["0", "1", "2"] if name == "first_priority" else [{"level": "L1"}.get(name, "x")]
            codes = (stratum if name == "first_priority" else np.zeros(n)).astype(np.int16)[party]
            frame[name] = pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=str))
        elif kind == "bool":
            frame[name] = np.zeros(len(party), bool)
        else:
            frame[name] = values[name][party] if name in values else np.full(len(party), MANY_DAYS * DAY)
    return pd.DataFrame(frame | {"party": party})


def _of(measure: str, case: Case, name: str, *, is_in_smoke: bool = True) -> Estimator:
    def once(rng: np.random.Generator) -> Bounds | None:
        rows = measure_exposures(cases(rng, case), MIN_CELL_N)
        row = next(row for row in rows if (row.step, row.level) == ("follow_up", "all"))
        low, high = getattr(row, f"{measure}_low"), getattr(row, f"{measure}_high")
        return None if row.refusal_reason else Bounds(low, high, case.hazard_ratio)

    return Estimator(name, once, is_in_smoke)


def _ever_or_never(rng: np.random.Generator) -> Bounds:
    """Broken on purpose: those ever acted upon against those never, each over all their time (immortal time)."""
    frame = cases(rng, NULL)
    ever = frame["follow_up_s"].notna().to_numpy()
    limit = np.minimum(frame["followed_s"], FOLLOW_UP_DAYS * DAY).to_numpy()
    end = np.fmin(np.fmin(frame["decided_s"], frame["competing_s"]), limit)
    event = (frame["decided_s"] <= end).to_numpy()
    log_ratio = np.log(event[ever].sum() / end[ever].sum()) - np.log(event[~ever].sum() / end[~ever].sum())
    half = 1.96 * np.sqrt(1 / event[ever].sum() + 1 / event[~ever].sum())
    return Bounds(float(np.exp(log_ratio - half)), float(np.exp(log_ratio + half)), NULL.hazard_ratio)


NULL = Case(1.0)
HELPS = Case(0.55)
CONFOUNDED = Case(0.55, strata=3)
CONFOUNDED_NULL = Case(1.0, strata=3)
IMMORTAL = Estimator("ever against never acted upon (immortal time)", _ever_or_never)

ESTIMATORS = (
    _of("hazard_ratio", CONFOUNDED, "hazard ratio 0.55 of an action, hotter cases sooner"),
    _of("hazard_ratio", CONFOUNDED_NULL, "hazard ratio 1 of an action, hotter cases sooner", is_in_smoke=False),
    _of("hazard_ratio", NULL, "hazard ratio 1, only survivors get the action"),
    _of("rate_ratio", HELPS, "rate ratio 0.55 of an action"),
    _of("rate_ratio", NULL, "rate ratio 1, only survivors get the action", is_in_smoke=False),
)
