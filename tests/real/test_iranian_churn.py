"""Complaint and leaving of 3,150 real subscribers of an Iranian operator, through the functions that the night uses.

The file has no dates: nine months of behaviour and the state at the end of the twelfth. A complainer becomes an episode
that was followed for the three months after, whoever left did so within them. Then the path from complaint to share
left must give the file's own table, 2614 / 295 / 41 / 200, and its odds ratio of 43.2.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import Table2x2

from retention.outcomes.estimates import SurvivalRow, estimate_survival
from retention.outcomes.intervals import Z
from retention.outcomes.metrics import MetricRow, survival_metrics

DAY = 86_400.0
HORIZON = 90
MIN_CELL_N = 10


@pytest.fixture(scope="module")
def subscribers(real_data: Path) -> pd.DataFrame:
    """One row a subscriber: complained, left, both flags."""
    with (real_data / "iranian_churn" / "Customer_Churn.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return pd.DataFrame({name: [row[column] == "1" for row in rows] for name, column in
                         (("complained", "Complains"), ("left", "Churn"))})  # fmt: skip


def episodes(subscribers: pd.DataFrame, chosen: "np.ndarray") -> pd.DataFrame:
    """The chosen subscribers as index episodes, frames.EPISODE_COLUMNS, followed to the day after the horizon."""
    left = subscribers["left"].to_numpy()[chosen]
    n = len(left)
    same = pd.Categorical.from_codes(np.zeros(n, np.int16), categories=pd.Index(["L1"], dtype=str))
    segment = pd.Categorical.from_codes(np.zeros(n, np.int16), categories=pd.Index(["mass"], dtype=str))
    # When within the three months is not known; any instant gives the same share at their end.
    churn = np.where(left, np.linspace(1, HORIZON - 1, n) * DAY, np.nan)
    nothing = np.full(n, np.nan)
    return pd.DataFrame({
        "level": same, "segment": segment, "party": np.arange(n), "subscription": np.arange(n),
        "started_s": np.zeros(n), "churn_s": churn, "is_order_churn": left, "competing_s": nothing,
        "return_s": nothing, "has_return_revenue": np.zeros(n, bool),
        "followed_order_s": np.full(n, (HORIZON + 1) * DAY), "followed_any_s": np.full(n, (HORIZON + 1) * DAY),
        "is_own_words_3b": np.zeros(n, bool),
    })  # fmt: skip


def share_left(frame: pd.DataFrame) -> MetricRow:
    """The headline of all levels and segments."""
    estimates: list[SurvivalRow] = list(estimate_survival(frame, MIN_CELL_N))
    (row,) = (
        row
        for row in survival_metrics(estimates)
        if (row.metric, row.level, row.segment, row.horizon_days) == ("share_left_any", "all", "all", HORIZON)
    )
    return row


def test_the_file_is_the_known_one(subscribers: pd.DataFrame) -> None:
    assert len(subscribers) == 3_150
    assert int(subscribers["left"].sum()) == 495


def test_complaint_to_churn_gives_the_known_table_and_odds_ratio(subscribers: pd.DataFrame) -> None:
    complained = subscribers["complained"].to_numpy()
    after, without = (share_left(episodes(subscribers, chosen)) for chosen in (complained, ~complained))
    table = [
        [without.n - without.numerator, without.numerator],
        [after.n - after.numerator, after.numerator],
    ]
    assert table == [[2_614, 295], [41, 200]]
    assert (after.maturity_status, without.maturity_status) == ("mature", "mature")
    # Nobody is censored, so Aalen-Johansen is the plain share.
    assert (after.value, without.value) == pytest.approx((200 / 241, 295 / 2_909))
    odds = [row.value / (1 - row.value) for row in (after, without)]
    assert round(odds[0] / odds[1], 1) == 43.2
    # Woolf's interval (1955), from the counts that the rows carry; statsmodels says the same.
    spread = Z * math.sqrt(sum(1 / cell for line in table for cell in line))
    low, high = (math.exp(math.log(odds[0] / odds[1]) + side * spread) for side in (-1, 1))
    theirs = Table2x2(np.array(table))
    assert theirs.oddsratio == pytest.approx(odds[0] / odds[1])
    assert theirs.oddsratio_confint() == pytest.approx((low, high))
    assert (round(low, 1), round(high, 1)) == (30.2, 61.8)


def test_the_intervals_of_the_shares_do_not_meet(subscribers: pd.DataFrame) -> None:
    complained = subscribers["complained"].to_numpy()
    after, without = (share_left(episodes(subscribers, chosen)) for chosen in (complained, ~complained))
    assert without.ci_low < 295 / 2_909 < without.ci_high < 0.12
    assert 0.77 < after.ci_low < 200 / 241 < after.ci_high


def test_a_table_with_the_answer_mixed_up_is_not_it(subscribers: pd.DataFrame) -> None:
    """The gate can fail: with complaints dealt out at random the odds are even."""
    shuffled = np.random.default_rng(5).permutation(subscribers["complained"].to_numpy())
    after, without = (share_left(episodes(subscribers, chosen)) for chosen in (shuffled, ~shuffled))
    odds = [row.value / (1 - row.value) for row in (after, without)]
    assert 0.5 < odds[0] / odds[1] < 2
