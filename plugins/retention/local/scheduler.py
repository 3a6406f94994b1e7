"""Airflow's scheduler for one run: what tasks need is imported before its workers are forked.

Each task is a process forked from a worker of the LocalExecutor, which is forked from the scheduler. Imported here,
once, instead of in each task, the rooms cost a night about 30 s of processor time less. A scheduler that stays
(`retention up`) must see changed code, and does without.
"""

import importlib
import sys

#: What a task would import first: Airflow's side of running it, and the rooms with what they stand on.
PRELOADED = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "retention.tasks",
    "retention.night",
    "retention.extract.load",
    "retention.sources.profile",
    "retention.text.read",
    "retention.outcomes.track",
    "retention.quality.gate",
    "retention.publish",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "great_expectations",
)


def main() -> None:
    """Import, then be `airflow scheduler` with the arguments given."""
    for name in PRELOADED:
        importlib.import_module(name)
    from airflow.cli import cli_parser

    arguments = cli_parser.get_parser().parse_args(["scheduler", *sys.argv[1:]])
    arguments.func(arguments)


if __name__ == "__main__":
    main()
