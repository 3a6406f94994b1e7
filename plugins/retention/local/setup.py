"""Bringing the machine room up and down. Every function may be interrupted and repeated."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from retention.local import databases, night, processes, services, settings
from retention.local.api import Api
from retention.local.console import Progress
from retention.local.home import Home, LocalError

SIMULATOR_PROFILE = "simulator"
DEFAULT_SUBSCRIBERS, DEFAULT_DAYS, DEFAULT_SEED = 10_000, 400, 1


@dataclass(frozen=True)
class Ui:
    """Where Airflow's UI is and how to log in."""

    url: str
    user: str
    password: str


def up_databases(home: Home, progress: Progress) -> None:
    """Start PostgreSQL, create what is missing in it, and write the env file."""
    with progress.doing("PostgreSQL"):
        home.create()
        home.cluster.start()
        settings.refresh_env(home)
    with progress.doing("databases and roles"):
        databases.install(home)


def up(home: Home, progress: Progress) -> Ui:
    """Everything that `retention up` promises: PostgreSQL and Airflow with its UI, left running."""
    up_databases(home, progress)
    with progress.doing("Airflow"):
        api = services.start(home, services.FOR_THE_UI)
        api.ensure_pool(night.SOURCE_POOL, night.SOURCE_SLOTS, night.POOL_NOTE)
    return ui(home)


def ui(home: Home) -> Ui:
    """The UI's address and login; LocalError before the first `retention up`."""
    variables = settings.read_env(home.env_file)
    return Ui(variables["AIRFLOW__API__BASE_URL"], settings.UI_USER, variables["RETENTION_UI_PASSWORD"])


def down(home: Home) -> list[str]:
    """Stop Airflow and PostgreSQL; returns the names of what ran. Data stay."""
    home.create()
    stopped = processes.stop(home)
    if home.cluster.is_running():
        stopped.append("PostgreSQL")
    home.cluster.stop()
    return stopped


@contextmanager
def airflow_beside(home: Home) -> Iterator["Future[Api]"]:
    """Airflow starts while the body works, and ends with it, unless `retention up` had it running before."""
    if services.is_serving(home):
        yield _done(services.start(home, services.FOR_A_RUN))
        return
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(services.start, home, services.FOR_A_RUN)
        try:
            yield starting
        except BaseException:
            with _uninterrupted():
                # Killed at once: tasks then start over. Asked to end, they would use up a retry.
                while not starting.done():
                    processes.stop(home, grace_seconds=0)
                    time.sleep(0.1)
                processes.stop(home, grace_seconds=0)
            raise
        processes.stop(home)


def _done(api: Api) -> "Future[Api]":
    future: Future[Api] = Future()
    future.set_result(api)
    return future


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C must not leave processes behind."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def profile(home: Home) -> str:
    """The sources' profile in force."""
    return settings.environment(home)["RETENTION_SOURCES"]


def create_operator(home: Home, subscribers: int, days: int, seed: int, progress: Progress) -> None:
    """Make a simulated operator. What an earlier one left in the sources is replaced; the warehouse starts over.

    LocalError when its last night would lie in the future.
    """
    from retention.simulator import run

    if profile(home) != SIMULATOR_PROFILE:
        raise LocalError(
            f"RETENTION_SOURCES is {profile(home)}: a simulated operator would replace what was loaded from it. "
            "Nothing was changed. Unset RETENTION_SOURCES, or set RETENTION_HOME to another folder."
        )
    _refuse_future(night.as_of_night(run.FIRST_DATE + timedelta(days=days)))
    databases.empty_warehouse(home)
    with progress.live("simulated operator"):
        summary = run.create(
            settings.dsn(home, "crm", "postgres"), settings.dsn(home, "helpdesk", "postgres"), home.simulator,
            subscribers, days, seed, progress.count,
        )  # fmt: skip
    progress.step(f"simulated operator to {summary.day}", sum(summary.rows.values()), summary.seconds)


def forward_operator(home: Home, days: int, progress: Progress) -> None:
    """Let the simulated operator live some days more. LocalError when there is none, or time would pass today."""
    from retention.simulator import run

    day = operator_day(home)
    if day is None:
        raise LocalError("there is no simulated operator yet: run `retention simulate` (or `make run`)")
    _refuse_future(night.as_of_night(day + timedelta(days=days + 1)))
    with progress.live("simulated operator"):
        summary = run.forward(
            settings.dsn(home, "crm", "postgres"), settings.dsn(home, "helpdesk", "postgres"), home.simulator,
            days, progress.count,
        )  # fmt: skip
    progress.step(f"simulated operator to {summary.day}", sum(summary.rows.values()), summary.seconds)


def operator_day(home: Home) -> date | None:
    """The last day the simulated operator has lived; None when there is no operator."""
    from retention.simulator.run import FIRST_DATE
    from retention.simulator.state import World

    state = home.simulator / "state" / "operator.npz"
    return FIRST_DATE + timedelta(days=World.load(state).day - 1) if state.exists() else None


def _refuse_future(as_of: datetime) -> None:
    now = datetime.now(tz=night.ZONE)
    if as_of > now:
        raise LocalError(
            f"the simulated operator would live until {as_of:%Y-%m-%d}, and this machine's clock says {now:%Y-%m-%d}: "
            "Airflow runs no night of the future. Nothing was changed. Take fewer --days."
        )
