"""Episodes with a known law of leaving: parties of several episodes that leave alike, competing ends, young cohorts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from recovery import Bounds, Estimator

from retention.outcomes.estimates import estimate_survival
from retention.outcomes.frames import EPISODE_COLUMNS
from retention.outcomes.metrics import MetricRow, survival_metrics

DAY = 86_400.0
HORIZONS = (30, 60, 90, 180)
MIN_CELL_N = 10
#: Of who leaves, by order or port; the rest fall silent.
ORDER_SHARE = 0.6
#: Prepaid silence is known 89 days later than an order.
INACTIVITY_LAG_DAYS = 89.0
# Nodes of a standard normal for the truth's integral over the parties' frailty.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)


@dataclass(frozen=True)
class Law:
    """Hazards per day of leaving and of competing ends; a party's own is exp(frailty z) times that of leaving."""

    leaving: float = 0.003
    competing: float = 0.0008
    frailty: float = 0.7
    parties: int = 700
    #: Episodes of a party: 1, 2, 3, 4.
    sizes: tuple[float, ...] = (0.6, 0.25, 0.1, 0.05)
    #: Days of follow-up, uniform between: some of 180 are not over.
    followed: tuple[float, float] = (20.0, 260.0)

    def left(self, days: float) -> float:
        """Probability of having left before `days`, no competing end before."""
        hazard = self.leaving * np.exp(self.frailty * _NODES)
        every = hazard + self.competing
        parts = hazard / every * (1 - np.exp(-every * days))
        return float((parts * _WEIGHTS).sum() / _WEIGHTS.sum())

    def still_there(self, days: float) -> float:
        """Probability of no end of any kind before `days`."""
        every = self.leaving * np.exp(self.frailty * _NODES) + self.competing
        return float((np.exp(-every * days) * _WEIGHTS).sum() / _WEIGHTS.sum())

    def mean_days(self, days: float) -> float:
        """Mean time to the first end of any kind, restricted to `days`."""
        every = self.leaving * np.exp(self.frailty * _NODES) + self.competing
        return float(((1 - np.exp(-every * days)) / every * _WEIGHTS).sum() / _WEIGHTS.sum())


def episodes(rng: np.random.Generator, law: Law) -> pd.DataFrame:
    """A frame of frames.EPISODE_COLUMNS under `law`, in one cell."""
    size = rng.choice(len(law.sizes), law.parties, p=law.sizes) + 1
    party = np.repeat(np.arange(law.parties), size)
    n = len(party)
    hazard = law.leaving * np.exp(law.frailty * rng.standard_normal(law.parties))[party]
    churn = rng.exponential(1 / hazard)
    competing = rng.exponential(1 / law.competing, n)
    # Only one of the two happens.
    churn, competing = np.where(churn <= competing, churn, np.nan), np.where(churn <= competing, np.nan, competing)
    followed = rng.uniform(*law.followed, n)
    by_order = rng.random(n) < ORDER_SHARE
    values = {
        "party": party, "subscription": np.arange(n), "started_s": np.arange(n, dtype=float), "churn_s": churn * DAY,
        "is_order_churn": by_order, "competing_s": competing * DAY, "return_s": np.full(n, np.nan),
        "followed_order_s": (followed + INACTIVITY_LAG_DAYS) * DAY, "followed_any_s": followed * DAY,
    }  # fmt: skip
    frame = {}
    for name, (kind, _) in EPISODE_COLUMNS.items():
        if kind == "code":
            only = {"level": "L1", "segment": "mass"}.get(name, "x")
            codes = np.zeros(n, np.int16)
            frame[name] = pd.Categorical.from_codes(codes, categories=pd.Index([only], dtype=str))
        else:
            frame[name] = values.get(name, np.zeros(n, bool))
    return pd.DataFrame(frame)


def published(frame: pd.DataFrame, metric: str, days: int) -> MetricRow:
    """The row of all levels and segments, as retention_metrics would have it."""
    rows = survival_metrics(estimate_survival(frame, MIN_CELL_N))
    (row,) = (
        row for row in rows if (row.metric, row.level, row.segment, row.horizon_days) == (metric, "all", "all", days)
    )
    return row


def _of(metric: str, days: int, law: Law, truth: float, name: str, *, is_in_smoke: bool = True) -> Estimator:
    def once(rng: np.random.Generator) -> Bounds | None:
        row = published(episodes(rng, law), metric, days)
        if row.ci_low is None or row.ci_high is None:
            return None
        return Bounds(row.ci_low, row.ci_high, truth)

    return Estimator(f"{name}, {days} days", once, is_in_smoke)


def _restricted_mean(rng: np.random.Generator) -> Bounds | None:
    """Days without an end of any kind, of the first 180."""
    wanted = ("left_any", "restricted_mean_days", "all", "all", 180)
    row = next(
        row
        for row in estimate_survival(episodes(rng, CLUSTERED), MIN_CELL_N)
        if (row.variant, row.estimator, row.level, row.segment, row.horizon_days) == wanted
    )
    if row.ci_low is None or row.ci_high is None:
        return None
    return Bounds(row.ci_low, row.ci_high, CLUSTERED.mean_days(180))


CLUSTERED = Law()
FEW = Law(parties=60, sizes=(1.0,), frailty=0.0)
RARE = Law(parties=400, sizes=(1.0,), frailty=0.0, leaving=0.0004)
COMPETED = Law(competing=0.006)

ESTIMATORS = (
    _of("share_left_any", 90, CLUSTERED, CLUSTERED.left(90), "share left, clustered parties, censored"),
    _of(
        "share_left_any",
        180,
        CLUSTERED,
        CLUSTERED.left(180),
        "share left, clustered parties, mostly censored",
        is_in_smoke=False,
    ),
    _of(
        "share_left_any",
        90,
        COMPETED,
        COMPETED.left(90),
        "share left, competing ends twice as frequent",
        is_in_smoke=False,
    ),
    _of(
        "share_left_by_order", 90, CLUSTERED, ORDER_SHARE * CLUSTERED.left(90), "share left by order", is_in_smoke=False
    ),
    _of("survival", 90, CLUSTERED, CLUSTERED.still_there(90), "survival, clustered parties", is_in_smoke=False),
    _of("share_left_any", 90, FEW, FEW.left(90), "share left, 60 subscribers", is_in_smoke=False),
    _of("survival", 60, FEW, FEW.still_there(60), "survival, 60 subscribers"),
    _of("share_left_any", 90, RARE, RARE.left(90), "share left, rare (3 %), 400 subscribers"),
    Estimator("restricted mean to 180 days, clustered parties", _restricted_mean, is_in_smoke=False),
)
