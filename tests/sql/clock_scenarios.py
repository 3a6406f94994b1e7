"""Scenarios for the edge cases of time (DEFINITIONS 7): what one night's loads bring."""

from datetime import datetime, timedelta

from planting import LAYERS, Planted, at
from scenarios import Book

MARTS = ("fct_clocks", "fct_clock_segments", "sla_compliance", "sla_gaming")
AS_OF = at(120, 2)
#: The helpdesk's contacts were last loaded two hours before.
CONTACTS_UNTIL = at(120)
MORNING = at(20, 9)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def staff(book: Book) -> None:
    """Teams of ours and of a vendor, and who is responsible."""
    for team, vendor, calendar in (
        ("line", None, "24x7"), ("office", None, "office_9_18"), ("control", None, "24x7"), ("partner", "v1", "24x7"),
        ("nowhere", None, "no_such_calendar"),
    ):  # fmt: skip
        book.add("helpdesk.teams", team_id=team, vendor_id=vendor, calendar_code=calendar, time_zone="Europe/Moscow")
    book.add("helpdesk.vendors", vendor_id="v1")
    for agent, role, kind in (
        ("ann", "agent", "human"), ("bob", "agent", "human"), ("boss", "control_group", "human"),
        ("manager", "retention_manager", "human"),
        ("robot", "agent", "bot"),
    ):  # fmt: skip
        book.add("helpdesk.agents", agent_id=agent, role=role, kind=kind)


def case(book: Book, name: str, started_at: datetime, segment: str = "mass", **contact: object) -> None:
    """A subscriber `name` with a ticket `name` who complains in writing (contact `name`)."""
    book.subscriber(name, segment=segment)
    book.ticket(name, started_at, subscription_id=name)
    fields = {"channel": "email", "ticket_id": name, "recorded_at": started_at, **contact}
    book.contact(name, started_at, subscription_id=name, **fields)


def threat(book: Book, name: str, started_at: datetime, **contact: object) -> None:
    """The same, with words of leaving."""
    case(book, name, started_at, "mass", **contact)
    book.hits.append((name, "asserted"))


def call(book: Book, name: str, contact_id: str, started_at: datetime, seconds: int = 60, **row: object) -> None:
    """We call the subscriber of the ticket `name`."""
    fields = {
        "ticket_id": name, "subscription_id": name, "direction": "outbound", "initiator": "operator",
        "channel": "call", "author_kind": "human", "agent_id": "ann", "is_answered": seconds > 0, **row,
    }  # fmt: skip
    book.contact(contact_id, started_at, connected_seconds=seconds, recorded_at=started_at, **fields)


def first_contacts(book: Book) -> None:
    """30, 35, 36, 38, 40."""
    for name, late in (("at-the-deadline", 0 * SECOND), ("a-second-late", SECOND)):
        threat(book, name, MORNING)
        call(book, name, f"reply-{name}", MORNING + timedelta(hours=2) + late)
    case(book, "worse", MORNING)
    book.contact("worse-at-14", at(20, 14), subscription_id="worse", ticket_id="worse", channel="email")
    book.hits.append(("worse-at-14", "asserted"))
    call(book, "worse", "before-the-rise", at(20, 11))
    call(book, "worse", "after-the-rise", at(20, 15))
    threat(book, "belittled", MORNING)
    book.ticket_event("belittled", "assignment", MORNING + MINUTE, agent_id="ann", team_id="line")
    book.ticket_event("belittled", "level_override", at(20, 11) - MINUTE, "L1", agent_id="ann", reason="misread_phrase")
    threat(book, "machines", MORNING)
    call(book, "machines", "auto-reply", MORNING + MINUTE, channel="email", author_kind="bot", agent_id="robot")
    call(book, "machines", "menu", MORNING + 2 * MINUTE, 90, author_kind="ivr", agent_id="robot")
    call(book, "machines", "vain", MORNING + 3 * MINUTE, 0)
    call(book, "machines", "cut-off", MORNING + 4 * MINUTE, 29)
    call(book, "machines", "about-another-matter", MORNING + 5 * MINUTE, ticket_id=None, topic_code="roaming")
    call(book, "machines", "thirty-seconds", MORNING + 6 * MINUTE, 30)
    threat(book, "never-answered", MORNING)
    threat(book, "midnight", at(21) - timedelta(milliseconds=100))
    call(book, "midnight", "at-midnight", at(21) + timedelta(milliseconds=100))
    for name, agent in (("of-another", "bob"), ("of-the-owner", "ann"), ("of-the-control-group", "boss")):
        threat(book, name, MORNING)
        book.ticket_event(name, "assignment", MORNING + MINUTE, agent_id="ann", team_id="line")
        call(book, name, f"call-{name}", MORNING + timedelta(hours=1), agent_id=agent)
    threat(book, "not-loaded", at(119, 23))
    threat(book, "still-time", at(120, 1))
    threat(book, "on-the-spot", MORNING, channel="call", author_kind="human", agent_id="boss", connected_seconds=600)
    book.ticket_event("on-the-spot", "status", MORNING + timedelta(minutes=9), "resolved", agent_id="boss")
    threat(book, "without-authority", MORNING, channel="call", author_kind="human", agent_id="ann",
           connected_seconds=600)  # fmt: skip
    book.ticket_event("without-authority", "status", MORNING + timedelta(minutes=9), "resolved", agent_id="ann")


def hand_overs(book: Book) -> None:
    """A manager in time, too late, and a common queue that is nobody."""
    for name, minutes in (("taken", 15), ("taken-late", 16)):
        threat(book, name, MORNING)
        book.ticket_event(name, "escalation", MORNING + minutes * MINUTE, agent_id="boss", team_id="control")
    threat(book, "queued", MORNING)
    book.ticket_event("queued", "assignment", MORNING + MINUTE, team_id="control")


def pauses(book: Book) -> None:
    """37, 42: what the log says of waiting, and a year of it."""
    for name in ("nested", "unclosed", "late-pause", "long", "pausing"):
        case(book, name, MORNING if name != "long" else at(-400, 9))
        book.ticket_event(name, "assignment", MORNING, agent_id="ann", team_id="line")
    hours = {"nested": [("pause", 1), ("pause", 2), ("resume", 3), ("resume", 4)],
             "unclosed": [("pause", 1)], "late-pause": [("pause", -2), ("resume", 1)], "pausing": [("pause", 1)],
             "long": []}  # fmt: skip
    for name, events in hours.items():
        for kind, hour in events:
            when = MORNING + timedelta(hours=hour)
            recorded_at = when + timedelta(days=5) if name == "late-pause" else when
            book.ticket_event(name, kind, when, recorded_at=recorded_at)
        if name != "pausing":
            book.ticket_event(name, "status", MORNING + timedelta(hours=10), "resolved")


def vendors(book: Book) -> None:
    """41, 43, 44: targets by the version at the start, clocks that go wrong, and who had the case when."""
    for name, day in (("on-the-14th", 13), ("on-the-15th", 14)):
        case(book, name, at(day, 9))
        book.ticket_event(name, "assignment", at(day, 9), agent_id="ann", team_id="partner")
        call(book, name, f"reply-{name}", at(day, 9) + 50 * MINUTE, team_id="partner")
    case(book, "skewed", MORNING)
    book.ticket_event("skewed", "assignment", MORNING + MINUTE, agent_id="ann", team_id="partner")
    book.add(
        "vendor.call_attempts", attempt_id="early", vendor_id="v1", ticket_id="skewed", subscription_id="skewed",
        received_at=MORNING + 30 * MINUTE, attempted_at=MORNING + 20 * MINUTE, is_answered=True, connected_seconds=60,
        recorded_at=MORNING + 40 * MINUTE,
    )  # fmt: skip
    case(book, "to-and-fro", MORNING)
    for minutes, team in ((0, "line"), (20, "partner"), (45, "line")):
        book.ticket_event("to-and-fro", "reassignment", MORNING + minutes * MINUTE, agent_id=f"of {team}", team_id=team)
    book.ticket_event("to-and-fro", "pause", MORNING + 30 * MINUTE)
    book.ticket_event("to-and-fro", "resume", MORNING + 50 * MINUTE)
    call(book, "to-and-fro", "reply-to-and-fro", MORNING + 70 * MINUTE)


def others(book: Book) -> None:
    """Replies, claims, notices, merges, and what is not judged."""
    friday = at(22, 12)  # Friday 23 January 2026, noon
    for name, registered in (("claim", at(25, 23)), ("claim-late", at(26, 0.5))):
        case(book, name, friday, topic_code="legal_claim")
        book.ticket_event(name, "assignment", friday, agent_id="ann", team_id="office")
        book.ticket_event(name, "registered", registered)
    call(book, "claim", "claim-called", at(26), channel="call")
    call(book, "claim", "claim-answered", at(40), channel="email")
    case(book, "office-hours", at(22, 17))  # Friday 17:00: eight working hours end on Monday at 16:00
    book.ticket_event("office-hours", "assignment", at(22, 17), agent_id="ann", team_id="office")
    call(book, "office-hours", "monday", at(25, 16), channel="email")
    case(book, "no-calendar", at(22, 17))
    book.ticket_event("no-calendar", "assignment", at(22, 17), agent_id="ann", team_id="nowhere")
    case(book, "live", MORNING, channel="call", author_kind="human", agent_id="ann", connected_seconds=300)
    book.add("web.public_reviews", review_id="stranger", rating=1, posted_at=MORNING)
    for name in ("root", "merged"):
        case(book, name, MORNING)
    book.rows["helpdesk.contacts"][-1] = {**book.rows["helpdesk.contacts"][-1], "subscription_id": "root"}
    book.ticket_event("merged", "merge", MORNING + MINUTE, "root")
    case(book, "outage", MORNING)
    book.add(
        "helpdesk.incidents", incident_id="i1", started_at=at(20, 8), restored_at=at(20, 12), updated_at=at(20, 13)
    )
    book.add(
        "helpdesk.incident_impacts", impact_id="x1", incident_id="i1", subscription_id="outage", started_at=at(20, 8),
        ended_at=at(20, 12), updated_at=at(20, 13),
    )  # fmt: skip
    call(book, "outage", "notice", at(20, 13), channel="sms", author_kind="bot", agent_id="robot")
    case(book, "reopened", MORNING)
    book.ticket_event("reopened", "assignment", MORNING, agent_id="ann", team_id="line")
    book.ticket_event("reopened", "status", MORNING + timedelta(hours=5), "resolved")
    book.ticket_event("reopened", "reopen", MORNING + timedelta(hours=6))


def plant(planted: Planted) -> None:
    """One night of all of them, through to the marts of clocks in marts_a.

    On 15 January the target of the vendors' first contact becomes 45 minutes.
    """
    book = Book()
    for scenario in (staff, first_contacts, hand_overs, pauses, vendors, others):
        scenario(book)
    planted.dbt.build_seeds({})
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute("""
            update seeds.sla_policies set valid_to = '2026-01-15' where policy_id = 'vendor_first_contact';
            insert into seeds.sla_policies (policy_id, policy_version, clock, target_seconds, is_pausable, due_rule,
            valid_from) values ('vendor_first_contact', '2', 'vendor_first_contact', 2700, true, 'after_target',
            '2026-01-15')
        """)
    planted.open(AS_OF)
    for table in {*book.rows, "crm.usage_months", "crm.subscription_events"}:
        until = CONTACTS_UNTIL if table == "helpdesk.contacts" else AS_OF
        load_id = planted.load(table, book.rows[table], watermark_to=until)
        if table == "helpdesk.contacts":
            for contact_id, verdict in book.hits:
                planted.hit(contact_id, load_id, verdict)
    needed = set[str]().union(*(planted.dbt.upstream(mart) for mart in MARTS))
    planted.dbt.build_models((*LAYERS, "marts"), {}, only=needed)
