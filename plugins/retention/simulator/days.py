"""One simulated day, in the order in which things depend on each other."""

from retention.simulator import (
    cases,
    churn,
    desk,
    habits,
    handling,
    outages,
    pilots,
    population,
    repeats,
    staff,
    surveys,
    usage,
)
from retention.simulator.codes import Ints
from retention.simulator.schema import COLUMNS
from retention.simulator.state import Stream, World


def simulate(world: World) -> tuple[dict[str, Ints], Ints]:
    """Moves the operator on by one day.

    Returns the rows that the log tables, daily files and texts get on this day (table -> column x row), and how many
    contacts of each counted channel the helpdesk lost. Entity tables are read from the state (see tables.py).
    """
    if world.day == 0:
        population.found(world)
        staff.hire_first(world)
    staff.change(world)
    outages.happen(world)
    churn.step(world)
    pilots.step(world)
    repeats.come_back(world)
    repeats.follow_up(world)
    repeats.talk_about_ports(world)
    handling.close_due(world, world.rng(Stream.CLOSING))
    cases.open_new(world)
    cases.ask(world)
    habits.claim(world)
    surveys.ask_at_random(world)
    surveys.review(world)
    usage.step(world)
    population.arrive(world)
    population.withdraw_consents(world)
    rows = world.outbox.take(world.day)
    if "ticket_events" in rows:
        desk.project(world, rows["ticket_events"], COLUMNS["ticket_events"])
    rows["channel_totals"], lost = desk.totals(world, rows.pop("counted", None))
    world.day += 1
    return rows, lost
