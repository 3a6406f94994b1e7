"""The source tables of the simulated operator: columns, how their codes are written, keys and cursors.

Names are the contract's, but for `customers` (crm.parties) and `interactions` (helpdesk.contacts), which prove that
mapping works. Tables of place `truth` are not sources.
"""

from dataclasses import dataclass
from typing import NamedTuple

from retention.simulator import codes


class Column(NamedTuple):
    """One column: SQL type and how its integers become words (see render.py)."""

    name: str
    sql: str
    form: str
    words: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True)
class Table:
    """One source table. `place`: crm, helpdesk (databases), drops (daily files) or truth."""

    name: str
    place: str
    key: tuple[str, ...]
    cursor: str | None
    columns: tuple[Column, ...]
    # Later versions of a row replace earlier ones (loaded twice, the latest cursor stays).
    is_versioned: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)


def _id(name: str, prefix: str) -> Column:
    return Column(name, "text", "id", prefix=prefix)


def _at(*names: str) -> list[Column]:
    return [Column(name, "timestamptz", "instant") for name in names]


def _word(name: str, words: tuple[str, ...]) -> Column:
    return Column(name, "text", "word", words)


def _flag(*names: str) -> list[Column]:
    return [Column(name, "boolean", "flag") for name in names]


def _money(*names: str) -> list[Column]:
    return [Column(name, "numeric(12,2)", "hundredths") for name in names]


def _form(name: str, form: str, sql: str = "text") -> Column:
    return Column(name, sql, form)


def _table(
    name: str, place: str, key: str, cursor: str | None, *columns: Column | list[Column], is_versioned: bool = False
) -> Table:
    flat = [part for item in columns for part in (item if isinstance(item, list) else [item])]
    return Table(name, place, tuple(key.split()), cursor, tuple(flat), is_versioned)


PARTY = _id("party_id", "P")
SUBSCRIPTION = _id("subscription_id", "S")
TICKET = _id("ticket_id", "T")
AGENT = _id("agent_id", "A")
TEAM = _id("team_id", "TM")
REGION = _id("region_id", "R")
VENDOR = _id("vendor_id", "V")
CONTACT = _id("contact_id", "")
MSISDN = _form("msisdn", "msisdn")
TOPIC = _word("topic_code", codes.TOPICS)
CHANNEL = _word("channel", codes.CHANNELS)
REGION_NAMES = tuple(name for name, *_ in codes.REGIONS)
REGION_ZONES = tuple(zone for _, zone, *_ in codes.REGIONS)

_TABLES = (
    _table("customers", "crm", "customer_id", "updated_at",
        _id("customer_id", "P"), _word("customer_type", codes.PARTY_KINDS), _word("segment", codes.SEGMENTS), REGION,
        _word("language", codes.LANGUAGES), _form("full_name", "name"), _form("email", "email"),
        _flag("is_staff", "is_test"), _at("updated_at")),
    _table("subscriptions", "crm", "subscription_id", "updated_at",
        SUBSCRIPTION, PARTY, _word("product", codes.PRODUCTS), _id("plan_id", "PL"), REGION,
        _word("status", codes.STATUSES), _at("activated_at", "terminated_at", "updated_at")),
    _table("msisdn_periods", "crm", "msisdn_period_id", "updated_at",
        _id("msisdn_period_id", "N"), MSISDN, SUBSCRIPTION, _at("valid_from", "valid_to", "updated_at")),
    _table("subscription_events", "crm", "subscription_event_id", "recorded_at",
        _id("subscription_event_id", ""), SUBSCRIPTION, _word("kind", codes.EVENT_KINDS), _id("order_id", "O"),
        _at("event_at", "effective_at", "recorded_at")),
    _table("usage_months", "crm", "subscription_id month_on", "updated_at",
        SUBSCRIPTION, _form("month_on", "date", "date"), _at("first_revenue_at", "last_revenue_at"),
        _money("revenue_rub", "margin_rub"), _at("updated_at")),
    _table("consents", "crm", "consent_id", "updated_at",
        _id("consent_id", "C"), PARTY, _word("kind", codes.CONSENT_KINDS),
        _at("granted_at", "withdrawn_at", "updated_at")),
    _table("plans", "crm", "plan_id", None,
        _id("plan_id", "PL"), _word("name", tuple(name for name, *_ in codes.PLANS)), _word("product", codes.PRODUCTS),
        _money("monthly_fee_rub")),
    _table("regions", "crm", "region_id", None,
        REGION, _word("name", REGION_NAMES), _word("time_zone", REGION_ZONES)),
    _table("tickets", "helpdesk", "ticket_id", "updated_at",
        TICKET, SUBSCRIPTION, PARTY, MSISDN, TOPIC, CHANNEL, _word("priority", codes.PRIORITIES),
        _word("status", codes.TICKET_STATUSES), _word("closure_code", codes.CLOSURES),
        _at("opened_at", "resolved_at", "closed_at"), _id("merged_into_ticket_id", "T"), AGENT, TEAM,
        _flag("has_leaving_flag", "is_test", "is_spam"), _at("recorded_at", "updated_at")),
    _table("ticket_events", "helpdesk", "ticket_event_id", "recorded_at",
        _id("ticket_event_id", ""), TICKET, _form("sequence", "integer", "bigint"), _word("kind", codes.TICKET_KINDS),
        _word("source_kind", codes.SOURCE_KINDS), _form("from_value", "value"), _form("to_value", "value"),
        _word("reason", codes.OVERRIDE_REASONS), AGENT, TEAM, _at("event_at", "recorded_at")),
    _table("interactions", "helpdesk", "interaction_id", "updated_at",
        _id("interaction_id", ""), TICKET, SUBSCRIPTION, PARTY, _form("msisdn", "msisdn_as_typed"), CHANNEL,
        _word("direction", codes.DIRECTIONS),
        _word("initiator", codes.INITIATORS), _word("author_kind", codes.AUTHORS), _flag("is_on_behalf"), AGENT, TEAM,
        TOPIC, _flag("is_answered"), _form("connected_seconds", "integer", "integer"), _at("started_at", "ended_at"),
        _word("language", codes.LANGUAGES), _form("body", "text"), _at("recorded_at", "updated_at")),
    _table("channel_totals", "helpdesk", "day_on channel", "updated_at",
        _form("day_on", "date", "date"), CHANNEL, _form("contacts", "integer", "bigint"), _at("updated_at")),
    _table("agents", "helpdesk", "agent_id", None,
        AGENT, _form("full_name", "name"), _word("kind", codes.AGENT_KINDS), _word("role", codes.ROLES),
        _at("hired_at", "left_at")),
    _table("teams", "helpdesk", "team_id", None,
        TEAM, _word("name", tuple(name for name, *_ in codes.TEAMS)), VENDOR, _word("calendar_code", codes.CALENDARS),
        _word("time_zone", REGION_ZONES)),
    _table("team_memberships", "helpdesk", "membership_id", None,
        _id("membership_id", "M"), AGENT, TEAM, _at("valid_from", "valid_to")),
    _table("vendors", "helpdesk", "vendor_id", None, VENDOR, _word("name", codes.VENDORS)),
    _table("retention_actions", "helpdesk", "action_id", "updated_at",
        _id("action_id", ""), TICKET, SUBSCRIPTION, _word("step", codes.STEPS), AGENT, TEAM,
        _word("offer_code", codes.OFFERS), _money("cost_rub"),
        _at("promise_due_at", "promise_kept_at", "action_at", "recorded_at", "updated_at"), is_versioned=True),
    _table("qa_audits", "helpdesk", "audit_id", "recorded_at",
        _id("audit_id", "Q"), TICKET, CONTACT, AGENT, _form("score", "hundredths", "numeric(5,2)"),
        _at("audited_at", "recorded_at")),
    _table("incidents", "helpdesk", "incident_id", "updated_at",
        _id("incident_id", "I"), _word("kind", codes.INCIDENT_KINDS), REGION, _id("reopened_from_incident_id", "I"),
        _at("started_at", "restored_at", "updated_at"), is_versioned=True),
    _table("incident_impacts", "helpdesk", "impact_id", "updated_at",
        _id("impact_id", ""), _id("incident_id", "I"), SUBSCRIPTION, _at("started_at", "ended_at", "updated_at")),
    _table("pilots", "helpdesk", "pilot_id", None,
        _id("pilot_id", "X"), _word("name", codes.PILOT_NAMES), _word("unit_kind", codes.PILOT_UNITS),
        _word("metric", codes.PILOT_METRICS), _form("horizon_days", "integer", "integer"),
        _form("planned_n", "integer", "bigint"), _form("treatment_share", "hundredths", "numeric(5,4)"),
        _at("registered_at", "starts_at", "ends_at")),
    _table("pilot_assignments", "helpdesk", "assignment_id", "recorded_at",
        _id("assignment_id", ""), _id("pilot_id", "X"), _form("unit_id", "unit"), _word("arm", codes.ARMS),
        _at("assigned_at", "recorded_at")),
    _table("call_attempts", "drops", "attempt_id", None,
        _id("attempt_id", ""), VENDOR, TICKET, SUBSCRIPTION, MSISDN, _at("received_at", "attempted_at"),
        _flag("is_answered"), _form("connected_seconds", "integer", "integer"), _word("outcome_code", codes.OUTCOMES),
        _at("recorded_at")),
    _table("survey_invitations", "drops", "invitation_id", None,
        _id("invitation_id", ""), _word("survey_kind", codes.SURVEYS), SUBSCRIPTION, TICKET, CONTACT,
        _at("sent_at", "delivered_at", "recorded_at")),
    _table("survey_responses", "drops", "response_id", None,
        _id("response_id", ""), _id("invitation_id", ""), _word("survey_kind", codes.SURVEYS),
        _word("scale_version", codes.SCALES), _form("score", "integer", "integer"), _form("comment", "text"),
        _at("responded_at", "recorded_at")),
    _table("public_reviews", "drops", "review_id", None,
        _id("review_id", ""), _word("site", codes.SITES), _form("author_name", "name"), MSISDN, REGION,
        _form("rating", "tenths", "numeric(3,1)"), _form("body", "text"), _at("posted_at", "recorded_at")),
    _table("texts", "truth", "contact_id", None,
        CONTACT, _word("kind", ("none", "threat", "negated", "third_party", "quoted")),
        _word("language", codes.LANGUAGES), SUBSCRIPTION),
    # What the exchange counts at the instant of a contact, whether or not the helpdesk ever writes it.
    _table("counted", "truth", "channel", None, CHANNEL, _flag("is_lost")),
)  # fmt: skip

TABLES = {table.name: table for table in _TABLES}
COLUMNS = {name: table.names for name, table in TABLES.items()}
DATABASES = ("crm", "helpdesk")
DROPS = tuple(name for name, table in TABLES.items() if table.place == "drops")


def database_tables(database: str) -> list[Table]:
    """The tables of one source database."""
    return [table for table in _TABLES if table.place == database]
