"""A small operator whose sources behave as badly as sources do, from a seed.

Late and future rows, changed links, merges, unmerges, merge cycles, deletes and returns, numbers and subscriptions that
change hands, orders with and without ids; versions, old and new, that are set aside and let back.
"""

import random
from collections.abc import Mapping
from datetime import timedelta

from clock_mischief import ClockMischief
from complaint_mischief import ComplaintMischief
from people_mischief import PeopleMischief
from planting import Planted, Row, at

from retention.sources.contract import load_contract

PARTIES = [f"p{i}" for i in range(6)]
SUBSCRIPTIONS = [f"s{i}" for i in range(9)]
NUMBERS = ["+7 999 000-00-01", "89990000002", "9990000003", "7-999-ООО-00-04"]
REGIONS = ["r1", "r2"]
TICKETS = [f"t{i}" for i in range(14)]
CONTACTS = [f"c{i}" for i in range(90)]
TOPICS = ["network_coverage", "network_coverage", "billing_dispute", "question_plan", "nonsense", None]
EVENT_KINDS = [
    "activation", "plan_change", "suspension", "port_request", "port_cancelled", "port_refused", "port_completed",
    "disconnect_order", "disconnect_withdrawn", "disconnect_effective", "debt", "death", "technical", "sim_swap",
    "reactivation",
]  # fmt: skip
TICKET_EVENT_KINDS = ["opened", "status", "status", "status", "assignment", "reassignment", "merge", "merge", "unmerge",
                      "reopen", "leaving_flag", "other"]  # fmt: skip
VERDICTS = ["asserted", "asserted", "negated", "third_party"]
KEYS = {
    "crm.regions": REGIONS, "crm.parties": PARTIES, "crm.subscriptions": SUBSCRIPTIONS,
    "crm.msisdn_periods": [f"m{i}" for i in range(8)], "helpdesk.tickets": TICKETS, "helpdesk.contacts": CONTACTS,
    "web.public_reviews": [f"w{i}" for i in range(4)],
}  # fmt: skip


class Mischief:
    """Plants one night's loads after the other into a warehouse."""

    def __init__(self, planted: Planted, seed: int) -> None:
        """Nothing is planted yet."""
        self.planted = planted
        self.random = random.Random(seed)
        self.clocks = ClockMischief(planted, seed)
        self.people = PeopleMischief(planted, seed)
        self.complaints = ComplaintMischief(planted, seed)
        self.live: dict[str, set[str]] = {table: set() for table in KEYS}
        self.day = 0.0
        self.serial = 0

    def night(self, day: float, share: float) -> None:
        """One batch as of `day`: about `share` of every table's keys come, change or go."""
        is_first = self.planted.batch_id == 0
        self.planted.open(at(day, 2))
        self.day = day
        for table, keys in KEYS.items():
            # A table without news leaves what depends on it to the loads of the others.
            if is_first or self.random.random() < 0.6:
                self._load_entities(table, keys, share)
        for table in ("crm.subscription_events", "helpdesk.ticket_events"):
            if is_first or self.random.random() < 0.6:
                self._load_distinct(table, [self._event(table) for _ in range(round(60 * share))])
        self._load_distinct("crm.usage_months", [self._usage() for _ in range(round(40 * share))])
        for table in (*KEYS, "crm.subscription_events", "helpdesk.ticket_events", "crm.usage_months"):
            self._quarantine(table)
        self.clocks.night(day, share)
        self.people.night(day, share)
        self.complaints.night(day, share)
        self.planted.transform()

    def _load_entities(self, table: str, keys: list[str], share: float) -> None:
        chosen = [key for key in keys if self.random.random() < share]
        live = self.live[table]
        gone = {key for key in chosen if key in live and self.random.random() < 0.2}
        key_column = {
            "crm.regions": "region_id", "crm.parties": "party_id", "crm.subscriptions": "subscription_id",
            "crm.msisdn_periods": "msisdn_period_id", "helpdesk.tickets": "ticket_id",
            "helpdesk.contacts": "contact_id", "web.public_reviews": "review_id",
        }[table]  # fmt: skip
        rows = [{key_column: key, **self._values(table)} for key in chosen if key not in gone]
        live.update(set(chosen) - gone)
        live.difference_update(gone)
        if not chosen:
            return
        load_id = self.planted.load(table, rows, deleted=[{key_column: key} for key in gone])
        if table in ("helpdesk.contacts", "web.public_reviews"):
            prefix = "review:" if table == "web.public_reviews" else ""
            for row in rows:
                self.complaints.message(f"{prefix}{row[key_column]}", load_id)
                if self.random.random() < 0.15:
                    self.planted.hit(f"{prefix}{row[key_column]}", load_id, self.random.choice(VERDICTS))
                number = int(str(row[key_column])[1:])
                if not prefix and number % 2:
                    # What is alike changes with the version.
                    self.planted.reply(f"c{number}", load_id, [number % 5, number % 11 + load_id % 3])

    def _load_distinct(self, table: str, rows: list[Row]) -> None:
        keys = load_contract().tables[table].key
        distinct = {tuple(row[key] for key in keys): row for row in rows}
        if distinct:
            self.planted.load(table, distinct.values(), watermark_to=at(self.day))

    def _quarantine(self, table: str) -> None:
        """Set some versions aside, of tonight or old ones, and let some back: also without a load of the table."""
        for _ in range(self.random.choice([0, 0, 1, 3])):
            self.planted.set_aside(table, self.random.random())
        if self.random.random() < 0.5:
            self.planted.let_back(table, self.random.random())

    def _instant(self) -> object:
        """Mostly in the past, sometimes at or after as_of; few distinct values, so that instants collide."""
        return at(self.random.choice([self.random.randint(-120, int(self.day) + 12), int(self.day)]),
                  self.random.choice([0, 1, 3, 5, 11]))  # fmt: skip

    def _recorded(self, event_at: object) -> object:
        late = self.random.choice([None, timedelta(0), timedelta(hours=2), timedelta(days=10)])
        return None if late is None else event_at + late  # type: ignore[operator]

    def _maybe(self, *values: object) -> object:
        return self.random.choice([None, *values])

    def _values(self, table: str) -> Row:
        pick, maybe = self.random.choice, self._maybe
        if table == "crm.regions":
            return {"time_zone": pick(["Europe/Moscow", "Asia/Vladivostok", "Europe/Kaliningrad"])}
        if table == "crm.parties":
            return {
                "segment": pick(["mass", "vip", "", "N/A"]), "region_id": maybe(*REGIONS),
                "is_staff": self.random.random() < 0.1, "is_test": self.random.random() < 0.1,
            }  # fmt: skip
        if table == "crm.subscriptions":
            return {
                "party_id": pick(PARTIES), "product": pick(["prepaid", "prepaid", "postpaid"]),
                "region_id": maybe(*REGIONS), "activated_at": at(pick([-300, -50, 40])),
                "terminated_at": maybe(at(60), at(90)),
            }  # fmt: skip
        if table == "crm.msisdn_periods":
            return {
                "msisdn": pick(NUMBERS), "subscription_id": pick(SUBSCRIPTIONS),
                "valid_from": at(pick([-300, -20, 30])), "valid_to": maybe(at(31), at(80)),
            }  # fmt: skip
        event_at = self._instant()
        if table == "web.public_reviews":
            return {
                "rating": pick([1, 2, 3, 5]), "msisdn": maybe(*NUMBERS), "posted_at": event_at,
                "recorded_at": self._recorded(event_at),
            }  # fmt: skip
        links: Mapping[str, object] = {
            "subscription_id": pick([None, None, pick(SUBSCRIPTIONS), "s-unknown"]), "party_id": maybe(pick(PARTIES)),
            "msisdn": maybe(*NUMBERS), "topic_code": pick(TOPICS), "recorded_at": self._recorded(event_at),
        }  # fmt: skip
        if table == "helpdesk.tickets":
            resolved_at = maybe(self._instant())
            return {
                **links, "opened_at": event_at, "resolved_at": resolved_at,
                "merged_into_ticket_id": maybe(pick(TICKETS)), "has_leaving_flag": pick([None, False, True]),
                "is_test": self.random.random() < 0.1, "is_spam": self.random.random() < 0.1,
                "agent_id": maybe("a1"), "team_id": maybe("m1"),
            }  # fmt: skip
        return {
            **links, "ticket_id": maybe(pick(TICKETS), pick(TICKETS), "t-unknown"), "started_at": event_at,
            "connected_seconds": maybe(0, 100), "initiator": pick(["customer", "customer", "operator"]),
            "channel": pick(["call", "email"]), "is_on_behalf": maybe(False, True),
        }  # fmt: skip

    def _event(self, table: str) -> Row:
        """A new event, or now and then another version of an old one that belongs elsewhere."""
        event_at = self._instant()
        recorded_at = self._recorded(event_at) or event_at
        if self.serial and self.random.random() < 0.1:
            number = self.random.randint(1, self.serial)
        else:
            number = self.serial = self.serial + 1
        if table == "crm.subscription_events":
            return {
                "subscription_event_id": f"e{number}",
                "subscription_id": self.random.choice(SUBSCRIPTIONS), "kind": self.random.choice(EVENT_KINDS),
                "order_id": self._maybe("o1", "o2", "o3"), "effective_at": self._maybe(self._instant()),
                "event_at": event_at, "recorded_at": recorded_at,
            }  # fmt: skip
        kind = self.random.choice(TICKET_EVENT_KINDS)
        to_value = (
            self.random.choice(TICKETS) if kind == "merge" else self._maybe("open", "resolved", "closed", "pending")
        )
        return {
            "ticket_event_id": f"k{number}", "ticket_id": self.random.choice(TICKETS), "kind": kind,
            "sequence": self._maybe(1, 2), "to_value": to_value, "team_id": self._maybe("m1", "m2"),
            "agent_id": self._maybe("a1", "a2"), "event_at": event_at, "recorded_at": recorded_at,
        }  # fmt: skip

    def _usage(self) -> Row:
        month = self.random.randint(-5, 5)
        year, month_number = (2025, 12 + month) if month <= 0 else (2026, month)
        first = at(31 * (month - 1) + self.random.randint(0, 10), self.random.choice([0, 13, 22]))
        return {
            "subscription_id": self.random.choice(SUBSCRIPTIONS), "month_on": f"{year}-{month_number:02d}-01",
            "first_revenue_at": self._maybe(first),
            "last_revenue_at": self._maybe(first + timedelta(days=self.random.randint(0, 18), hours=3)),
        }  # fmt: skip
