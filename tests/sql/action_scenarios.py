"""Scenarios of deeds: steps of a scenario done, late, missing, after churn, by a machine; promises kept and broken."""

from datetime import datetime

from people_scenarios import threat
from planting import at
from scenarios import Book

#: Long enough ago that what came of it within 90 days is known.
OLD = -80


def act(book: Book, action_id: str, ticket_id: str, step: str, when: datetime, **row: object) -> None:
    """A retention action on a ticket; recorded when it was taken."""
    fields = {"agent_id": "vera", "team_id": "control", "recorded_at": when, "updated_at": when, **row}
    book.add(
        "helpdesk.retention_actions", action_id=action_id, ticket_id=ticket_id, step=step, action_at=when, **fields
    )


def deeds(one: Book, two: Book) -> None:
    """Threats at noon of day 10, handed over at once: handover due 12:15, first contact 14:00, diagnosis 16:00."""

    def case(name: str, day: float = 10, owner: tuple[str, str] = ("vera", "control"), handed: float = 12.05) -> None:
        threat(one, name, day)
        one.ticket_event(name, "escalation", at(day, handed), agent_id=owner[0], team_id=owner[1])

    one.add("helpdesk.agents", agent_id="rover", kind="human", role="agent")
    for number, (team, begin, end) in enumerate((("theirs", at(-300), at(12)), ("others", at(12), None))):
        one.add("helpdesk.team_memberships", membership_id=f"rover-{number}", agent_id="rover", team_id=team,
                valid_from=begin, valid_to=end)  # fmt: skip
    case("audited")
    act(one, "handed over", "audited", "handover", at(10, 12.25))
    act(one, "by a machine", "audited", "first_contact", at(10, 12.5), agent_id="router", team_id=None)
    act(one, "too late", "audited", "diagnosis", at(10, 16.01), agent_id="rover", team_id=None)
    act(one, "apologised", "audited", "apology", at(10, 13))
    act(one, "asked again", "audited", "follow_up", at(13), agent_id="rover", team_id=None)
    case("left")
    one.event("left", "disconnect_effective", at(11))
    act(one, "after they left", "left", "apology", at(11))
    act(one, "in their time", "left", "diagnosis", at(10, 16))
    # What was promised for the third day.
    for name in ("kept", "broken", "edited", "again", "left-first"):
        case(f"promise-{name}", OLD)
    for name, changes in (
        ("kept", {"promise_kept_at": at(OLD + 3, 12)}),
        ("broken", {"promise_kept_at": at(OLD + 3, 12.01)}),
        ("edited", {}),
        ("again", {}),
        ("left-first", {}),
    ):
        due = {"promise_due_at": at(OLD + 3, 12), **changes}
        act(one, name, f"promise-{name}", "promise", at(OLD, 13), agent_id="rover", team_id=None, **due)
    one.event("promise-broken", "disconnect_effective", at(OLD + 90))
    one.event("promise-left-first", "disconnect_effective", at(OLD + 2))
    # The agent writes a later day over the first one; another promises anew and keeps that.
    edited = {"promise_due_at": at(60), "recorded_at": at(OLD, 13), "updated_at": at(40, 5)}
    act(two, "edited", "promise-edited", "promise", at(OLD, 13), agent_id="rover", team_id=None, **edited)
    later = {"promise_due_at": at(OLD + 5), "promise_kept_at": at(OLD + 4)}
    act(one, "anew", "promise-again", "promise", at(OLD + 2), **later)
    act(one, "to nobody", "promise-left-first", "promise", at(OLD + 2, 1), promise_due_at=at(OLD + 3))
    act(two, "not due", "audited", "promise", at(40, 12), promise_due_at=at(41, 3))
    # The customer's own contact shows the result; the desk's word does not.
    for name in ("promise-kept", "promise-broken"):
        one.ticket_event(name, "status", at(OLD + 1), "resolved")
    one.contact("told us", at(OLD + 6), ticket_id="promise-kept", subscription_id="promise-kept")
    one.add("helpdesk.qa_audits", audit_id="reviewed", ticket_id="promise-kept", agent_id="rover", score=70,
            audited_at=at(OLD + 7), recorded_at=at(OLD + 7))  # fmt: skip
