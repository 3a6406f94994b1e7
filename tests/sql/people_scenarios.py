"""Scenarios of people: who owns a case, hands it on, forgets it; what two nights' loads bring."""

from planting import at
from scenarios import Book

NIGHTS = (at(40, 2), at(41, 2))
TEAMS = {"first-line": None, "control": None, "managers": None, "theirs": "v1", "others": "v2"}
#: agent: role, team
AGENTS = {
    "anna": ("agent", "first-line"), "boris": ("agent", "first-line"), "vera": ("control_group", "control"),
    "gleb": ("retention_manager", "managers"), "mover": ("agent", "theirs"), "deleted": ("control_group", "control"),
}  # fmt: skip


def staff(one: Book, two: Book) -> None:
    """Teams, vendors, agents; one agent changes vendor on day 12, one is deleted by the second night."""
    for vendor in ("v1", "v2"):
        one.add("helpdesk.vendors", vendor_id=vendor, name=f"vendor {vendor}")
    for team, vendor in TEAMS.items():
        one.add("helpdesk.teams", team_id=team, vendor_id=vendor)
    for agent, (role, team) in AGENTS.items():
        one.add("helpdesk.agents", agent_id=agent, kind="human", role=role)
        one.add("helpdesk.team_memberships", membership_id=f"{agent}-1", agent_id=agent, team_id=team,
                valid_from=at(-300), valid_to=at(12) if agent == "mover" else None)  # fmt: skip
    one.add("helpdesk.team_memberships", membership_id="mover-2", agent_id="mover", team_id="others", valid_from=at(12))
    one.add("helpdesk.agents", agent_id="router", kind="bot", role="agent")
    two.deleted["helpdesk.agents"].append({"agent_id": "deleted"})
    two.deleted["helpdesk.team_memberships"].append({"membership_id": "deleted-1"})


def threat(one: Book, name: str, day: float, segment: str = "mass", hour: float = 12) -> None:
    """A complaint with the subscriber's own words of leaving, on a ticket of the same name."""
    one.subscriber(name, segment=segment)
    one.ticket(name, at(day, hour))
    one.contact(name, at(day, hour), subscription_id=name, ticket_id=name)
    one.hits.append((name, "asserted"))


def hands(one: Book, two: Book) -> None:
    """Cases that change hands."""
    threat(one, "handed", 10)
    one.ticket_event("handed", "assignment", at(10, 12.1), agent_id="anna", team_id="first-line")
    one.ticket_event("handed", "escalation", at(10, 12.2), agent_id="vera", team_id="control")
    threat(one, "vendor-change", 10)
    one.ticket_event("vendor-change", "assignment", at(10, 12.1), agent_id="mover")
    one.ticket_event("vendor-change", "reassignment", at(14), agent_id="anna", team_id="first-line")
    one.ticket_event("vendor-change", "reassignment", at(15), agent_id="mover")
    threat(one, "kept-by-deleted", 10)
    one.ticket_event("kept-by-deleted", "escalation", at(10, 12.1), agent_id="deleted", team_id="control")
    one.add("helpdesk.retention_actions", action_id="of deleted", ticket_id="kept-by-deleted", step="diagnosis",
            agent_id="deleted", team_id="control", cost_rub=100, action_at=at(10, 12.2), recorded_at=at(10, 13),
            updated_at=at(10, 13))  # fmt: skip
    threat(one, "late-event", 10)
    one.ticket_event("late-event", "assignment", at(10, 12.1), agent_id="anna", team_id="first-line")
    two.ticket_event("late-event", "escalation", at(30, 3), agent_id="vera", team_id="control",
                     ticket_event_id="ten days late", recorded_at=at(40, 3))  # fmt: skip
    one.subscriber("relative")
    one.contact("lawyer", at(10, 12), subscription_id="relative", is_on_behalf=True)
    one.hits.append(("lawyer", "asserted"))
    one.add("web.public_reviews", review_id="stranger", rating=1, posted_at=at(10, 12))
    threat(one, "merged", 10)
    one.ticket("root", at(9))
    one.ticket_event("root", "assignment", at(11), agent_id="boris", team_id="first-line")
    one.ticket_event("merged", "assignment", at(11, 1), agent_id="anna", team_id="first-line")
    one.ticket_event("merged", "merge", at(11, 2), "root")
    threat(one, "same-instant", 10)
    one.ticket_event("same-instant", "reassignment", at(11), agent_id="boris", team_id="first-line", sequence=2)
    one.ticket_event("same-instant", "assignment", at(11), agent_id="anna", team_id="first-line", sequence=1)
    one.ticket_event("same-instant", "assignment", at(12), agent_id="router", team_id="first-line")


def fates(one: Book, two: Book) -> None:
    """Threats at noon: a first contact is due at 14:00 (2 h), without an action of the owner they are lost at 16:00."""

    def reached(name: str, day: float, hour: float, seconds: int = 60, agent: str = "vera") -> None:
        one.contact(f"{name} reached {hour}", at(day, hour), ticket_id=name, subscription_id=name, direction="outbound",
                    initiator="operator", author_kind="human", agent_id=agent, connected_seconds=seconds,
                    is_answered=seconds > 0)  # fmt: skip

    def owned(name: str, hour: float = 12.1, day: float = 10, book: Book = one) -> None:
        book.ticket_event(name, "escalation", at(day, hour), agent_id="vera", team_id="control")

    threat(one, "in-time", 10)
    owned("in-time")
    reached("in-time", 10, 14)
    threat(one, "late", 10)
    owned("late")
    reached("late", 10, 15, seconds=0)
    reached("late", 10, 20)
    threat(one, "forgotten", 10)
    threat(one, "recovered", 10)
    owned("recovered")
    reached("recovered", 12, 12)
    threat(one, "back-in-queue", 10)
    owned("back-in-queue")
    one.ticket_event("back-in-queue", "reassignment", at(10, 13), team_id="control")
    reached("back-in-queue", 10, 13.5)
    threat(one, "overridden", 10)
    one.ticket_event("overridden", "level_override", at(10, 13), "L1", reason="misread", agent_id="vera")
    threat(one, "unreachable", 10)
    one.rows["helpdesk.tickets"][-1] = {**one.rows["helpdesk.tickets"][-1], "closure_code": "unreachable"}
    one.ticket_event("unreachable", "status", at(10, 15), "resolved")
    threat(one, "closed-unsaid", 10)
    one.rows["helpdesk.tickets"][-1] = {**one.rows["helpdesk.tickets"][-1], "closure_code": "fixed"}
    one.ticket_event("closed-unsaid", "status", at(10, 15), "resolved")
    threat(one, "tried-only", 10)
    owned("tried-only")
    reached("tried-only", 10, 13, seconds=5)
    # Misread, says the control group; five days later the subscriber says it again.
    threat(one, "said-again", 10)
    one.ticket_event("said-again", "level_override", at(10, 13), "L1", reason="misread", agent_id="vera")
    one.contact("said-again twice", at(15, 12), subscription_id="said-again", ticket_id="said-again")
    one.hits.append(("said-again twice", "asserted"))
    owned("said-again", day=15)
    threat(one, "closed-when-lost", 10)
    one.ticket_event("closed-when-lost", "level_override", at(10, 17), "L1", reason="misread", agent_id="vera")
    for name in ("worked-without-ticket", "tried-unsaid-who"):
        threat(one, name, 10)
        owned(name)
    one.add("helpdesk.retention_actions", action_id="without ticket", subscription_id="worked-without-ticket",
            step="diagnosis", agent_id="vera", action_at=at(10, 13), updated_at=at(10, 13))  # fmt: skip
    one.contact("unsaid", at(10, 13), ticket_id="tried-unsaid-who", subscription_id="tried-unsaid-who", agent_id="vera",
                direction="outbound", initiator="operator", author_kind=None, connected_seconds=5)  # fmt: skip
    for name, vendor in (("dialled-by-vendor", "v1"), ("dialled-by-another", "v2")):
        threat(one, name, 10)
        one.ticket_event(name, "assignment", at(10, 12.1), agent_id="mover", team_id="theirs")
        one.add("vendor.call_attempts", attempt_id=name, vendor_id=vendor, ticket_id=name, received_at=at(10, 12.2),
                attempted_at=at(10, 13), is_answered=False)  # fmt: skip
    threat(two, "an-hour-old", 41, hour=1)
    threat(two, "three-hours-old", 40, hour=23)
    owned("three-hours-old", hour=23.1, day=40, book=two)
    threat(one, "at-night", 10, segment="vip", hour=22)
    threat(one, "of-a-vip", 10, segment="vip")
    one.ticket_event("of-a-vip", "escalation", at(10, 12.5), agent_id="gleb", team_id="managers")
    threat(one, "without-authority", 10)
    one.ticket_event("without-authority", "assignment", at(10, 12.2), agent_id="anna", team_id="first-line")
    one.add("helpdesk.retention_actions", action_id="dear", ticket_id="in-time", step="offer", agent_id="vera",
            team_id="control", cost_rub=5001, action_at=at(10, 14), updated_at=at(10, 14))  # fmt: skip
    two.add("web.public_reviews", review_id="young", rating=1, posted_at=at(41, 1))
    for number, day in ((1, 11), (2, 13)):
        one.add("helpdesk.retention_actions", action_id=f"of mover {number}", ticket_id="vendor-change",
                step="apology", agent_id="mover", action_at=at(day), updated_at=at(day))  # fmt: skip
