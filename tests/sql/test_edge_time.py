"""The edge cases of time (DEFINITIONS 7) that clocks decide, planted together in one night, through to the marts."""

from collections.abc import Iterator

import pytest
from clock_scenarios import MINUTE, MORNING, SECOND, plant
from planting import Planted, at

from conftest import Warehouse


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """One night of every scenario."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    plant(warehouse)
    yield warehouse
    conn.close()


def clock(planted: Planted, kind: str, subject_id: str, columns: str) -> tuple[object, ...]:
    query = f"select {columns} from marts_a.fct_clocks where clock = %s and subject_id = %s"
    return planted.row(query, kind, subject_id)


def verdicts(planted: Planted, kind: str, *subject_ids: str) -> list[object]:
    return [clock(planted, kind, subject_id, "verdict")[0] for subject_id in subject_ids]


SENSITIVE = "sensitive_first_contact"


def test_edge_28_two_tenths_of_a_second_over_midnight_are_no_second(planted: Planted) -> None:
    columns = "calendar_seconds, business_seconds, elapsed_seconds, stop_contact_id, verdict"
    assert clock(planted, SENSITIVE, "midnight", columns) == (0, 0, 0, "at-midnight", "met")


def test_the_first_contact_is_the_owners_or_the_control_groups(planted: Planted) -> None:
    names = ("of-another", "of-the-owner", "of-the-control-group")
    assert verdicts(planted, SENSITIVE, *names) == ["breached", "met", "met"]
    # Whoever answers, the customer has had a reply.
    assert verdicts(planted, "first_reply", *names) == ["met"] * 3


def test_edge_30_a_reply_at_the_deadline_is_in_time_and_one_second_later_is_not(planted: Planted) -> None:
    assert verdicts(planted, SENSITIVE, "at-the-deadline", "a-second-late") == ["met", "breached"]
    due = clock(planted, SENSITIVE, "a-second-late", "due_at, stopped_at, elapsed_seconds")
    assert due == (at(20, 11), at(20, 11) + SECOND, 7201)


def test_edge_35_the_sensitive_clock_starts_when_the_level_rose(planted: Planted) -> None:
    started = clock(planted, SENSITIVE, "worse", "started_at, due_at, stop_contact_id, level, verdict")
    assert started == (at(20, 14), at(20, 16), "after-the-rise", "L3b", "met")
    assert clock(planted, "resolution", "worse", "started_at, level") == (MORNING, "L1")


def test_edge_36_a_downgrade_before_breach_keeps_the_target_and_is_a_signal(planted: Planted) -> None:
    query = """select level, valid_from from intermediate.int_level_history
        where subject_id = 'belittled' and rule_id = 'override'"""
    assert planted.row(query) == ("L1", at(20, 11) - MINUTE)
    assert clock(planted, SENSITIVE, "belittled", "level, due_at, verdict") == ("L3b", at(20, 11), "breached")
    query = """select team_id, signal_count, n from marts_a.sla_gaming
        where signal = 'downgrade_before_breach' and signal_count > 0"""
    assert planted.rows(query) == [("line", 1, 4)]


def test_edge_37_pauses_are_united_whatever_the_log_forgot(planted: Planted) -> None:
    seconds = "calendar_seconds, paused_seconds, elapsed_seconds, verdict"
    assert clock(planted, "resolution", "nested", seconds) == (36000, 3 * 3600, 7 * 3600, "met")
    # Until the ticket was resolved.
    assert clock(planted, "resolution", "unclosed", seconds) == (36000, 9 * 3600, 3600, "met")
    # Two of its three hours were before the clock started.
    assert clock(planted, "resolution", "late-pause", seconds) == (36000, 3600, 9 * 3600, "met")
    assert clock(planted, "resolution", "pausing", "due_at, elapsed_seconds, verdict") == (None, 3600, "open_in_time")
    assert planted.row("select min(elapsed_seconds) >= 0, min(paused_seconds) from marts_a.fct_clocks") == (True, 0)


def test_edge_38_machines_and_vain_dials_are_no_first_contact(planted: Planted) -> None:
    assert clock(planted, SENSITIVE, "machines", "stop_contact_id, calendar_seconds") == ("thirty-seconds", 360)


def test_edge_40_overdue_is_breached_once_the_source_is_loaded_past_it(planted: Planted) -> None:
    names = ("never-answered", "not-loaded", "still-time")
    assert verdicts(planted, SENSITIVE, *names) == ["breached", "not_yet_known", "open_in_time"]
    assert clock(planted, SENSITIVE, "never-answered", "is_open, stopped_at") == (True, None)


def test_edge_41_the_version_in_force_at_the_start_counts(planted: Planted) -> None:
    end_to_end = "vendor_first_contact"
    assert clock(planted, end_to_end, "on-the-14th", "target_seconds, policy_version, verdict") == (3600, "1", "met")
    assert clock(planted, end_to_end, "on-the-15th", "target_seconds, policy_version, verdict") == (
        2700, "2", "breached",
    )  # fmt: skip


def test_edge_42_more_than_a_year_is_not_truncated(planted: Planted) -> None:
    assert clock(planted, "resolution", "long", "calendar_seconds") == (420 * 86400 + 10 * 3600,)


def test_edge_43_a_vendors_call_before_its_receipt_is_clamped_and_flagged(planted: Planted) -> None:
    columns = "started_at, calendar_seconds, is_skewed, stop_attempt_id, verdict"
    called = MORNING + 20 * MINUTE
    assert clock(planted, "vendor_only_first_contact", "skewed", columns) == (called, 0, True, "early", "met")
    assert clock(planted, "vendor_first_contact", "skewed", "calendar_seconds, is_skewed") == (1200, False)


def test_edge_44_segments_sum_to_end_to_end(planted: Planted) -> None:
    query = """select segments.team_id, segments.calendar_seconds, segments.business_seconds
        from marts_a.fct_clock_segments as segments inner join marts_a.fct_clocks as clocks using (clock_id)
        where clocks.clock = 'vendor_first_contact' and clocks.subject_id = 'to-and-fro' order by segment_number"""
    assert planted.rows(query) == [("line", 1200, 1200), ("partner", 1500, 600), ("line", 1500, 1200)]
    end_to_end = clock(planted, "vendor_first_contact", "to-and-fro", "calendar_seconds, business_seconds, verdict")
    assert end_to_end == (4200, 3000, "breached")
    vendor_only = clock(planted, "vendor_only_first_contact", "to-and-fro", "calendar_seconds, business_seconds")
    assert vendor_only == (3000, 1800)
    assert (
        planted.rows(
            """select clock_id from marts_a.fct_clocks left join (
            select clock_id, sum(calendar_seconds) as calendar, sum(business_seconds) as business
            from marts_a.fct_clock_segments group by 1) as summed using (clock_id)
        where (coalesce(calendar, 0), coalesce(business, 0)) is distinct from (calendar_seconds, business_seconds)
        and business_seconds is not null"""
        )
        == []
    )


def test_edge_03_a_merged_ticket_has_no_clocks_of_its_own(planted: Planted) -> None:
    query = "select clock, ticket_id from marts_a.fct_clocks where subject_id in ('root', 'merged') order by 1"
    assert planted.rows(query) == [("first_reply", "root"), ("first_reply", "root"), ("resolution", "root")]


def test_edge_11_a_review_of_a_stranger_has_a_clock(planted: Planted) -> None:
    assert verdicts(planted, SENSITIVE, "review:stranger") == ["breached"]
    assert clock(planted, "resolution", "review:stranger", "verdict, exclusion_reason") == ("excluded", "no_ticket")


def test_resolved_on_the_spot_is_a_verdict_of_its_own_for_those_who_may(planted: Planted) -> None:
    names = ("on-the-spot", "without-authority")
    assert verdicts(planted, SENSITIVE, *names) == ["resolved_on_trigger", "breached"]


def test_the_hand_over_stops_with_a_manager_and_not_with_a_queue(planted: Planted) -> None:
    assert verdicts(planted, "hand_over", "taken", "taken-late", "queued") == ["met", "breached", "breached"]


def test_a_claim_is_registered_by_the_next_working_day_and_answered_in_writing(planted: Planted) -> None:
    assert clock(planted, "legal_registration", "claim", "due_at, verdict") == (at(26), "met")
    assert verdicts(planted, "legal_registration", "claim-late") == ["breached"]
    answered = clock(planted, "legal_answer", "claim", "started_at, stop_contact_id, target_seconds, verdict")
    assert answered == (at(25, 23), "claim-answered", 30 * 86400, "met")
    assert verdicts(planted, "legal_answer", "claim-late") == ["breached"]


def test_business_time_is_the_teams_and_both_are_published(planted: Planted) -> None:
    columns = "due_at, calendar_seconds, business_seconds, verdict"
    assert clock(planted, "first_reply", "office-hours", columns) == (at(25, 16), 71 * 3600, 8 * 3600, "met")
    unknown = clock(planted, "first_reply", "no-calendar", "business_seconds, verdict, exclusion_reason")
    assert unknown == (None, "excluded", "outside_calendar")
    live = clock(planted, "first_reply", "live", "verdict, exclusion_reason")
    assert live == ("excluded", "answered_live")


def test_whoever_complained_of_an_incident_is_to_be_told_of_its_end(planted: Planted) -> None:
    columns = "started_at, stop_contact_id, due_at, verdict"
    assert clock(planted, "informed_of_fix", "outage", columns) == (at(20, 12), "notice", at(20, 16), "met")
    assert planted.row("select count(*) from marts_a.fct_clocks where clock = 'informed_of_fix'") == (1,)


def test_closing_and_reopening_is_a_signal_of_the_team(planted: Planted) -> None:
    query = """select team_id, signal_count, n from marts_a.sla_gaming
        where signal = 'close_and_reopen' and signal_count > 0"""
    assert planted.rows(query) == [("line", 1, 4)]
    assert clock(planted, "resolution", "reopened", "stopped_at, verdict") == (MORNING + 300 * MINUTE, "met")
