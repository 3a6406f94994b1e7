"""What really happened to a simulated operator's complainers, from its latent state (truth/*.csv) alone."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2

from harness import NightSpec, as_of_after

DAYS = 400
AS_OF = pd.Timestamp(as_of_after(DAYS)).tz_convert("UTC")
VOLUNTARY = ("port", "disconnect", "inactivity")
#: Days after which an end is known: orders, and silence of prepaid users.
ORDER_LAG, SILENCE_LAG = 1, 90


@dataclass(frozen=True)
class Operator:
    """A simulated operator after one published night; `folder` holds its truth."""

    spec: NightSpec
    folder: Path
    schema: str = "marts"

    @cached_property
    def effects(self) -> dict[str, Any]:
        """The planted parameters."""
        loaded: dict[str, Any] = json.loads((self.folder / "effects.json").read_text())["parameters"]
        return loaded

    @cached_property
    def ends(self) -> pd.DataFrame:
        """Ends that took effect: subscription_id, kind, churned_at, returned_at."""
        decisions = pd.read_csv(self.folder / "decisions.csv", dtype={"subscription_id": str})
        for name in ("decided_at", "churned_at", "returned_at"):
            decisions[name] = pd.to_datetime(decisions[name], utc=True, format="ISO8601")
        ends = decisions[(decisions["outcome"] == "left") & (decisions["churned_at"] < AS_OF)].copy()
        ends["is_voluntary"] = ends["kind"].isin(VOLUNTARY)
        return ends

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """Every grievance with its product, and whether it is the subscription's first of the quarter (Moscow)."""
        episodes = pd.read_csv(self.folder / "episodes.csv", dtype={"subscription_id": str})
        for name in ("started_at", "promise_due_at", "follow_up_at"):
            episodes[name] = pd.to_datetime(episodes[name], utc=True, format="ISO8601")
        subscriptions = pd.read_csv(self.folder / "subscriptions.csv", dtype={"subscription_id": str})
        episodes = episodes.merge(subscriptions[["subscription_id", "product", "segment"]], on="subscription_id")
        quarter = episodes["started_at"].dt.tz_convert("Europe/Moscow").dt.tz_localize(None).dt.to_period("Q")
        ordered = episodes.assign(quarter=quarter).sort_values(["started_at", "episode_id"])
        is_index = ~ordered.duplicated(["subscription_id", "quarter"])
        lag = ordered["product"].map({"prepaid": SILENCE_LAG, "postpaid": ORDER_LAG})
        return ordered.assign(is_index=is_index, knowable_until=AS_OF - pd.to_timedelta(lag, unit="D"))

    def left_within(self, since: pd.DataFrame, days: int) -> pd.Series:
        """Of rows (index, subscription_id, at): left voluntarily in [at, at + days), before any other end."""
        joined = since.reset_index(names="row").merge(self.ends, on="subscription_id")
        joined = joined[joined["churned_at"] >= joined["at"]].sort_values("churned_at", kind="stable")
        first = joined.drop_duplicates("row").set_index("row")
        left = first["is_voluntary"] & (first["churned_at"] < first["at"] + pd.Timedelta(days=days))
        return left.reindex(since.index, fill_value=False).astype(bool)

    def silent_at(self, since: pd.DataFrame) -> pd.Series:
        """Of rows (index, subscription_id, at): had used nothing since, and had not come back by then."""
        joined = since.reset_index(names="row").merge(
            self.ends[self.ends["kind"] == "inactivity"], on="subscription_id"
        )
        silent = joined[(joined["churned_at"] <= joined["at"]) & ~(joined["returned_at"] <= joined["at"])]
        return pd.Series(since.index.isin(silent["row"]), index=since.index)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the published marts, `{marts}` in the statement."""
        conn = psycopg2.connect(self.spec.etl_dsn)
        try:
            with conn.cursor() as cur:
                cur.execute(statement.format(marts=self.schema), parameters)
                return cur.fetchall()
        finally:
            conn.close()
