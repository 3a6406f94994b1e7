"""Estimators that are wrong in ways that happen. The judge must reject each: one who accepts all proves nothing."""

import numpy as np
import pandas as pd
from recovery import Bounds, Estimator
from simulated_episodes import CLUSTERED, COMPETED, DAY, Law, episodes

from retention.outcomes import intervals, survival
from retention.outcomes.estimates import VOLUNTARY, follow_up

HORIZON = 90 * DAY
#: Many rows a party: who ignores it, thinks to know more than there is.
LARGE_PARTIES = Law(parties=60, sizes=(0.0,) * 39 + (1.0,), frailty=1.0)
#: Most are followed for less than the horizon.
YOUNG = Law(followed=(5.0, 110.0))


def _table(frame: pd.DataFrame) -> survival.LifeTable:
    duration, cause = follow_up(frame, "left_any")
    return survival.life_table(duration, cause, n_causes=2)


def _of_complement(estimate: survival.Estimate, error: float, truth: float) -> Bounds:
    kept = intervals.log_log(1.0 - estimate.value, error)
    return Bounds(1.0 - kept.high, 1.0 - kept.low, truth)


def _halved(rng: np.random.Generator) -> Bounds:
    frame = episodes(rng, CLUSTERED)
    (left,) = survival.incidence(_table(frame), (VOLUNTARY,), (HORIZON,))
    return _of_complement(left, left.standard_error(frame["party"].to_numpy()) / 2, CLUSTERED.left(90))


def _censored_as_stayed(rng: np.random.Generator) -> Bounds:
    frame = episodes(rng, CLUSTERED)
    duration, cause = follow_up(frame, "left_any")
    left = int(((cause == VOLUNTARY) & (duration < HORIZON)).sum())
    interval = intervals.wilson(left, len(frame))
    assert interval is not None
    return Bounds(interval.low, interval.high, CLUSTERED.left(90))


def _own_last_activity(rng: np.random.Generator) -> Bounds:
    """Follows a leaver to the end and a stayer to the limit: leavers beyond the limit are known, stayers are not."""
    frame = episodes(rng, YOUNG)
    churn = frame["churn_s"].to_numpy()
    limit = np.where(np.isnan(churn), frame["followed_any_s"], np.maximum(frame["followed_any_s"], churn + 1))
    (left,) = survival.incidence(_table(frame.assign(followed_any_s=limit)), (VOLUNTARY,), (HORIZON,))
    return _of_complement(left, left.standard_error(frame["party"].to_numpy()), YOUNG.left(90))


def _rows_as_parties(rng: np.random.Generator) -> Bounds:
    (left,) = survival.incidence(_table(episodes(rng, LARGE_PARTIES)), (VOLUNTARY,), (HORIZON,))
    return _of_complement(left, left.standard_error(), LARGE_PARTIES.left(90))


def _competing_as_censored(rng: np.random.Generator) -> Bounds:
    frame = episodes(rng, COMPETED)
    duration, cause = follow_up(frame, "left_any")
    table = survival.life_table(duration, np.where(cause == VOLUNTARY, 1, 0), n_causes=1)
    (left,) = survival.incidence(table, (1,), (HORIZON,))
    return _of_complement(left, left.standard_error(frame["party"].to_numpy()), COMPETED.left(90))


def _refusing(rng: np.random.Generator) -> Bounds | None:
    return Bounds(0.0, 1.0, 0.5) if rng.random() < 0.7 else None


def _everything(rng: np.random.Generator) -> Bounds:
    return Bounds(0.0, 1.0, 0.5)


BROKEN = (
    Estimator("standard error halved", _halved),
    Estimator("censored taken for stayed", _censored_as_stayed),
    Estimator("leavers followed further than stayers", _own_last_activity),
    Estimator("rows of a party taken for parties", _rows_as_parties),
    Estimator("competing ends taken for censoring", _competing_as_censored),
    Estimator("refuses what is not comfortable", _refusing),
)
#: Found by many frames only: with few, all may hold by chance.
TOO_WIDE = Estimator("an interval that says nothing", _everything)
