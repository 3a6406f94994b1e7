"""Scenarios of surveys, and of tickets that the helpdesk counts otherwise than we do; what one night's loads bring."""

from datetime import datetime

from planting import at
from scenarios import Book

AS_OF = at(200, 2)
Answer = tuple[float, int | None, str]


def ask(one: Book, name: str, sent_at: datetime, *answers: Answer, kind: str = "csat", delivered: bool = True,
        **about: object) -> None:  # fmt: skip
    """An invitation, delivered at once, and (hours later, score, scale) of each answer."""
    one.add("vendor.survey_invitations", invitation_id=name, survey_kind=kind, sent_at=sent_at,
            delivered_at=sent_at if delivered else None, recorded_at=sent_at, **about)  # fmt: skip
    for number, (hours, score, scale) in enumerate(answers):
        answered_at = sent_at + (at(0, hours) - at(0))
        one.add("vendor.survey_responses", response_id=f"{name} {number}", invitation_id=name, survey_kind=kind,
                scale_version=scale, score=score, responded_at=answered_at, recorded_at=answered_at)  # fmt: skip


def complaint(one: Book, name: str, day: float, resolved_on: float | None = None, **contact: object) -> None:
    """A subscriber who complains on a ticket of the same name."""
    one.subscriber(name)
    one.ticket(name, at(day, 10), subscription_id=name)
    one.ticket_event(name, "assignment", at(day, 10.1), team_id="theirs")
    one.contact(name, at(day, 10), ticket_id=name, subscription_id=name, **contact)
    if resolved_on is not None:
        one.ticket_event(name, "status", at(resolved_on), "resolved")


def opinions(one: Book) -> None:
    """Answers of every kind to invitations of day 10, noon."""
    one.add("helpdesk.vendors", vendor_id="v1")
    one.add("helpdesk.teams", team_id="theirs", vendor_id="v1")
    one.add("helpdesk.teams", team_id="ours")

    def asked(name: str, *answers: Answer, kind: str = "csat", day: float = 10, delivered: bool = True) -> None:
        complaint(one, name, day - 0.5)
        ask(one, name, at(day, 12), *answers, kind=kind, delivered=delivered, ticket_id=name)

    asked("twice", (1, 4, "csat_1_5"), (5, 2, "csat_1_5"))
    asked("wrong-then-right", (1, 11, "nps_0_10"), (2, 8, "nps_0_10"), kind="transactional_nps")
    asked("eleven", (1, 11, "nps_0_10"), kind="transactional_nps")
    asked("reversed", (1, 1, "csat_5_1_reversed"))
    asked("reversed-bad", (1, 5, "csat_5_1_reversed"))
    asked("scale-unknown", (1, 90, "csat_percent"))
    asked("no-answer")
    asked("in-time", (71.9, 9, "nps_0_10"), kind="transactional_nps")
    asked("too-late", (72, 9, "nps_0_10"), kind="transactional_nps")
    asked("detractor", (1, 6, "nps_0_10"), kind="transactional_nps")
    asked("undelivered", (1, 5, "csat_1_5"), delivered=False)
    asked("still-open", day=199)
    # Ordered after the invitation, for after the night: they have not left yet.
    for name in ("still-open", "detractor"):
        one.event(name, "disconnect_order", at(199, 20), order_id=f"of {name}", effective_at=at(201))
    for name, kind, day in (("left-before", "disconnect_effective", 9.8), ("leaves-after", "disconnect_effective", 20),
                            ("died-before", "death", 9.8)):  # fmt: skip
        asked(name, (1, 5, "csat_1_5"))
        one.event(name, kind, at(day))
    asked("leaves-tomorrow", (1, 5, "csat_1_5"))
    one.event("leaves-tomorrow", "disconnect_order", at(9.8), order_id="O1", effective_at=at(11))
    asked("back-in-time", (1, 5, "csat_1_5"))
    one.event("back-in-time", "disconnect_effective", at(8))
    one.event("back-in-time", "reactivation", at(9))
    asked("unknown-then", (1, 5, "csat_1_5"))
    one.event("unknown-then", "disconnect_effective", at(9.9), recorded_at=at(12))
    complaint(one, "relative", 9, is_on_behalf=True)
    ask(one, "relative", at(10), (1, 1, "csat_1_5"), ticket_id="relative")
    one.subscriber("anybody")
    ask(one, "anybody", at(10), (1, 10, "nps_0_10"), kind="relational_nps", subscription_id="anybody")
    complaint(one, "named", 9)
    one.contact("named call", at(9, 11), ticket_id="named", subscription_id="named", team_id="ours",
                direction="outbound", initiator="operator", author_kind="human")  # fmt: skip
    ask(one, "named", at(10), contact_id="named call")
    one.contact("question", at(9), subscription_id="named", topic_code="question_plan", team_id="ours")
    ask(one, "question", at(10), contact_id="question")


def only_good_calls(one: Book) -> None:
    """In March: of twenty solved cases nineteen are asked about, of twenty open ones one."""
    for number in range(40):
        complaint(one, f"march-{number}", 60 + number % 20, resolved_on=85 if number < 20 else None)
        if number < 19 or number == 20:
            ask(one, f"march-{number}", at(86), ticket_id=f"march-{number}")


def february(one: Book) -> None:
    """What lies between the helpdesk's count of February and ours."""
    complaint(one, "feb-stays", 35, resolved_on=36)
    complaint(one, "feb-leaves", 35, resolved_on=36)
    one.event("feb-leaves", "port_completed", at(60))
    complaint(one, "feb-ended", 35, resolved_on=36)
    one.event("feb-ended", "fraud", at(60))
    complaint(one, "feb-back", 35, resolved_on=36)
    one.contact("feb-back again", at(50), subscription_id="feb-back")
    complaint(one, "feb-reopened", 35, resolved_on=36)
    one.ticket_event("feb-reopened", "reopen", at(37))
    complaint(one, "feb-second", 40)
    one.ticket("feb-second too", at(41), subscription_id="feb-second")
    one.contact("feb-second too", at(41), ticket_id="feb-second too", subscription_id="feb-second")
    complaint(one, "feb-root", 42)
    one.ticket("feb-duplicate", at(42, 12), subscription_id="feb-root", merged_into_ticket_id="feb-root")
    one.contact("feb-duplicate", at(42, 12), ticket_id="feb-duplicate", subscription_id="feb-root")
    one.ticket("feb-test", at(43), is_test=True)
    one.ticket("feb-spam", at(43), is_spam=True)
    one.add("crm.parties", party_id="feb staff", is_staff=True)
    one.add("crm.subscriptions", subscription_id="feb-staff", party_id="feb staff")
    one.ticket("feb-staff", at(43), subscription_id="feb-staff", resolved_at=at(44))
    one.ticket("feb-question", at(43), topic_code="question_plan", resolved_at=at(44))
    one.ticket("feb-ours", at(43), subscription_id="feb-stays")
    one.contact("feb-ours", at(43), ticket_id="feb-ours", subscription_id="feb-stays", direction="outbound",
                initiator="operator", topic_code="roaming")  # fmt: skip
    one.ticket("feb-nobody", at(44), resolved_at=at(45))
    one.contact("feb-nobody", at(44), ticket_id="feb-nobody")
    one.subscriber("feb-unticketed")
    one.contact("feb-unticketed", at(45), subscription_id="feb-unticketed", topic_code="roaming")
    one.add("crm.msisdn_periods", msisdn_period_id="feb", msisdn="79010000077", subscription_id="feb-unticketed",
            valid_from=at(0))  # fmt: skip
    one.add("web.public_reviews", review_id="feb-angry", rating=1, posted_at=at(46), msisdn="79010000077")
    complaint(one, "feb-two-topics", 47)
    one.contact("feb-two-topics 2", at(48), ticket_id="feb-two-topics", subscription_id="feb-two-topics",
                topic_code="roaming")  # fmt: skip
    one.subscriber("feb-slow")
    one.ticket("feb-slow", at(58), subscription_id="feb-slow", team_id="theirs")
    one.contact("feb-slow", at(60), ticket_id="feb-slow", subscription_id="feb-slow")
