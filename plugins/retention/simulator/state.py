"""The latent state of the operator: everything the next day depends on, kept in one file."""

import json
import os
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

from retention.simulator.codes import NA, REGION_SHIFT, Array, Ints
from retention.simulator.frame import Frame, Outbox
from retention.simulator.parameters import DAY, Parameters
from retention.simulator.schema import COLUMNS

I8, I16, I32, I64, F8 = "i1", "i2", "i4", "i8", "f8"
# A day far beyond any simulation.
NEVER = 2_000_000

FRAMES: dict[str, dict[str, tuple[str, float]]] = {
    "parties": {
        "kind": (I8, 0), "segment": (I8, 0), "region": (I8, 0), "language": (I8, 0), "name": (I16, 0),
        "is_staff": (I8, 0), "is_test": (I8, 0), "updated_at": (I64, NA), "script_arm": (I8, -1),
    },
    "consents": {
        "party": (I32, 0), "kind": (I8, 0), "granted_at": (I64, NA), "withdrawn_at": (I64, NA),
        "updated_at": (I64, NA),
    },
    "periods": {
        "msisdn": (I64, 0), "sub": (I32, 0), "valid_from": (I64, NA), "valid_to": (I64, NA), "updated_at": (I64, NA),
    },
    # Numbers of ended subscriptions in order of becoming free.
    "pool": {"msisdn": (I64, 0), "free_day": (I32, 0)},
    "subs": {
        "party": (I32, 0), "segment": (I8, 0), "product": (I8, 0), "plan": (I8, 0), "region": (I8, 0),
        "status": (I8, 0), "activated_at": (I64, NA), "terminated_at": (I64, NA), "updated_at": (I64, NA),
        "period": (I32, -1), "msisdn": (I64, NA),
        # presence: is the subscriber there? (see PRESENT..)
        "presence": (I8, 1), "z": (F8, 0), "hazard": (F8, 0), "rate": (F8, 0), "spend": (F8, 0),
        "last_revenue_at": (I64, NA), "must_spend": (I8, 0), "silent_day": (I32, NEVER), "quit_day": (I32, NEVER),
        "return_day": (I32, NEVER), "pause_until": (I32, NEVER), "suspended_until": (I32, NEVER),
        "suspension": (I8, 0), "order": (I8, 0), "order_id": (I32, -1), "order_end_at": (I64, NA),
        "order_outcome": (I8, 0), "decision": (I32, -1), "case": (I32, -1), "incident_until": (I64, NA),
        "incident_topic": (I8, 0), "restored_at": (I64, NA), "loyalty_arm": (I8, -1),
        # The current month's usage.
        "first_at": (I64, NA), "last_at": (I64, NA), "revenue": (I64, 0), "margin": (I64, 0), "usage_at": (I64, NA),
    },
    "cases": {
        "sub": (I32, 0), "topic": (I8, 0), "started_at": (I64, NA), "difficulty": (I8, 0), "vendor": (I8, -1),
        "team": (I8, 0), "agent": (I32, 0), "handled": (I8, 0), "first_contact_at": (I64, NA),
        "is_resolved": (I8, 0), "resolve_at": (I64, NA), "close_at": (I64, NA), "promise_due_at": (I64, NA),
        "promise": (I8, -1), "repeats": (I16, 0), "last_customer_at": (I64, NA), "grievance_until": (I64, NA),
        "ticket": (I32, 0), "text": (I8, 0), "script_arm": (I8, -1), "follow_up_day": (I32, NEVER),
        "follow_up_at": (I64, NA), "has_offer": (I8, 0), "by_incident": (I8, 0), "was_silent": (I8, 0),
    },
    "tickets": {
        "case": (I32, -1), "sub": (I64, NA), "party": (I64, NA), "msisdn": (I64, NA), "topic": (I64, NA),
        "channel": (I64, NA), "priority": (I64, NA), "status": (I64, 0), "closure": (I64, NA),
        "next_closure": (I64, NA), "opened_at": (I64, NA), "resolved_at": (I64, NA), "closed_at": (I64, NA),
        "merged_into": (I64, NA), "agent": (I64, NA), "team": (I64, NA), "has_leaving_flag": (I64, 0),
        "is_test": (I64, 0), "is_spam": (I64, 0), "recorded_at": (I64, NA), "updated_at": (I64, NA),
        "status_at": (I64, NA), "owner_at": (I64, NA),
    },
    "decisions": {
        "sub": (I32, 0), "kind": (I8, 0), "decided_at": (I64, NA), "outcome": (I8, 0), "churned_at": (I64, NA),
        "returned_at": (I64, NA), "case": (I64, NA), "multiplier": (F8, 1),
    },
    "agents": {
        "team": (I8, -1), "kind": (I8, 0), "role": (I8, 0), "name": (I16, 0), "hired_at": (I64, NA),
        "left_at": (I64, NA), "membership": (I32, -1),
    },
    "memberships": {"agent": (I32, 0), "team": (I8, 0), "valid_from": (I64, NA), "valid_to": (I64, NA)},
}  # fmt: skip

# subs.presence
GONE, PRESENT, SILENT, PAUSED = range(4)
COUNTERS = (
    "event", "order", "contact", "ticket_event", "action", "audit", "incident", "impact", "assignment", "attempt",
    "invitation", "response", "review", "number", "pool_head",
)  # fmt: skip


class Stream(IntEnum):
    """The independent sequences of random numbers of a day: one part leaves the draws of the others alone."""

    FOUNDATION = 0
    ARRIVALS = 1
    CONSENTS = 2
    CHURN = 3
    USAGE = 4
    STAFF = 5
    COMPLAINTS = 6
    QUESTIONS = 7
    REPEATS = 8
    FOLLOW_UPS = 9
    PORT_TALKS = 10
    SURVEYS = 11
    REVIEWS = 12
    OUTAGES = 13
    PILOTS = 14
    COMPLAINERS = 15
    CLOSING = 16
    HABITS = 17
    CLAIMS = 18
    NOTICES = 19
    UNMERGES = 20


@dataclass
class World:
    """One operator. `day` is the next day to simulate; before the first day it is 0."""

    seed: int
    subscribers: int
    parameters: Parameters = field(default_factory=Parameters)
    day: int = 0
    frames: dict[str, Frame] = field(default_factory=lambda: {name: Frame(spec) for name, spec in FRAMES.items()})
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    outbox: Outbox = field(default_factory=lambda: Outbox(COLUMNS))

    def __getattr__(self, name: str) -> Frame:
        """`world.subs` is the frame of that name."""
        try:
            return self.__dict__["frames"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def start(self) -> int:
        """First second of the day, since the start of the simulation."""
        return self.day * DAY

    def rng(self, stream: Stream) -> np.random.Generator:
        """The day's own generator: nothing but seed, stream and day decides what it gives."""
        return np.random.default_rng([self.seed, stream, self.day])

    def ids(self, counter: str, count: int) -> Ints:
        """The next `count` numbers of a counter."""
        first = self.counters[counter]
        self.counters[counter] = first + count
        return np.arange(first, first + count, dtype=np.int64)

    def local_time(self, rng: np.random.Generator, region: Array, earliest: float = 8.0, latest: float = 22.0) -> Ints:
        """Seconds within the day at which people are awake in their region; always inside the Moscow day."""
        hours = earliest + (latest - earliest) * rng.beta(2.0, 2.0, len(region))
        seconds: Ints = (hours * 3600).astype(np.int64) - REGION_SHIFT[region] + self.start
        return seconds

    def written(self, rng: np.random.Generator, at: Ints, may_be_late: bool = True) -> Ints:
        """When the source writes what happened `at`: minutes later, a few percent hours to ten days later."""
        lag = np.minimum(rng.exponential(240.0, len(at)) + 2, 3 * 3600)
        if may_be_late:
            late = rng.random(len(at)) < self.parameters.late_recorded_share
            lag = np.where(late, rng.uniform(2 * 3600, 10 * DAY, len(at)), lag)
        return np.asarray(at + lag.astype(np.int64), dtype=np.int64)

    def save(self, path: Path) -> None:
        """Writes the state atomically (temporary file, then rename)."""
        arrays = {
            f"{name}.{column}": array for name, frame in self.frames.items() for column, array in frame.dump().items()
        }
        arrays |= {f"outbox.{name}": array for name, array in self.outbox.dump().items()}
        meta = {"seed": self.seed, "subscribers": self.subscribers, "day": self.day, "counters": self.counters}
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "World":
        """Reads a saved state. Raises FileNotFoundError when there is none."""
        with np.load(path) as stored:
            meta = json.loads(str(stored["meta"]))
            world = cls(meta["seed"], meta["subscribers"], day=meta["day"])
            world.counters.update(meta["counters"])
            waiting = {
                name.removeprefix("outbox."): stored[name] for name in stored.files if name.startswith("outbox.")
            }
            world.outbox.restore(waiting)
            for name, spec in FRAMES.items():
                world.frames[name].restore({column: stored[f"{name}.{column}"] for column in spec})
        return world


def pick(rng: np.random.Generator, candidates: Ints, share: float) -> Ints:
    """A thinned sample in which each candidate is drawn with (nearly) probability `share`, without a draw for each."""
    count = rng.binomial(len(candidates), min(share, 1.0)) if len(candidates) else 0
    if count == 0:
        return candidates[:0]
    chosen: Ints = candidates[np.unique(rng.integers(0, len(candidates), count))]
    return chosen
