"""Every effect and rate of the simulated operator: what later work has to recover. Written to truth/effects.json.

Hazards are per year, hazard ratios multiply the daily hazard of *deciding* to leave, shares are probabilities.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

DAY = 86_400
# Days between a port request and the port, as the regulator's procedure has it.
PORT_DAYS = 8


@dataclass(frozen=True)
class Decisions:
    """Voluntary leaving: hazards of the decision, and what becomes of it."""

    # segment (mass, vip, corporate) x product (prepaid, postpaid)
    base_hazard_per_year: tuple[tuple[float, float], ...] = ((0.21, 0.18), (0.13, 0.12), (0.12, 0.11))
    # Log hazard ratio of one unit of the latent dissatisfaction z ~ N(0, 1); z also raises complaints (confounding).
    frailty_log_hr: float = 0.25
    # product x (port, disconnect, inactivity)
    kind_shares: tuple[tuple[float, ...], ...] = ((0.35, 0.05, 0.60), (0.60, 0.40, 0.0))
    # (completed, cancelled, refused) and (effective, withdrawn)
    port_outcomes: tuple[float, float, float] = (0.76, 0.18, 0.06)
    disconnect_outcomes: tuple[float, float] = (0.80, 0.20)
    return_share_after_order: float = 0.10
    return_share_after_inactivity: float = 0.10


@dataclass(frozen=True)
class Grievance:
    """Hazard ratios while a grievance lasts: `window_days` from the latest customer contact of the case."""

    window_days: int = 90
    hr_complaint: float = 3.0
    hr_repeat: float = 1.6
    hr_broken_promise: float = 1.8
    hr_contact_in_time: float = 0.55
    # By difficulty (easy, normal, hard); the ticket's first priority (low, normal, high) shows it without error.
    hr_difficulty: tuple[float, float, float] = (0.5, 1.0, 1.9)
    # In-house, vendor 1 (gets the easy cases), vendor 2.
    hr_vendor: tuple[float, float, float] = (1.0, 1.15, 1.0)
    # Has no effect; only those who have not left yet can get it (immortal time).
    hr_follow_up: float = 1.0
    hr_offer: float = 1.0


@dataclass(frozen=True)
class Complaints:
    """How often people complain and what happens to a case."""

    rate_per_year: float = 0.20
    frailty_log_rr: float = 0.5
    rr_incident: float = 25.0
    rr_silent: float = 0.3
    difficulty_shares: tuple[float, float, float] = (0.35, 0.45, 0.20)
    in_time_shares: tuple[float, float, float] = (0.80, 0.70, 0.58)
    on_trigger_share_of_easy: float = 0.15
    never_share_of_late: float = 0.15
    # difficulty x (in-house, vendor 1, vendor 2)
    vendor_shares: tuple[tuple[float, ...], ...] = ((0.40, 0.50, 0.10), (0.65, 0.25, 0.10), (0.82, 0.08, 0.10))
    truly_resolved_shares: tuple[float, float, float] = (0.85, 0.70, 0.50)
    repeat_per_day: tuple[float, float] = (0.004, 0.030)  # resolved in truth, not resolved
    repeat_window_days: int = 30
    promise_share: float = 0.35
    promise_broken_share: float = 0.28
    follow_up_share: float = 0.60
    offer_share: float = 0.15
    misclassified_topic_share: float = 0.05
    lost_contact_share: float = 0.004
    # Contacts and tickets that carry the phone number only.
    number_only_share: float = 0.04
    question_rate_per_year: float = 0.9
    # Told by a message that the network is restored, of those who complained of an incident.
    informed_share: float = 0.80


@dataclass(frozen=True)
class Habits:
    """What desks do with a case beside handling it; none of it changes who leaves."""

    # A spoken threat handed to a retention manager or the control group within the hour: in-house, vendors.
    handed_over_shares: tuple[float, float] = (0.60, 0.25)
    # Back in the common queue of the first line after that.
    dropped_share: float = 0.06
    # A threat overridden to a lower level, and how often no reason is given.
    override_share: float = 0.05
    override_without_reason_share: float = 0.12
    # The third vendor's team overrides minutes before the two hours are over, the second resolves and reopens.
    late_override_share: float = 0.20
    closed_to_stop_the_clock_share: float = 0.12
    unmerged_share: float = 0.10
    # A written claim a day, per open case older than five days.
    claims_per_day: float = 0.004
    claim_late_share: float = 0.10


@dataclass(frozen=True)
class Involuntary:
    """The operator's own actions and other ends that are not a choice, per year."""

    debt_suspension: float = 0.05
    debt_after_suspension_share: float = 0.40
    fraud: float = 0.002
    death: float = 0.004
    liquidation: float = 0.040
    technical: float = 0.002


@dataclass(frozen=True)
class Administration:
    """Changes that are not churn, per year."""

    plan_change: float = 0.15
    sim_swap: float = 0.05
    transfer: float = 0.006
    migration: float = 0.02
    voluntary_suspension: float = 0.02
    pause: float = 0.15
    consent_withdrawal: float = 0.03


@dataclass(frozen=True)
class Pilots:
    """Two experiments. Days count from the start of the simulation."""

    # A loyalty package for a share of the active base: works while it lasts.
    loyalty_registered_day: int = 40
    loyalty_day: int = 60
    loyalty_share: float = 0.40
    loyalty_days: int = 180
    hr_loyalty: float = 0.55
    # A new apology script for parties that complain: does nothing.
    script_registered_day: int = 50
    script_from_day: int = 75
    script_to_day: int = 320
    hr_script: float = 1.0


@dataclass(frozen=True)
class Parameters:
    """All of them."""

    decisions: Decisions = field(default_factory=Decisions)
    grievance: Grievance = field(default_factory=Grievance)
    complaints: Complaints = field(default_factory=Complaints)
    involuntary: Involuntary = field(default_factory=Involuntary)
    administration: Administration = field(default_factory=Administration)
    pilots: Pilots = field(default_factory=Pilots)
    habits: Habits = field(default_factory=Habits)
    arrivals_per_year: float = 0.19
    incidents_per_region_and_year: float = 8.0
    late_recorded_share: float = 0.03

    def as_dict(self) -> dict[str, Any]:
        """Nested plain values, for truth/effects.json."""
        return asdict(self)
