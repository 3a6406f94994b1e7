"""Airflow on one machine: an api-server, a scheduler and, for the UI, the processes that watch DAG files and triggers.

`airflow standalone` listens on every interface and leaves children behind, so each process is started here: on
127.0.0.1, in a session of its own, recorded.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing

import psycopg2

from retention.local import metadata, processes, settings
from retention.local.api import Api
from retention.local.home import Home, LocalError

#: What a run needs. Tasks speak to the api-server, not to the metadata database.
FOR_A_RUN = ("api-server", "scheduler")
#: What `retention up` adds: DAG files are watched, deferred tasks wake up.
FOR_THE_UI = (*FOR_A_RUN, "dag-processor", "triggerer")
START_TIMEOUT_SECONDS = 180.0
_ARGUMENTS = {
    "api-server": ("--workers", "1"),
    "scheduler": ("--skip-serve-logs",),
    "triggerer": ("--skip-serve-logs",),
}


def start(home: Home, names: tuple[str, ...]) -> Api:
    """Bring the metadata up to date, start the processes `names` and wait until the API answers.

    Processes that already run and suffice are kept; anything else of ours is ended first. LocalError with the log's
    tail when one does not start.
    """
    if set(names) <= set(processes.alive(home)):
        return _connect(home)
    processes.stop(home)
    environment = settings.environment(home)
    if commands := metadata.needed_commands(home):
        words = [sys.executable, "-m", "retention.local.metadata", *(" ".join(command) for command in commands)]
        prepare = processes.start(home, "metadata", words, environment)
        if prepare.wait() != 0:
            log = home.logs / "metadata.log"
            raise LocalError(f"Airflow's metadata could not be prepared:\n{processes.log_tail(log)}\nSee {log}")
        metadata.mark_done(home)
        processes.stop(home)
    _bury_dead_jobs(home)
    for name in names:
        processes.start(home, name, _command(name, is_short_lived=names == FOR_A_RUN), environment)
    return _connect(home)


def is_serving(home: Home) -> bool:
    """Whether everything that `retention up` starts lives."""
    return set(FOR_THE_UI) <= set(processes.alive(home))


def _command(name: str, is_short_lived: bool) -> list[str]:
    preloads = is_short_lived and name == "scheduler"
    program = ["retention.local.scheduler"] if preloads else ["airflow", name]
    return [sys.executable, "-m", *program, *_ARGUMENTS.get(name, ())]


def _connect(home: Home) -> Api:
    variables = settings.read_env(home.env_file)
    api = Api(variables["AIRFLOW__API__BASE_URL"])
    _wait(home, api.answers)
    api.login(settings.UI_USER, variables["RETENTION_UI_PASSWORD"])
    return api


def _wait(home: Home, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not is_ready():
        living = set(processes.alive(home))
        dead = set(processes.records(home)) - living
        if not living:
            raise LocalError("Airflow was stopped while it started. No run was started.")
        if dead or time.monotonic() > deadline:
            name = min(dead, default="api-server")
            log = home.logs / f"{name}.log"
            raise LocalError(f"Airflow's {name} did not start:\n{processes.log_tail(log)}\nSee {log}")
        time.sleep(0.1)


def _bury_dead_jobs(home: Home) -> None:
    """Tell Airflow that its earlier processes are gone, or it waits minutes before it takes their tasks over.

    Only called when everything of this home was stopped, so whatever is recorded as running is not.
    """
    with closing(psycopg2.connect(home.cluster.dsn("airflow"))) as conn, conn, conn.cursor() as cur:
        cur.execute("update job set state = 'failed', end_date = now() where state = 'running'")
