"""What starts, stops and pauses clocks, behaving as badly as the rest of tests/sql/mischief.py. Draws are its own."""

import random
from datetime import datetime, timedelta

from planting import Planted, Row, at

TICKETS = [f"t{i}" for i in range(14)]
SUBSCRIPTIONS = [f"s{i}" for i in range(9)]
AGENTS, TEAMS = ["a1", "a2", "a3"], ["m1", "m2", "m3"]
EVENT_KINDS = ["pause", "pause", "resume", "resume", "status", "registered", "escalation", "assignment"]


class ClockMischief:
    """Replies, vendors' dials, pauses, staff and outages; new ones and other versions of old ones."""

    def __init__(self, planted: Planted, seed: int) -> None:
        """Nothing is planted yet."""
        self.planted = planted
        self.random = random.Random(f"clocks {seed}")
        self.serial = 0

    def night(self, day: float, share: float) -> None:
        """One load of some of the tables."""
        self.day = day
        is_first = self.serial == 0
        for table, count in (
            ("helpdesk.contacts", 50), ("vendor.call_attempts", 30), ("helpdesk.ticket_events", 60),
            ("helpdesk.incidents", 4), ("helpdesk.incident_impacts", 12),
        ):  # fmt: skip
            if is_first or self.random.random() < 0.6:
                rows = [self._row(table) for _ in range(max(1, round(count * share)))]
                by_key = {next(iter(row.values())): row for row in rows}
                self.planted.load(table, by_key.values(), watermark_to=at(day))
        if is_first or self.random.random() < 0.4:
            self._staff(is_first)

    def _staff(self, is_first: bool) -> None:
        agents, teams = (AGENTS, TEAMS) if is_first else ([self.random.choice(AGENTS)], [self.random.choice(TEAMS)])
        self.planted.load("helpdesk.agents", [
            {"agent_id": agent, "kind": self.random.choice(["human", "human", "bot"]),
             "role": self.random.choice(["agent", "control_group", "retention_manager"])}
            for agent in agents
        ])  # fmt: skip
        self.planted.load("helpdesk.teams", [
            {"team_id": team, "vendor_id": self.random.choice([None, "v1", "v2"]),
             "calendar_code": self.random.choice(["24x7", "office_9_18", "six_days", "nonsense", None]),
             "time_zone": self.random.choice(["Europe/Moscow", "Asia/Yekaterinburg"])}
            for team in teams
        ])  # fmt: skip

    def _instant(self) -> datetime:
        return at(self.random.randint(-120, int(self.day) + 8), self.random.choice([0, 1, 3, 5, 11, 11.5]))

    def _key(self, letter: str) -> str:
        if self.serial and self.random.random() < 0.2:
            return f"{letter}{self.random.randint(1, self.serial)}"
        self.serial += 1
        return f"{letter}{self.serial}"

    def _row(self, table: str) -> Row:
        pick, event_at = self.random.choice, self._instant()
        recorded_at = event_at + pick([timedelta(0), timedelta(hours=2), timedelta(days=10)])
        ticket, subscription = pick([None, *TICKETS]), pick([None, *SUBSCRIPTIONS])
        if table == "helpdesk.contacts":
            return {
                "contact_id": self._key("out"), "ticket_id": ticket, "subscription_id": subscription,
                "direction": "outbound", "initiator": "operator", "channel": pick(["call", "email", "sms", "chat"]),
                "author_kind": pick(["human", "human", "bot", "ivr", None]), "agent_id": pick([None, *AGENTS]),
                "team_id": pick([None, *TEAMS]), "topic_code": pick(["network_coverage", "billing_dispute", None]),
                "is_answered": pick([None, True, False]), "connected_seconds": pick([None, 0, 29, 30, 400]),
                "started_at": event_at, "recorded_at": recorded_at,
            }  # fmt: skip
        if table == "vendor.call_attempts":
            return {
                "attempt_id": self._key("d"), "vendor_id": pick(["v1", "v2"]), "ticket_id": ticket,
                "subscription_id": subscription, "received_at": pick([None, event_at, self._instant()]),
                "attempted_at": event_at, "is_answered": pick([True, True, False]),
                "connected_seconds": pick([0, 29, 30, 90]), "recorded_at": pick([None, recorded_at]),
            }  # fmt: skip
        if table == "helpdesk.ticket_events":
            return {
                "ticket_event_id": self._key("p"), "ticket_id": pick(TICKETS), "kind": pick(EVENT_KINDS),
                "to_value": pick(["pending", "open"]), "sequence": pick([None, 1]), "agent_id": pick([None, *AGENTS]),
                "team_id": pick(TEAMS), "event_at": event_at, "recorded_at": recorded_at,
            }  # fmt: skip
        ended_at = pick([None, event_at + timedelta(hours=5), event_at + timedelta(days=20)])
        if table == "helpdesk.incidents":
            return {
                "incident_id": f"i{self.random.randint(1, 4)}", "started_at": event_at, "restored_at": ended_at,
                "updated_at": recorded_at,
            }  # fmt: skip
        return {
            "impact_id": self._key("x"), "incident_id": f"i{self.random.randint(1, 5)}",
            "subscription_id": pick(SUBSCRIPTIONS), "started_at": event_at, "ended_at": ended_at,
            "updated_at": recorded_at,
        }  # fmt: skip
