"""Mischief of issue 4: levels set by hand, well and badly, and what messages say; with a random of its own."""

import random
from datetime import timedelta

from planting import Planted, at

OVERRIDDEN = [f"t{i}" for i in range(14)]
LEVELS = ["L0", "L1", "L2", "L3", " l1", "L9", None]
REASONS = ["duplicate", "resolved_by_manager", "angry_on_phone", "N/A", None]
TOPICS = ["billing_dispute", "roaming", "question", "not_in_the_tree", None]
THREATS = ["threat", "left_already", "would_leave_no_alternative", "none", "none"]


class ComplaintMischief:
    """Plants overrides, one load a night, and signals of messages."""

    def __init__(self, planted: Planted, seed: int) -> None:
        """Nothing is planted yet."""
        self.planted = planted
        self.random = random.Random(f"complaints {seed}")
        self.serial = 0

    def night(self, day: float, share: float) -> None:
        """Overrides of about `share` of the tickets, some of them new versions of older ones."""
        rows = {}
        for _ in range(round(25 * share)):
            is_new = self.serial == 0 or self.random.random() < 0.9
            self.serial += is_new
            number = self.serial if is_new else self.random.randint(1, self.serial)
            event_at = at(self.random.randint(-60, int(day) + 6), self.random.choice([0, 1, 3]))
            late = self.random.choice([timedelta(0), timedelta(hours=2), timedelta(days=5)])
            rows[number] = {
                "ticket_event_id": f"override {number}", "ticket_id": self.random.choice(OVERRIDDEN),
                "kind": "level_override", "to_value": self.random.choice(LEVELS),
                "reason": self.random.choice(REASONS), "sequence": self.random.choice([None, 1, 2]),
                "agent_id": self.random.choice(["a1", None]), "event_at": event_at, "recorded_at": event_at + late,
            }  # fmt: skip
        if rows:
            self.planted.load("helpdesk.ticket_events", rows.values(), watermark_to=at(day))

    def message(self, contact_id: str, load_id: int) -> None:
        """What some version of a message says; it may say another thing in the next one."""
        if self.random.random() < 0.5:
            self.planted.message(
                contact_id, load_id, sentiment=self.random.choice([-1, 0, 1]), topic=self.random.choice(TOPICS),
                threat_kind=self.random.choice(THREATS),
            )  # fmt: skip
