"""`retention run`: whatever is missing is made, then the next night is run to its end."""

import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from retention.local import night, setup
from retention.local.console import Progress
from retention.local.home import Home, LocalError


@dataclass(frozen=True)
class Finished:
    """A published night and the wall-clock seconds of the whole command."""

    as_of: datetime
    seconds: float


class NightFailed(LocalError):
    """The night ended before publish; the message names the step, the reason and the next command."""


def run_next(home: Home, progress: Progress, morning: date | None) -> Finished:
    """Run one night: of `morning` (own sources; None: the last morning), or the simulated operator's next one.

    The simulated operator lives a day more only when its present night is published. NightFailed when a step failed.
    """
    began = time.monotonic()
    setup.up_databases(home, progress)
    with setup.airflow_beside(home) as starting:
        if setup.profile(home) == setup.SIMULATOR_PROFILE:
            if morning is not None:
                raise LocalError("the simulated operator decides which night is next: leave --as-of out")
            as_of = _next_simulated(home, progress)
        else:
            as_of = night.as_of_night(morning) if morning else _last_morning(datetime.now(tz=night.ZONE))
        with progress.doing("Airflow"):
            api = starting.result()
        progress.say(f"night of {as_of:%Y-%m-%d %H:%M} Moscow")
        run_id = night.launch(home, api, as_of)
        with progress.live("waiting for the scheduler"):
            failures = night.follow(home, run_id, progress)
    if failures or not night.is_published(home, as_of):
        raise NightFailed(_explain(as_of, failures))
    return Finished(as_of, time.monotonic() - began)


def _next_simulated(home: Home, progress: Progress) -> datetime:
    day = setup.operator_day(home)
    if day is None:
        setup.create_operator(home, setup.DEFAULT_SUBSCRIBERS, setup.DEFAULT_DAYS, setup.DEFAULT_SEED, progress)
    elif night.is_published(home, night.as_of_night(day + timedelta(days=1))):
        setup.forward_operator(home, 1, progress)
    day = setup.operator_day(home)
    if day is None:
        raise LocalError("the simulated operator has no state after it was made: see .local/simulator")
    return night.as_of_night(day + timedelta(days=1))


def _last_morning(now: datetime) -> datetime:
    """The latest 02:00 Moscow that has passed."""
    today = night.as_of_night(now.date())
    return today if today <= now else night.as_of_night(now.date() - timedelta(days=1))


def _explain(as_of: datetime, failures: list[night.Failure]) -> str:
    lines = [f"the night of {as_of:%Y-%m-%d} stopped before publish; marts serve what was published before."]
    if not failures:
        lines.append(
            f"  Airflow ended {night.run_id_of(as_of)} without a failed step, and without publishing. A night before "
            "the DAG's start_date has no steps. Its run is in Airflow's UI: `make up`."
        )
    for failure in failures:
        lines += [f"  {failure.step}: {failure.message}", f"    log: {failure.log}"]
    lines.append("Mend the cause and run `make run` (or `retention run`) again: this night is continued.")
    lines.append("See docs/runbooks/nightly.md and `retention status`.")
    return "\n".join(lines)
