"""The few calls of Airflow's public REST API that a local run needs, over the standard library: it must start fast."""

import json
from datetime import datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from retention.local.home import LocalError

TIMEOUT_SECONDS = 30


class ApiError(LocalError):
    """Airflow's API refused; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Airflow at `url` (loopback); log in before anything but `answers`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._token: str | None = None

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            self._call("GET", "/api/v2/version")
        except (URLError, ConnectionError, TimeoutError, ApiError):
            return False
        return True

    def login(self, user: str, password: str) -> None:
        """Get a token for the calls that follow."""
        token = self._call("POST", "/auth/token", {"username": user, "password": password})
        self._token = str(token["access_token"])

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create a pool unless it is there; somebody's own number of slots is kept."""
        body = {"name": name, "slots": slots, "description": description}
        try:
            self._call("POST", "/api/v2/pools", body)
        except ApiError as error:
            if error.status != 409:
                raise

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start; LocalError when Airflow does not know the DAG."""
        try:
            self._call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
        except ApiError as error:
            if error.status != 404:
                raise
            raise LocalError(f"Airflow does not know the DAG `{dag_id}`. No run was started. See dags/.") from None

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """State of a run, None when there is no such run."""
        try:
            return str(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def run_type(self, dag_id: str, run_id: str) -> str:
        """What started a run that exists: manual, scheduled, backfill ..."""
        return str(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["run_type"])

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Forget a run and its tasks, so that it can be triggered anew."""
        self._call("DELETE", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def trigger(self, dag_id: str, run_id: str, interval: tuple[datetime, datetime]) -> None:
        """Start a run for a data interval, now."""
        start, end = (instant.isoformat() for instant in interval)
        body = {"dag_run_id": run_id, "logical_date": start, "data_interval_start": start, "data_interval_end": end}
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)

    def clear(self, dag_id: str, run_id: str, only_failed: bool) -> None:
        """Have a run's tasks run again (only its failed ones), with today's code."""
        body = {
            "dag_run_id": run_id, "dry_run": False, "only_failed": only_failed, "reset_dag_runs": True,
            "run_on_latest_version": True,
        }  # fmt: skip
        self._call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                answer: dict[str, Any] = json.loads(response.read() or "{}")
                return answer
        except HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            raise ApiError(error.code, f"Airflow refused {method} {path} ({error.code}): {detail}") from None
