"""Who handles cases, behaving as badly as the rest of tests/sql/mischief.py. Draws are its own."""

import random
from datetime import timedelta

from planting import Planted, Row, at

TICKETS = [*(f"t{i}" for i in range(14)), None, "t-unknown"]
SUBSCRIPTIONS = [*(f"s{i}" for i in range(9)), None]
AGENTS, TEAMS = ["a1", "a2", "a3", "a4"], ["m1", "m2", "m3", "m-unknown"]
KINDS = ["escalation", "escalation", "assignment", "reassignment", "level_override"]


class PeopleMischief:
    """Memberships that change, agents that are deleted, hand-overs with and without names, actions, overrides."""

    def __init__(self, planted: Planted, seed: int) -> None:
        """Nothing is planted yet."""
        self.planted = planted
        self.random = random.Random(f"people {seed}")
        self.live: set[str] = set()
        self.serial = 0

    def night(self, day: float, share: float) -> None:
        """One load of some of the tables."""
        self.day, is_first, chance = day, self.serial == 0, self.random.random
        if is_first or chance() < 0.5:
            self._memberships(6 if is_first else 1)
        if is_first or chance() < 0.6:
            rows = [self._event() for _ in range(max(1, round(40 * share)))]
            self.planted.load("helpdesk.ticket_events", {row["ticket_event_id"]: row for row in rows}.values(),
                              watermark_to=at(day))  # fmt: skip
        if is_first or chance() < 0.6:
            rows = [self._action() for _ in range(max(1, round(40 * share)))]
            self.planted.load("helpdesk.retention_actions", {row["action_id"]: row for row in rows}.values(),
                              watermark_to=at(day))  # fmt: skip
        if not is_first and chance() < 0.3:
            self.planted.load("helpdesk.agents", deleted=[{"agent_id": self.random.choice(AGENTS)}])

    def _memberships(self, count: int) -> None:
        pick, rows = self.random.choice, {}
        for _ in range(count):
            key = f"n{self.random.randint(1, 8)}"
            rows[key] = {
                "membership_id": key, "agent_id": pick(AGENTS), "team_id": pick(TEAMS),
                "valid_from": at(pick([-300, -30, 0, 60])), "valid_to": pick([None, at(61), at(90)]),
            }  # fmt: skip
        gone = {pick(sorted(self.live))} - set(rows) if self.live else set()
        self.live = (self.live | set(rows)) - gone
        self.planted.load("helpdesk.team_memberships", rows.values(), deleted=[{"membership_id": key} for key in gone])

    def _key(self, letter: str) -> str:
        if self.serial and self.random.random() < 0.2:
            return f"{letter}{self.random.randint(1, self.serial)}"
        self.serial += 1
        return f"{letter}{self.serial}"

    def _event(self) -> Row:
        pick = self.random.choice
        event_at = at(self.random.randint(-120, int(self.day) + 8), pick([0, 1, 3, 5, 11]))
        return {
            "ticket_event_id": self._key("h"), "ticket_id": pick([*TICKETS[:14], "t-unknown"]), "kind": pick(KINDS),
            "to_value": pick(["L0", "L1", "L3", "nonsense"]), "reason": pick([None, "misread", "known_case"]),
            "sequence": pick([None, 1, 2]), "agent_id": pick([None, *AGENTS]), "team_id": pick([None, None, *TEAMS]),
            "event_at": event_at, "recorded_at": event_at + pick([timedelta(0), timedelta(days=10)]),
        }  # fmt: skip

    def _action(self) -> Row:
        pick = self.random.choice
        action_at = at(self.random.randint(-120, int(self.day) + 8), pick([0, 1, 3, 5, 11.25]))
        return {
            "action_id": self._key("g"), "ticket_id": pick(TICKETS), "subscription_id": pick(SUBSCRIPTIONS),
            "step": pick(["offer", "apology", "handover"]), "agent_id": pick([None, *AGENTS]),
            "team_id": pick([None, *TEAMS]), "cost_rub": pick([None, 100, 20000]), "action_at": action_at,
            "recorded_at": pick([None, action_at, action_at + timedelta(days=10)]), "updated_at": action_at,
        }  # fmt: skip
