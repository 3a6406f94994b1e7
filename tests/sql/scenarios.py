"""Scenarios for the edge cases of DEFINITIONS 7: what two nights' loads bring."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from planting import Row, at

NIGHTS = (at(120, 2), at(121, 2))


@dataclass
class Book:
    """Rows of one night, by table; small verbs keep a scenario to a few lines."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    deleted: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    hits: list[tuple[str, str]] = field(default_factory=list)
    #: What messages say as a whole: contact, sentiment, topic, kind of threat, signal of its phrase.
    messages: list[tuple[str, int, str | None, str, str | None]] = field(default_factory=list)
    serial: int = 0

    def add(self, table: str, **row: object) -> None:
        self.rows[table].append(row)

    def subscriber(self, name: str, party: str = "", segment: str = "mass", **subscription: object) -> None:
        party = party or f"party of {name}"
        if not any(row["party_id"] == party for row in self.rows["crm.parties"]):
            self.add("crm.parties", party_id=party, segment=segment)
        self.add("crm.subscriptions", **{"subscription_id": name, "party_id": party, **subscription})

    def contact(self, contact_id: str, started_at: datetime, **row: object) -> None:
        fields = {"topic_code": "network_coverage", "connected_seconds": 0, **row}
        self.add("helpdesk.contacts", contact_id=contact_id, started_at=started_at, **fields)

    def ticket(self, ticket_id: str, opened_at: datetime, **row: object) -> None:
        fields = {"topic_code": "network_coverage", **row}
        self.add("helpdesk.tickets", ticket_id=ticket_id, opened_at=opened_at, **fields)

    def ticket_event(
        self, ticket_id: str, kind: str, event_at: datetime, to_value: object = None, **row: object
    ) -> None:
        self.serial += 1
        fields = {"ticket_event_id": f"{ticket_id} {kind} {self.serial}", "recorded_at": event_at, **row}
        self.add(
            "helpdesk.ticket_events", ticket_id=ticket_id, kind=kind, event_at=event_at, to_value=to_value, **fields
        )

    def event(self, subscription_id: str, kind: str, event_at: datetime, **row: object) -> None:
        self.serial += 1
        fields = {"subscription_event_id": f"{kind} {self.serial}", "recorded_at": event_at, **row}
        self.add("crm.subscription_events", subscription_id=subscription_id, kind=kind, event_at=event_at, **fields)

    def revenue(self, subscription_id: str, month_on: str, first: datetime, last: datetime) -> None:
        self.add("crm.usage_months", subscription_id=subscription_id, month_on=month_on, first_revenue_at=first,
                 last_revenue_at=last, updated_at=last)  # fmt: skip


def identities(one: Book, two: Book) -> None:
    """Merges, numbers and links."""
    one.subscriber("merge-A")
    for ticket in ("A", "B"):
        one.ticket(ticket, at(10), subscription_id="merge-A")
        one.contact(f"contact-{ticket}", at(10, 1 if ticket == "A" else 2), ticket_id=ticket)
    one.rows["helpdesk.tickets"][-1] = {**one.rows["helpdesk.tickets"][-1], "topic_code": "roaming"}
    one.rows["helpdesk.contacts"][-1] = {**one.rows["helpdesk.contacts"][-1], "topic_code": "roaming"}
    one.ticket_event("B", "merge", at(11), "A")
    one.ticket_event("B", "status", at(12), "resolved")
    two.ticket_event("B", "unmerge", at(120, 5))
    for ticket, root in (("chain-1", "chain-2"), ("chain-2", "chain-3"), ("chain-3", None),
                         ("ring-1", "ring-2"), ("ring-2", "ring-1"), ("tail", "ring-1")):  # fmt: skip
        one.ticket(ticket, at(10), merged_into_ticket_id=root)
    one.subscriber("old-holder")
    one.subscriber("new-holder")
    number = {"msisdn": "+7 (901) 000-00-01"}
    one.add(
        "crm.msisdn_periods",
        msisdn_period_id="m1",
        subscription_id="old-holder",
        valid_from=at(-300),
        valid_to=at(20),
        **number,
    )
    one.add("crm.msisdn_periods", msisdn_period_id="m2", subscription_id="new-holder", valid_from=at(20), **number)
    spellings = ["89010000001", "7-901-000-00-01 ", "901О0ООО01", "+7 901 000 00 01", "9010000001"]
    for i, msisdn in enumerate(spellings):
        one.contact(f"before-{i}", at(19, i), msisdn=msisdn)
        one.contact(f"after-{i}", at(20, i), msisdn=msisdn)
    one.subscriber("by-party", party="only-one")
    one.subscriber("gone", party="only-one", terminated_at=at(5))
    one.contact("by-party", at(10), party_id="only-one")
    for name in ("two-1", "two-2"):
        one.subscriber(name, party="two-of-them")
    one.contact("ambiguous", at(10), party_id="two-of-them")
    one.subscriber("late-link")
    one.contact("linked-later", at(10), topic_code="roaming")
    two.contact("linked-later", at(10), topic_code="roaming", subscription_id="late-link")
    one.add("web.public_reviews", review_id="angry", rating=1, posted_at=at(10), msisdn="89010000001")
    one.add("web.public_reviews", review_id="stranger", rating=1, posted_at=at(10))
    one.add("web.public_reviews", review_id="happy", rating=5, posted_at=at(10))
    one.ticket("no-contacts", at(10), subscription_id="merge-A", topic_code="billing_dispute")
    one.subscriber("deleted-and-back")
    one.contact("deleted-and-back", at(10), subscription_id="deleted-and-back")
    two.deleted["helpdesk.contacts"].append({"contact_id": "deleted-and-back"})


def complaints(one: Book, two: Book) -> None:
    """Episodes, repeats, levels and exclusions."""
    one.subscriber("channels")
    one.contact("mail", at(10), subscription_id="channels", channel="email")
    one.contact("chat", at(10, 4 / 60), subscription_id="channels", channel="chat")
    one.subscriber("gaps")
    for day in (0, 29, 59, 90):
        one.contact(f"gap-{day}", at(day), subscription_id="gaps")
    one.subscriber("open-ticket")
    one.ticket("open", at(0))
    one.contact("opening", at(0), subscription_id="open-ticket", ticket_id="open")
    one.contact("much-later", at(80), subscription_id="open-ticket")
    one.subscriber("reopened")
    one.ticket("reopened", at(0))
    for kind, day, value in (("status", 2, "resolved"), ("reopen", 50, None), ("status", 55, "resolved")):
        one.ticket_event("reopened", kind, at(day), value)
    one.contact("reopened-1", at(0), subscription_id="reopened", ticket_id="reopened")
    one.contact("reopened-2", at(50), subscription_id="reopened", ticket_id="reopened")
    one.subscriber("repeats", segment="vip")
    for name, day, hour in (("first", 0, 0), ("too-soon", 0, 3), ("in-7", 6, 0), ("in-30", 20, 0)):
        one.contact(f"repeat-{name}", at(day, hour), subscription_id="repeats", connected_seconds=600)
    one.contact("our-call", at(21), subscription_id="repeats", initiator="operator", direction="outbound")
    one.subscriber("after-resolution")
    one.ticket("resolved-late", at(0), resolved_at=at(40))
    one.contact("resolved-late", at(0), subscription_id="after-resolution", ticket_id="resolved-late")
    one.contact("before-it", at(35), subscription_id="after-resolution")
    one.contact("after-it", at(69), subscription_id="after-resolution")
    for name, verdict in (("own", "asserted"), ("not-leaving", "negated"), ("a-friend", "third_party")):
        one.subscriber(f"phrase-{name}")
        one.contact(f"phrase-{name}", at(10), subscription_id=f"phrase-{name}")
        one.hits.append((f"phrase-{name}", verdict))
    one.subscriber("relative")
    one.contact("relative", at(10), subscription_id="relative", is_on_behalf=True)
    one.hits.append(("relative", "asserted"))
    one.subscriber("flagged")
    one.ticket("flagged", at(10), has_leaving_flag=True)
    one.contact("flagged", at(10), subscription_id="flagged", ticket_id="flagged")
    one.ticket_event("flagged", "leaving_flag", at(10, 5))
    one.add("crm.parties", party_id="staff", is_staff=True)
    one.add("crm.parties", party_id="testers", is_test=True)
    for name in ("staff", "testers"):
        one.add("crm.subscriptions", subscription_id=name, party_id=name)
        one.contact(name, at(10), subscription_id=name)
    one.ticket("spam", at(10), is_spam=True)
    one.subscriber("quiet")
    one.contact("spam", at(10), subscription_id="quiet", ticket_id="spam")
    one.contact("question", at(10), subscription_id="quiet", topic_code="question_plan")
    one.contact("strange-code", at(10), subscription_id="quiet", topic_code="renamed_in_the_source")
    one.contact("no-code", at(11), subscription_id="quiet", topic_code=" N/A")
    one.contact("tomorrow", at(120, 3), subscription_id="quiet")
    one.ticket("same-instant", at(10))
    one.ticket_event("same-instant", "status", at(12), "resolved", sequence=2)
    one.ticket_event("same-instant", "status", at(12), "open", sequence=1)
    one.ticket_event("same-instant", "assignment", at(11), team_id="team-1")
    one.ticket_event("same-instant", "reassignment", at(11, 1), team_id="team-2")


def departures(one: Book, two: Book) -> None:
    """Every kind of ending."""

    def complaint(name: str, day: float, hour: float = 0, **subscription: object) -> None:
        one.subscriber(name, **subscription)
        one.contact(f"{name}-complaint", at(day, hour), subscription_id=name)

    complaint("ported", 5)
    one.event("ported", "port_request", at(10), order_id="P1")
    one.event("ported", "port_completed", at(18), order_id="P1")
    complaint("port-cancelled", 5)
    one.event("port-cancelled", "port_request", at(10), order_id="P2")
    one.event("port-cancelled", "port_cancelled", at(12), order_id="P2")
    for name, ordered_on, left_on in (
        ("said-then-ordered", 12, 30),
        ("ordered-then-said", 7, 30),
        ("said-then-left", 12, 11),
    ):
        complaint(name, 5)
        one.contact(f"{name}-words", at(10), subscription_id=name)
        one.hits.append((f"{name}-words", "asserted"))
        one.event(name, "disconnect_effective", at(left_on))
        one.event(name, "port_request", at(ordered_on))
    complaint("refused-then-cut", 5)
    one.event("refused-then-cut", "port_request", at(10))
    one.event("refused-then-cut", "port_refused", at(12))
    one.event("refused-then-cut", "debt", at(20))
    complaint("withdrawn", 5)
    one.event("withdrawn", "disconnect_order", at(10), order_id="D1", effective_at=at(24))
    one.event("withdrawn", "disconnect_withdrawn", at(15), order_id="D1")
    complaint("ordered", 5)
    one.event("ordered", "disconnect_order", at(10), order_id="D2", effective_at=at(24))
    complaint("ordered-ahead", 115)
    one.event("ordered-ahead", "disconnect_order", at(116), order_id="D3", effective_at=at(120, 12))
    complaint("left-first", 30)
    one.event("left-first", "disconnect_order", at(10), order_id="D4", effective_at=at(11))
    complaint("back-again", 20)
    one.event("back-again", "disconnect_effective", at(30), order_id="D5")
    one.event("back-again", "reactivation", at(45))
    one.revenue("back-again", "2026-04-01", at(92), at(100))
    # Back on day 40: revenue on day 70 is 30 days on, on day 100 too late, and after as_of not known.
    for name, left, first, last in (("a-month-on", 30, 60, 70), ("not-a-month-on", 30, 60, 69.9),
                                    ("first-a-month-on", 30, 99.9, 119), ("two-months-on", 30, 100, 119),
                                    ("not-yet-a-month-on", 80, 100, 122)):  # fmt: skip
        complaint(name, 20)
        one.event(name, "disconnect_effective", at(left))
        one.event(name, "reactivation", at(left + 10))
        one.revenue(name, "2026-03-01", at(first), at(last))
    for kind in ("suspension", "sim_swap", "migration", "plan_change", "transfer"):
        complaint(f"still-here-{kind}", 5)
        one.event(f"still-here-{kind}", kind, at(10))
    for kind in ("death", "fraud", "liquidation", "technical"):
        complaint(f"ended-{kind}", 5)
        one.event(f"ended-{kind}", kind, at(10))
    for i in range(3):
        one.subscriber(f"contract-{i}", party="three-contracts")
    one.event("contract-1", "port_completed", at(10))
    # Last revenue on day 30 (Moscow): known on day 121 at 00:00, churn on day 31. Days count from at(0).
    for name, day in (("silent", 10), ("silent-at-complaint", 60), ("silent-before", 119.9)):
        complaint(name, day, product="prepaid")
        last = at(30, 15) if name != "silent-before" else at(20, 15)
        one.revenue(name, "2026-01-01", at(1), last)
    one.subscriber("eastern", product="prepaid", region_id="east")
    one.add("crm.regions", region_id="east", time_zone="Asia/Vladivostok")
    one.revenue("eastern", "2026-01-01", at(1), at(9, 18))
    one.subscriber("resumed", product="prepaid")
    one.revenue("resumed", "2025-10-01", at(-90), at(-85))
    one.revenue("resumed", "2026-01-01", at(8), at(119))
    one.subscriber("postpaid-silent")
    one.revenue("postpaid-silent", "2026-01-01", at(1), at(2))
    complaint("two-topics", 5)
    one.contact("second-topic", at(6), subscription_id="two-topics", topic_code="roaming")
    one.event("two-topics", "port_completed", at(20))
    one.subscriber("closed-after-silence", product="prepaid")
    one.revenue("closed-after-silence", "2026-01-01", at(1), at(3))
    one.event("closed-after-silence", "technical", at(110))
    complaint("left-and-left-again", 0)
    one.event("left-and-left-again", "disconnect_effective", at(20), order_id="D6")
    one.event("left-and-left-again", "reactivation", at(40))
    one.revenue("left-and-left-again", "2026-03-01", at(60), at(80))
    one.event("left-and-left-again", "disconnect_effective", at(100), order_id="D7")
    complaint("left-at-thirty-days", 50)
    one.event("left-at-thirty-days", "port_completed", at(80))
    complaint("young", 92, 2)
    # Days without a time: day 10 begins in Moscow at at(10), in Vladivostok seven hours earlier.
    complaint("tied", 10, 15)
    one.event("tied", "disconnect_effective", at(10))
    complaint("tied-in-the-east", 9, 20, region_id="east")
    one.event("tied-in-the-east", "port_completed", at(9, 17))
    complaint("complained-by-day", 10)
    one.event("complained-by-day", "port_completed", at(10, 5))
    complaint("not-tied", 10, 15)
    one.event("not-tied", "disconnect_effective", at(10, 1))
    complaint("the-day-after", 11, 15)
    one.event("the-day-after", "disconnect_effective", at(10))
    # Silent for 30 days after the complaint, or not, and to the second.
    for name in ("silent-30", "earning", "earning-at-the-end"):
        complaint(name, 10, product="prepaid")
        one.revenue(name, "2026-01-01", at(1), at(9))
    one.revenue("earning", "2026-02-01", at(39.9), at(50))
    one.revenue("earning-at-the-end", "2026-02-01", at(40), at(50))
    people(one, two)


def people(one: Book, two: Book) -> None:
    """Who was first assigned; one agent changes vendor on day 12, one is deleted by the second night."""
    for team, vendor in (("theirs", "v1"), ("others", "v2"), ("ours", None)):
        one.add("helpdesk.teams", team_id=team, vendor_id=vendor)
    for agent in ("mover", "deleted"):
        one.add("helpdesk.agents", agent_id=agent, kind="human", role="agent")
    for i, (team, since, until) in enumerate((("theirs", -300, 12), ("others", 12, None))):
        one.add("helpdesk.team_memberships", membership_id=f"mover-{i}", agent_id="mover", team_id=team,
                valid_from=at(since), valid_to=None if until is None else at(until))  # fmt: skip
    for name, named in (("by-mover", "theirs"), ("by-mover-unsaid", None)):
        one.subscriber(name)
        one.ticket(name, at(10))
        one.contact(name, at(10), subscription_id=name, ticket_id=name)
        one.ticket_event(name, "assignment", at(11), agent_id="mover", team_id=named)
        one.ticket_event(name, "reassignment", at(14), agent_id="mover", team_id="others" if named else None)
        one.event(name, "port_completed", at(20))
    one.subscriber("by-deleted")
    one.contact("by-deleted", at(10), subscription_id="by-deleted", agent_id="deleted", team_id="ours")
    one.event("by-deleted", "port_completed", at(20))
    two.deleted["helpdesk.agents"].append({"agent_id": "deleted"})


def changes(one: Book, two: Book) -> None:
    """One change for each way in which a load reaches a subject; no two share one, so none is helped by another."""
    # The CRM changes under a contact that names a party, a number or a subscription.
    one.subscriber("sold", party="seller")
    one.contact("of-seller", at(10), party_id="seller")
    two.add("crm.subscriptions", subscription_id="sold", party_id="buyer")
    two.add("crm.subscriptions", subscription_id="second", party_id="doubled")
    one.subscriber("first", party="doubled")
    one.contact("of-doubled", at(10), party_id="doubled")
    one.add(
        "crm.msisdn_periods", msisdn_period_id="moved", msisdn="79020000001", subscription_id="giver", valid_from=at(0)
    )
    two.add(
        "crm.msisdn_periods", msisdn_period_id="moved", msisdn="79020000001", subscription_id="taker", valid_from=at(0)
    )
    one.subscriber("giver")
    one.subscriber("taker")
    one.contact("by-moved-number", at(10), msisdn="79020000001")
    one.add(
        "crm.msisdn_periods", msisdn_period_id="early", msisdn="79020000002", subscription_id="late", valid_from=at(0)
    )
    one.contact("by-early-number", at(10), msisdn="79020000002")
    one.contact("names-later", at(10), subscription_id="later")
    for name in ("late", "later", "root-later"):
        two.subscriber(name)
    one.contact("by-nobody", at(10), party_id="hired")
    one.add("crm.parties", party_id="hired")
    one.subscriber("hired", party="hired-too")
    one.contact("hired", at(10), subscription_id="hired")
    for party in ("hired", "hired-too"):
        two.add("crm.parties", party_id=party, is_staff=True)
    one.add("crm.regions", region_id="moved", time_zone="Europe/Moscow")
    two.add("crm.regions", region_id="moved", time_zone="Asia/Vladivostok")
    one.subscriber("in-region", region_id="moved")
    one.add("crm.parties", party_id="in-region", region_id="moved")
    one.add("crm.subscriptions", subscription_id="through-party", party_id="in-region")
    # Rows that change where they belong, and rows that go.
    one.subscriber("wrong")
    one.subscriber("right")
    for book, owner in ((one, "wrong"), (two, "right")):
        book.event(owner, "death", at(10), subscription_event_id="corrected")
        book.ticket_event(f"{owner}-ticket", "status", at(11), "resolved", ticket_event_id="corrected too")
        one.ticket(f"{owner}-ticket", at(10), subscription_id=f"{owner}-owner")
        one.subscriber(f"{owner}-owner")
    one.ticket("left-alone", at(10), subscription_id="wrong")
    one.contact("moving", at(10), ticket_id="left-alone")
    two.contact("moving", at(10), ticket_id="somewhere-else")
    one.subscriber("ended")
    one.contact("of-ended", at(10), subscription_id="ended")
    two.deleted["crm.subscriptions"].append({"subscription_id": "ended"})
    one.add("web.public_reviews", review_id="withdrawn", rating=1, posted_at=at(10))
    two.deleted["web.public_reviews"].append({"review_id": "withdrawn"})
    # Merged tickets: what is said of the root reaches contacts two steps below.
    for root in ("root", "root-with-name"):
        one.ticket(f"{root}-2", at(10), merged_into_ticket_id=f"{root}-1")
        one.ticket(f"{root}-1", at(10), merged_into_ticket_id=root)
        one.contact(f"below-{root}", at(10), ticket_id=f"{root}-2")
    one.ticket("root", at(10))
    two.ticket("root", at(10), subscription_id="root-owner", topic_code="roaming")
    one.subscriber("root-owner")
    one.ticket("root-with-name", at(10), subscription_id="root-later")
    # No news at all, but as_of moved on.
    one.subscriber("waiting")
    one.ticket("waiting-log", at(10))
    one.ticket_event("waiting-log", "status", at(120, 5), "resolved")
    one.contact("waiting-log", at(10), subscription_id="waiting", ticket_id="waiting-log")
    one.subscriber("waiting-row")
    one.ticket("waiting-row", at(10), resolved_at=at(120, 5))
    one.contact("waiting-row", at(10), subscription_id="waiting-row", ticket_id="waiting-row")
    one.subscriber("waiting-order")
    one.event("waiting-order", "disconnect_order", at(120, 5), effective_at=at(120, 6))
    one.ticket("opened-later", at(120, 5), subscription_id="waiting")
    one.add("web.public_reviews", review_id="posted-later", rating=1, posted_at=at(120, 5))
    one.subscriber("waiting-revenue", product="prepaid")
    one.revenue("waiting-revenue", "2026-05-01", at(120, 5), at(120, 6))
