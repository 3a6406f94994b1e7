"""The words behind the integer codes: inside the simulator all is integers, words appear when rows are written."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

# NULL of every integer column.
NA = int(np.iinfo(np.int64).min)
# 2025-01-01 00:00 Europe/Moscow, the zero of simulated time. Moscow has had no clock changes since 2014.
START_EPOCH = 1_735_678_800
MOSCOW_OFFSET = 3 * 3600
START_DATE = np.datetime64("2025-01-01", "D")

PARTY_KINDS = ("P", "O")
PERSON, ORGANISATION = range(2)
SEGMENTS = ("mass", "vip", "corporate")
LANGUAGES = ("ru", "en")
PRODUCTS = ("prepaid", "postpaid")
STATUSES = ("active", "suspended", "terminated")
ACTIVE, SUSPENDED, TERMINATED = range(3)
EVENT_KINDS = (
    "activation", "plan_change", "suspension", "resumption", "port_request", "port_cancelled", "port_refused",
    "port_completed", "disconnect_order", "disconnect_withdrawn", "disconnect_effective", "debt", "fraud", "death",
    "liquidation", "technical", "transfer", "migration", "sim_swap", "reactivation",
)  # fmt: skip
EVENT = {name: code for code, name in enumerate(EVENT_KINDS)}
CONSENT_KINDS = ("marketing_calls", "surveys", "data_processing")
# Complaints first, then what is no complaint.
TOPICS = (
    "network_coverage", "mobile_internet", "billing_dispute", "roaming", "tariff_change", "service_quality",
    "number_port", "device", "question_balance", "question_plan", "request_document", "legal_claim",
)  # fmt: skip
# What people complain of, then up to QUESTION_TOPICS what they ask; a legal claim follows a complaint.
COMPLAINT_TOPICS, QUESTION_TOPICS = 8, 11
TOPIC = {name: code for code, name in enumerate(TOPICS)}
CHANNELS = ("call", "chat", "email", "shop", "app", "sms", "social")
CALL, CHAT, EMAIL, SHOP, APP, SMS, SOCIAL = range(7)
# What the exchange and the chat server count.
COUNTED_CHANNELS = 2
DIRECTIONS = ("inbound", "outbound")
INBOUND, OUTBOUND = range(2)
INITIATORS = ("customer", "operator")
AUTHORS = ("human", "bot", "ivr")
HUMAN, BOT, IVR = range(3)
PRIORITIES = ("low", "normal", "high", "critical")
TICKET_STATUSES = ("new", "open", "pending", "resolved", "closed")
NEW, OPEN, PENDING, RESOLVED, CLOSED = range(5)
# to_value of a ticket event: a status, a priority, a level, or (from MERGE_BASE on) a ticket.
LEVELS = ("L0", "L1", "L2", "L3")
VALUES = TICKET_STATUSES + PRIORITIES + LEVELS
PRIORITY_VALUE = len(TICKET_STATUSES)
LEVEL_VALUE = PRIORITY_VALUE + len(PRIORITIES)
OVERRIDE_REASONS = ("misread_phrase", "wrong_subscriber", "withdrawn_by_customer")
TICKET_KINDS = (
    "opened", "priority", "assignment", "status", "escalation", "reassignment", "leaving_flag", "pause", "resume",
    "merge", "reopen", "other", "level_override", "registered", "unmerge",
)  # fmt: skip
TICKET_KIND = {name: code for code, name in enumerate(TICKET_KINDS)}
SOURCE_KINDS = (
    "TicketCreated", "PrioritySet", "Assigned", "StatusChanged", "Escalated", "Reassigned", "LeavingMarked",
    "ClockPaused", "ClockResumed", "Merged", "Reopened", "Commented", "LevelOverridden", "ClaimRegistered", "Unmerged",
)  # fmt: skip
CLOSURES = ("fixed", "explained", "compensated", "no_fault_found", "unreachable")
STEPS = ("first_contact", "diagnosis", "apology", "offer", "promise", "follow_up", "handover")
STEP = {name: code for code, name in enumerate(STEPS)}
OFFERS = ("discount_20", "discount_50", "free_month", "extra_gigabytes", "bill_credit")
AGENT_KINDS = ("human", "bot")
ROLES = ("agent", "control_group", "retention_manager", "reviewer")
SURVEYS = ("csat", "transactional_nps", "relational_nps")
CSAT, TRANSACTIONAL_NPS, RELATIONAL_NPS = range(3)
SCALES = ("csat_1_5", "nps_0_10", "csat_5_1_reversed")
OUTCOMES = ("connected", "no_answer", "busy", "voicemail")
SITES = ("otzovik", "banki", "appstore", "googleplay", "vk")
INCIDENT_KINDS = ("radio_outage", "fibre_cut", "core_failure", "power_loss")
PILOT_NAMES = ("loyalty_package", "apology_script")
PILOT_UNITS = ("subscription", "party")
PILOT_METRICS = ("left_voluntarily_180d", "left_voluntarily_90d")
ARMS = ("control", "treatment")

# name, IANA zone, hours ahead of Moscow, share of subscribers
REGIONS = (
    ("Moscow", "Europe/Moscow", 0, 0.30),
    ("Saint Petersburg", "Europe/Moscow", 0, 0.16),
    ("Kaliningrad", "Europe/Kaliningrad", -1, 0.04),
    ("Samara", "Europe/Samara", 1, 0.10),
    ("Yekaterinburg", "Asia/Yekaterinburg", 2, 0.16),
    ("Novosibirsk", "Asia/Novosibirsk", 4, 0.12),
    ("Irkutsk", "Asia/Irkutsk", 5, 0.06),
    ("Vladivostok", "Asia/Vladivostok", 7, 0.06),
)
REGION_SHIFT = np.array([hours * 3600 for _, _, hours, _ in REGIONS], dtype=np.int64)
REGION_SHARE = np.array([share for *_, share in REGIONS])
# name, product, monthly fee in kopecks
PLANS = (
    ("Everyday", 0, 35_000), ("Talk", 0, 45_000), ("Surf", 0, 60_000), ("Senior", 0, 20_000),
    ("Smart", 1, 70_000), ("Family", 1, 120_000), ("Premium", 1, 200_000), ("Business", 1, 90_000),
)  # fmt: skip
PLAN_PRODUCT = np.array([product for _, product, _ in PLANS])
PLAN_FEE = np.array([fee for *_, fee in PLANS], dtype=np.int64)
VENDORS = ("Kontakt-Servis", "Golos Plus")
CALENDARS = ("24x7", "office_9_18")
# name, vendor (-1: in-house), calendar, zone of the region, role of its people
TEAMS = (
    ("First line Centre", -1, 0, 0, 0),
    ("First line Ural", -1, 0, 4, 0),
    ("First line Siberia", -1, 0, 5, 0),
    ("Customer control group", -1, 0, 0, 1),
    ("Retention managers", -1, 0, 0, 2),
    ("Case review", -1, 1, 0, 3),
    ("Kontakt-Servis A", 0, 0, 3, 0),
    ("Kontakt-Servis B", 0, 0, 4, 0),
    ("Golos Plus", 1, 0, 5, 0),
)
TEAM_VENDOR = np.array([vendor for _, vendor, *_ in TEAMS])
CONTROL_GROUP, RETENTION, REVIEW = 3, 4, 5
# In-house first line by region.
REGION_TEAM = np.array([0, 0, 0, 0, 1, 2, 2, 2])


def instants(values: Ints) -> Array:
    """Seconds of simulated time -> datetime64[s] in UTC."""
    return (values + START_EPOCH).astype("datetime64[s]")
