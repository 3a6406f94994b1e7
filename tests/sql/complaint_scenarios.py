"""Scenarios of issue 4 for staging and intermediate: levels set by hand, who complains for whom, what words say."""

from planting import at
from scenarios import Book


def overrides(one: Book, two: Book) -> None:
    """Levels that people set: down, up, without a reason, unknown, late, on merged and reopened tickets."""
    for name in ("lowered", "raised", "no-reason", "odd-level", "not-a-complaint", "back-dated", "unknowing",
                 "same-instant-override", "kept", "twice"):  # fmt: skip
        one.subscriber(name)
        one.ticket(f"{name} ticket", at(10), subscription_id=name)
        one.contact(f"{name} contact", at(10), subscription_id=name, ticket_id=f"{name} ticket")
        one.contact(f"{name} again", at(12), subscription_id=name, ticket_id=f"{name} ticket")

    def override(name: str, day: float, to_value: str, reason: str | None = "duplicate", **row: object) -> None:
        one.ticket_event(f"{name} ticket", "level_override", at(day), to_value, reason=reason, **row)

    override("lowered", 14, "L1")
    one.contact("lowered later", at(20), subscription_id="lowered")
    override("raised", 14, "L3", "angry_on_phone")
    override("no-reason", 14, "L1", None)
    override("no-reason", 15, "L1", " ")
    override("odd-level", 14, "L9")
    override("not-a-complaint", 14, " l0 ")
    # Written down two days after it claims to have been done.
    override("back-dated", 14, "L1", recorded_at=at(16))
    # The order was given before the override and written down after it.
    override("unknowing", 14, "L1")
    one.event("unknowing", "port_request", at(13), recorded_at=at(15))
    override("same-instant-override", 12, "L1")
    # An order is level 3 whatever a person says of level 3; the same level again is no change.
    one.event("kept", "port_request", at(13))
    override("kept", 14, "L3")
    override("twice", 14, "L1", sequence=2)
    override("twice", 14, "L0", sequence=1)
    one.subscriber("of-merged")
    for ticket, root in (("override-root", None), ("override-leaf", "override-root")):
        one.ticket(ticket, at(10), subscription_id="of-merged", merged_into_ticket_id=root)
        one.contact(f"{ticket} contact", at(10, 1), subscription_id="of-merged", ticket_id=ticket)
    one.contact("of-merged other", at(10), subscription_id="of-merged", topic_code="roaming")
    one.ticket_event("override-root", "level_override", at(11), "L3", reason="angry_on_phone")
    one.subscriber("two-episodes")
    one.ticket("two-episodes ticket", at(0))
    for kind, day, value in (("status", 2, "resolved"), ("reopen", 50, None)):
        one.ticket_event("two-episodes ticket", kind, at(day), value)
    for day in (0, 50):
        one.contact(f"two-episodes {day}", at(day), subscription_id="two-episodes", ticket_id="two-episodes ticket")
    one.ticket_event("two-episodes ticket", "level_override", at(51), "L3", reason="angry_on_phone")
    one.ticket("override of spam", at(10), is_spam=True)
    one.contact("override of spam", at(10), subscription_id="lowered", ticket_id="override of spam")
    one.ticket_event("override of spam", "level_override", at(11), "L3", reason="angry_on_phone")
    one.subscriber("flagged-question")
    one.ticket("flagged-question", at(10), topic_code="question_plan")
    one.contact("flagged-question", at(10), subscription_id="flagged-question", ticket_id="flagged-question",
                topic_code="question_plan")  # fmt: skip
    one.ticket_event("flagged-question", "leaving_flag", at(10, 5))
    # Comes the next night.
    two.ticket_event("raised ticket", "level_override", at(120, 5), "L1", reason="resolved_by_manager")


def whose(one: Book, two: Book) -> None:
    """Who complains for whom, and rows that come again."""
    one.subscriber("loaded-twice")
    for book in (one, two):
        book.ticket("loaded-twice", at(10), subscription_id="loaded-twice")
        book.contact("loaded-twice", at(10), subscription_id="loaded-twice", ticket_id="loaded-twice")
    one.add("crm.parties", party_id="company", kind="organisation", segment="corporate")
    for i in range(500):
        one.add("crm.subscriptions", subscription_id=f"line-{i}", party_id="company")
    one.ticket("company ticket", at(10), party_id="company")
    one.contact("company call", at(10), party_id="company", ticket_id="company ticket", is_on_behalf=True)
    one.contact("company mail", at(11), party_id="company", channel="email", is_on_behalf=True)
    # The CRM finds on the second night that two parties are one.
    one.subscriber("crm-merged", party="found-twice")
    one.contact("crm-merged", at(10), subscription_id="crm-merged")
    two.add("crm.parties", party_id="found-once", segment="vip")
    two.add("crm.subscriptions", subscription_id="crm-merged", party_id="found-once")
    one.subscriber("midnight")
    one.contact("midnight-1", at(10, -0.1 / 3600), subscription_id="midnight", channel="email")
    one.contact("midnight-2", at(10, 0.1 / 3600), subscription_id="midnight", channel="chat")
    one.subscriber("our-callback")
    one.contact("before-callback", at(10), subscription_id="our-callback")
    one.contact("callback", at(11), subscription_id="our-callback", initiator="operator", direction="outbound")
    one.subscriber("other-topic")
    one.contact("of-one-topic", at(10), subscription_id="other-topic")
    one.contact("of-another", at(11), subscription_id="other-topic", topic_code="billing_dispute", channel="chat")
    one.contact("of-one-topic-again", at(12), subscription_id="other-topic", channel="app")


def said(one: Book, two: Book) -> None:
    """What the words say: kinds of threat, topics without a code, reviews without a rating."""
    for name, kind, signal in (("left-already", "left_already", "left_already"),
                               ("no-alternative", "would_leave_no_alternative", "no_alternative"),
                               ("leaving", "threat", "leaving")):  # fmt: skip
        one.subscriber(f"said-{name}")
        one.contact(f"said-{name}", at(10), subscription_id=f"said-{name}")
        one.messages.append((f"said-{name}", -1, None, kind, signal))
    one.subscriber("topics")
    for i, (name, code, sentiment, topic) in enumerate((
        ("coded", "roaming", 0, "billing_dispute"), ("uncoded", None, 0, "billing_dispute"),
        ("unknown-code", "renamed_in_the_source", 0, "billing_dispute"), ("not-in-tree", None, 0, "no_such_topic"),
        ("no-topic", None, 0, None), ("asks", None, 0, "question"), ("asks-angrily", None, -1, "question"),
    )):  # fmt: skip
        one.contact(f"topic-{name}", at(10 + i), subscription_id="topics", topic_code=code)
        one.messages.append((f"topic-{name}", sentiment, topic, "none", None))
    for name, sentiment in (("angry-words", -1), ("kind-words", 1)):
        one.add("web.public_reviews", review_id=name, posted_at=at(10))
        one.messages.append((f"review:{name}", sentiment, "mobile_internet", "none", None))
    one.add("web.public_reviews", review_id="no-words", posted_at=at(10))
