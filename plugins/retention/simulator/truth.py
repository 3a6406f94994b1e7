"""The known truth, from the latent state alone: effects, people, decisions, episodes. Never in the sources."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from retention.simulator import codes
from retention.simulator.cases import HANDLED
from retention.simulator.churn import DECISION_KINDS, DECISION_OUTCOMES
from retention.simulator.codes import NA, Array, Ints
from retention.simulator.files import write_atomically
from retention.simulator.render import csv_text
from retention.simulator.schema import Column, Table
from retention.simulator.state import World

CHUNK = 100_000
_REGISTERS = ("none", "threat", "negated", "third_party", "quoted")


def _id(name: str, prefix: str) -> Column:
    return Column(name, "text", "id", prefix=prefix)


def _word(name: str, words: tuple[str, ...]) -> Column:
    return Column(name, "text", "word", words)


def _at(name: str) -> Column:
    return Column(name, "timestamptz", "instant")


def _table(name: str, *columns: Column) -> Table:
    return Table(name, "truth", (columns[0].name,), None, columns)


SUBSCRIPTIONS = _table(
    "subscriptions",
    _id("subscription_id", "S"),
    _word("segment", codes.SEGMENTS),
    _word("product", codes.PRODUCTS),
    Column("dissatisfaction", "numeric", "millionths"),
    Column("hazard_per_year", "numeric", "millionths"),
    _word("presence", ("gone", "present", "silent", "paused")),
    _word("loyalty_arm", codes.ARMS),
)
DECISIONS = _table(
    "decisions",
    _id("decision_id", ""),
    _id("subscription_id", "S"),
    _word("kind", DECISION_KINDS),
    _at("decided_at"),
    _word("outcome", DECISION_OUTCOMES),
    _at("churned_at"),
    _at("returned_at"),
    _id("episode_id", "E"),
    Column("hazard_multiplier", "numeric", "millionths"),
)
EPISODES = _table(
    "episodes",
    _id("episode_id", "E"),
    _id("subscription_id", "S"),
    _word("topic", codes.TOPICS),
    _at("started_at"),
    _word("difficulty", ("easy", "normal", "hard")),
    _word("handler", ("in_house", *codes.VENDORS)),
    _id("team_id", "TM"),
    _word("handled", HANDLED),
    Column("is_treated_in_time", "boolean", "flag"),
    _at("first_contact_at"),
    Column("is_really_resolved", "boolean", "flag"),
    _word("promise", ("broken", "kept")),
    _at("promise_due_at"),
    Column("repeats", "integer", "integer"),
    _word("first_text", _REGISTERS),
    _word("script_arm", codes.ARMS),
    Column("has_offer", "boolean", "flag"),
    _at("follow_up_at"),
    Column("is_by_incident", "boolean", "flag"),
    Column("was_silent", "boolean", "flag"),
    _id("last_ticket_id", "T"),
)
CONTACT_COUNTS = _table(
    "contact_counts",
    Column("day_on", "date", "date"),
    _word("channel", codes.CHANNELS),
    Column("counted", "bigint", "integer"),
    Column("lost_by_helpdesk", "bigint", "integer"),
)


def write(world: World, folder: Path) -> dict[str, int]:
    """Writes truth/*.csv and effects.json from the state; returns rows by file."""
    folder.mkdir(parents=True, exist_ok=True)
    effects = {"seed": world.seed, "subscribers": world.subscribers, "parameters": world.parameters.as_dict()}
    write_atomically(folder / "effects.json", [json.dumps(effects, indent=2, sort_keys=True), "\n"])
    counts = {}
    for table, rows, frame in (
        (SUBSCRIPTIONS, _subscriptions, "subs"),
        (DECISIONS, _decisions, "decisions"),
        (EPISODES, _episodes, "cases"),
    ):
        counts[table.name] = len(world.frames[frame])
        _write(folder / f"{table.name}.csv", table, world, rows, counts[table.name])
    return counts


def _write(path: Path, table: Table, world: World, rows: Callable[[World, Ints], Ints], count: int) -> None:
    starts = range(0, max(count, 1), CHUNK)
    pieces = (
        csv_text(table, rows(world, np.arange(start, min(start + CHUNK, count))), with_header=start == 0)
        for start in starts
    )
    write_atomically(path, pieces)


def _or_na(values: Array) -> Ints:
    return np.where(values < 0, NA, values)


def _subscriptions(world: World, position: Ints) -> Ints:
    subs = {name: array[position] for name, array in world.subs.dump().items()}
    millionths = [(values * 1e6).round() for values in (subs["z"], subs["hazard"] * 365)]
    columns = [subs["segment"], subs["product"], *millionths, subs["presence"], _or_na(subs["loyalty_arm"])]
    return np.stack([position, *(column.astype(np.int64) for column in columns)])


def _decisions(world: World, position: Ints) -> Ints:
    decisions = {name: array[position] for name, array in world.decisions.dump().items()}
    columns = [
        decisions[name] for name in ("sub", "kind", "decided_at", "outcome", "churned_at", "returned_at", "case")
    ]
    multiplier = (decisions["multiplier"] * 1e6).round()
    return np.stack([position, *(column.astype(np.int64) for column in (*columns, multiplier))])


def _episodes(world: World, position: Ints) -> Ints:
    cases = {name: array[position].astype(np.int64) for name, array in world.cases.dump().items()}
    cases["vendor"] += 1
    cases["in_time"] = (cases["handled"] <= 1).astype(np.int64)
    for name in ("promise", "script_arm"):
        cases[name] = _or_na(cases[name])
    columns = (
        "sub", "topic", "started_at", "difficulty", "vendor", "team", "handled", "in_time", "first_contact_at",
        "is_resolved", "promise", "promise_due_at", "repeats", "text", "script_arm", "has_offer", "follow_up_at",
        "by_incident", "was_silent", "ticket",
    )  # fmt: skip
    return np.stack([position, *(cases[name] for name in columns)])
