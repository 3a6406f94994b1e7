"""Frames of cases as partner_inputs reads them, spelled out cell by cell."""

import numpy as np
import pandas as pd

from retention.outcomes.partner_inputs import CASE_COLUMNS

DAY = 86_400.0


def block(n, left=0, *, partner="in_house", stratum="easy", period="2025-Q1", team=None, agent=None, **more):
    """n cases of one kind, mature at every horizon; the first `left` of them left on day 10."""
    sourcing = partner if partner in ("in_house", "unknown") else "outsourced"
    team = team or ("unknown" if sourcing == "unknown" else f"team of {partner}")
    columns = {
        "party": np.nan, "period": period, "stratum": stratum, "sourcing": sourcing, "partner": partner, "team": team,
        "agent": agent or ("unknown" if sourcing == "unknown" else f"agent of {team}"), "is_risk": False,
        "is_night": False, "churn_s": np.where(np.arange(n) < left, 10 * DAY, np.nan), "competing_s": np.nan,
        "followed_s": 300 * DAY, "cost_rub": 100.0,
    }  # fmt: skip
    return pd.DataFrame({**columns, **more}, index=range(n))


def frame(*blocks):
    """Blocks one after the other, with the types of CASE_COLUMNS; without parties every case is its own."""
    whole = pd.concat(blocks, ignore_index=True)
    whole["party"] = whole["party"].where(whole["party"].notna(), whole.index + 1_000_000)
    kinds = {name: kind for name, (kind, _) in CASE_COLUMNS.items()}
    return whole.astype({name: "category" if kind == "code" else kind for name, kind in kinds.items()})[list(kinds)]
