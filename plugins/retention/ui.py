"""The Airflow plugin: what Airflow has to know of beside the DAGs."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from retention.tasks import RunCreated


class RetentionPlugin(AirflowPlugin):
    """Registers what the nightly DAG's deadline counts from."""

    name = "retention"
    deadline_references: list[Any] = [RunCreated]  # noqa: RUF012 - Airflow's own form
