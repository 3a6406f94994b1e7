"""Who owns a case, when it changes hands and whether it is lost: the edge cases of people, planted over two nights."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from action_scenarios import deeds
from dbt.cli.main import dbtRunner
from documented import published, rebuilt
from people_scenarios import NIGHTS, fates, hands, staff
from planting import PROJECT, Planted, at
from scenarios import Book

from conftest import Warehouse
from retention.outcomes.audit_inputs import read_principles, read_promises, read_reviewed, read_scored
from retention.outcomes.track import track_outcomes
from retention.quality.gate import run_gate
from retention.quality.reconcile import reconcile

EXPECTATIONS = PROJECT.parent / "expectations"
MARTS = ("escalations", "owner_history", "routing_compliance", "risky_in_common_queue", "hybrid_routing",
         "lost_escalations", "escalation_leakage", "episode_replay", "sensitive_without_authority",
         "action_audit", "promises", "service_principles")  # fmt: skip
#: What they are built from or checked against.
BESIDE = ("fct_churn_events", "fct_complaint_episodes", "complaint_to_churn")
LAWS = ("one_owner_at_any_instant", "escalations_are_conserved", "escalations_in_marts",
        "audit_asks_every_step", "promises_are_conserved", "principles_add_up")  # fmt: skip


def plant(planted: Planted) -> None:
    """Both nights; `before` holds what the first one said."""
    books = (Book(), Book())
    for scenario in (staff, hands, fates, deeds):
        scenario(*books)
    for as_of, book in zip(NIGHTS, books, strict=True):
        planted.open(as_of)
        for table in {*book.rows, *book.deleted}:
            load_id = planted.load(table, book.rows[table], book.deleted[table], watermark_to=as_of)
            if table == "helpdesk.contacts":
                for contact_id, verdict in book.hits:
                    planted.hit(contact_id, load_id, verdict)
        planted.transform()
        if as_of == NIGHTS[0]:
            planted.before = {
                "late-event": owners(planted, "late-event"),
                "taken over": taken_over(planted, "late-event"),
            }


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Both nights, and the marts of the second in marts_a."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    plant(warehouse)
    track_outcomes(conn, NIGHTS[1], warehouse.batch_id)
    project = warehouse.dbt.project
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment().items():
            patch.setenv(name, value)
        folders = ["--project-dir", project.folder, "--profiles-dir", project.folder, "--target-path", project.target]
        arguments = ["--quiet", "run", "--select", *BESIDE, *MARTS, *map(str, folders)]
        assert dbtRunner(manifest=warehouse.dbt.manifest).invoke(arguments).success
    yield warehouse
    conn.close()


def owners(planted: Planted, subject_id: str) -> list[tuple[object, ...]]:
    """(kind, agent, team, vendor) of a subject's owners, in order."""
    return planted.rows(
        "select owner_kind, agent_id, team_id, vendor_id from intermediate.int_episode_owners"
        " where subject_id = %s order by episode_id, valid_from",
        subject_id,
    )


def taken_over(planted: Planted, subject_id: str) -> tuple[object, ...]:
    """When a responsible manager took a subject's only escalation over."""
    return planted.row("select owned_at from intermediate.int_escalations where subject_id = %s", subject_id)


def fate(planted: Planted, subject_id: str) -> tuple[object, ...]:
    """(status, rule, contact due, owner due) of a subject's only escalation."""
    return planted.row(
        "select status, routing_rule_id, contact_due_at, owner_due_at from marts_a.escalations"
        " inner join intermediate.int_episodes using (episode_id) where subject_id = %s",
        subject_id,
    )


QUEUE = ("common_queue", None, None, None)
ANNA = ("agent", "anna", "first-line", None)


def test_a_case_goes_from_the_queue_to_whoever_has_it(planted: Planted) -> None:
    assert owners(planted, "handed") == [QUEUE, ANNA, ("control_group", "vera", "control", None)]


def test_edge_57_an_agent_who_changes_vendor_keeps_the_team_as_of_then(planted: Planted) -> None:
    query = (
        "select team_id, vendor_id from intermediate.int_retention_actions where agent_id = 'mover' order by action_at"
    )
    assert planted.rows(query) == [("theirs", "v1"), ("others", "v2")]
    assert owners(planted, "vendor-change") == [
        QUEUE, ("agent", "mover", "theirs", "v1"), ANNA, ("agent", "mover", "others", "v2"),
    ]  # fmt: skip


def test_edge_45_an_event_ten_days_late_rebuilds_the_history(planted: Planted) -> None:
    assert planted.before["late-event"] == [QUEUE, ANNA]
    assert owners(planted, "late-event") == [QUEUE, ANNA, ("control_group", "vera", "control", None)]
    assert (planted.before["taken over"], taken_over(planted, "late-event")) == ((None,), (at(30, 3),))


def test_edge_11_an_unmatched_review_has_an_owner_and_a_clock(planted: Planted) -> None:
    assert owners(planted, "review:stranger") == [QUEUE]
    assert fate(planted, "review:stranger") == ("lost", "review", at(10, 14), at(10, 12.25))


def test_edge_10_a_lawyers_complaint_has_an_owner_and_a_clock(planted: Planted) -> None:
    assert owners(planted, "relative") == [QUEUE]
    assert fate(planted, "relative") == ("lost", "everything_else", at(10, 14), at(10, 12.25))


def test_edge_58_the_actions_of_a_deleted_agent_remain(planted: Planted) -> None:
    assert owners(planted, "kept-by-deleted") == [QUEUE, ("control_group", "deleted", "control", None)]
    query = "select count(*) from marts_a.episode_replay where kind = 'action' and agent_id = 'deleted'"
    assert planted.row(query) == (1,)
    assert planted.rows("select 1 from marts_a.sensitive_without_authority where agent_id = 'deleted'") == []


def test_a_merged_ticket_has_the_owners_of_its_root(planted: Planted) -> None:
    assert owners(planted, "merged") == [QUEUE, ("agent", "boris", "first-line", None)]


def test_the_last_word_of_an_instant_counts_and_a_machine_owns_nothing(planted: Planted) -> None:
    assert owners(planted, "same-instant") == [
        QUEUE, ("agent", "boris", "first-line", None), ("common_queue", None, "first-line", None)
    ]  # fmt: skip


def test_every_fate_of_an_escalation(planted: Planted) -> None:
    query = """select subject_id, status, lost_because, is_recovered from marts_a.escalations
        inner join intermediate.int_episodes using (episode_id)"""
    fates = {name: tuple(rest) for name, *rest in planted.rows(query)}
    assert {name: fates[name] for name in (
        "in-time", "late", "forgotten", "recovered", "back-in-queue", "overridden", "unreachable", "closed-unsaid",
        "tried-only", "an-hour-old", "three-hours-old", "closed-when-lost", "worked-without-ticket", "tried-unsaid-who",
        "dialled-by-vendor", "dialled-by-another",
    )} == {
        "in-time": ("contacted_in_time", None, False),
        "late": ("contacted_late", None, False),
        "forgotten": ("lost", "no_action", False),
        "recovered": ("lost", "no_action", True),
        "back-in-queue": ("lost", "common_queue", True),
        "overridden": ("closed_with_reason", None, False),
        "unreachable": ("closed_with_reason", None, False),
        "closed-unsaid": ("lost", "no_action", False),
        "tried-only": ("open_late", None, False),
        "an-hour-old": ("open_in_time", None, False),
        "three-hours-old": ("open_late", None, False),
        # Closing what is lost already does not undo it.
        "closed-when-lost": ("lost", "no_action", False),
        "worked-without-ticket": ("open_late", None, False),
        "tried-unsaid-who": ("open_late", None, False),
        "dialled-by-vendor": ("open_late", None, False),
        "dialled-by-another": ("lost", "no_action", False),
    }  # fmt: skip


def test_what_is_said_again_after_an_override_is_an_escalation_again(planted: Planted) -> None:
    query = """select level, triggered_at, owner_due_at, owned_at, contact_due_at, status, escalation_id
        from marts_a.escalations inner join intermediate.int_episodes using (episode_id)
        where subject_id = 'said-again' order by triggered_at"""
    first, second = planted.rows(query)
    assert first[:6] == ("L3b", at(10, 12), at(10, 12.25), at(15, 12.1), at(10, 14), "closed_with_reason")
    assert second[:6] == ("L3b", at(15, 12), at(15, 12.25), at(15, 12.1), at(15, 14), "lost")
    clocks = """select started_at, stopped_at from intermediate.int_clocks
        where subject_id = 'said-again' and clock = 'hand_over' order by started_at"""
    assert planted.rows(clocks) == [(at(10, 12), at(15, 12.1)), (at(15, 12), at(15, 12.1))]
    # Outcomes count from the first.
    query = "select level, valid_from from intermediate.int_episode_levels where subject_id = 'said-again'"
    assert planted.rows(query) == [("L3b", at(10, 12))]


def test_the_most_particular_rule_routes(planted: Planted) -> None:
    query = """select subject_id, routing_rule_id, to_role, to_team_id, routing_verdict from marts_a.escalations
        inner join intermediate.int_episodes using (episode_id) where subject_id in ('at-night', 'of-a-vip')
        order by 1"""
    assert planted.rows(query) == [
        ("at-night", "night", "control_group", "control", "not_yet"),
        ("of-a-vip", "vip", "retention_manager", "managers", "as_ruled"),
    ]


def test_exactly_one_rule_routes_every_escalation_and_a_rule_without_conditions_always_holds(planted: Planted) -> None:
    query = "select count(*) > 20, count(routing_rule_id) = count(*), count(*) = count(distinct escalation_id)"
    assert planted.row(f"{query} from intermediate.int_escalations") == (True, True, True)
    catch_all = """select count(*) from seeds.routing_rules where valid_from <= '2000-01-01' and valid_to is null
        and coalesce(level, segment, region_id, vendor, from_hour::text) is null"""
    assert planted.row(catch_all) == (1,)


def test_a_credit_over_the_limit_and_an_agent_without_certificate_are_found(planted: Planted) -> None:
    query = "select agent_id, lacking from marts_a.sensitive_without_authority where deed_id in ('dear', %s)"
    planted_deed = planted.row(
        "select ticket_event_id from intermediate.int_episode_owners where subject_id = 'without-authority'"
        " and agent_id = 'anna'"
    )
    assert sorted(planted.rows(query, *planted_deed)) == [("anna", "not_certified"), ("vera", "credit")]


def steps(planted: Planted, subject_id: str) -> dict[str, tuple[object, ...]]:
    """(status, counted, agent, team, vendor) of each step of a subject's threat."""
    query = """select step, status, is_counted, agent_id, team_id, vendor_id from marts_a.action_audit
        inner join intermediate.int_episodes using (episode_id) where subject_id = %s and scenario = 'threat'"""
    return {str(step): tuple(rest) for step, *rest in planted.rows(query, subject_id)}


def test_each_step_is_done_late_or_missing_and_a_machine_does_none(planted: Planted) -> None:
    vera, rover = ("vera", "control", None), ("rover", "theirs", "v1")
    found = steps(planted, "audited")
    assert {step: row[:2] for step, row in found.items()} == {
        "handover": ("done_in_time", True), "first_contact": ("missing", True), "diagnosis": ("done_late", True),
        "apology": ("done_in_time", True), "offer": ("missing", False), "follow_up": ("done_in_time", True),
    }  # fmt: skip
    assert (found["handover"][2:], found["diagnosis"][2:]) == (vera, rover)
    assert found["first_contact"][2:] == (None, "control", None)
    score = "select distinct case_due_steps, case_in_time_steps, audit_score from marts_a.action_audit"
    query = f"{score} inner join intermediate.int_episodes using (episode_id) where subject_id = 'audited'"
    assert planted.row(query) == (5, 3, 0.6)


def test_edge_57_a_step_is_of_the_team_and_vendor_of_then(planted: Planted) -> None:
    found = steps(planted, "audited")
    assert (found["diagnosis"][2:], found["follow_up"][2:]) == (("rover", "theirs", "v1"), ("rover", "others", "v2"))
    query = "select distinct agent_id, team_id, vendor_id from marts_a.promises where promise_id = 'edited'"
    assert planted.row(query) == ("rover", "theirs", "v1")


def test_edge_58_the_steps_of_a_deleted_agent_remain(planted: Planted) -> None:
    assert steps(planted, "kept-by-deleted")["diagnosis"] == ("done_in_time", True, "deleted", "control", None)


def test_who_was_reached_and_who_has_the_case_count_without_an_action(planted: Planted) -> None:
    """No retention action was written for these; the dial cut off after 0 seconds reached nobody."""
    found = {step: row[:3] for step, row in steps(planted, "late").items()}
    assert (found["handover"], found["first_contact"]) == (("done_in_time", True, "vera"), ("done_late", True, "vera"))


def test_an_action_after_churn_does_not_count_and_what_fell_due_after_it_was_not_asked(planted: Planted) -> None:
    found = {step: row[:2] for step, row in steps(planted, "left").items()}
    assert found == {
        "handover": ("done_in_time", True), "first_contact": ("missing", True), "diagnosis": ("done_in_time", True),
        "apology": ("after_churn", False), "offer": ("after_churn", False), "follow_up": ("after_churn", False),
    }  # fmt: skip


def test_a_promise_that_is_moved_is_broken_and_one_after_churn_does_not_count(planted: Planted) -> None:
    query = "select promise_id, status, is_after_churn, is_counted, is_mature, left_90d from marts_a.promises"
    assert {row[0]: row[1:] for row in planted.rows(query)} == {
        "kept": ("kept", False, True, True, False),
        "broken": ("broken", False, True, True, True),
        "edited": ("moved", False, True, True, False),
        "again": ("moved", False, True, True, False),
        "anew": ("kept", False, True, True, False),
        "left-first": ("broken", False, False, False, None),
        "to nobody": ("broken", True, False, False, None),
        "not due": ("open", False, False, False, None),
    }


def test_scores_are_of_what_fell_due_by_the_landmark_and_leaving_is_counted_from_it(planted: Planted) -> None:
    """Four old threats were there two days later, one of them left after 90 days; who left on the second is no case."""
    scored = read_scored(planted.conn, "intermediate")
    mature = scored[scored["is_mature"]]
    # In time: the hand-over. Missing: first contact, diagnosis, apology; the follow-up fell due later.
    assert (list(mature["band"]), int(mature["is_left"].sum())) == (["under_half"] * 4, 1)
    reviewed = read_reviewed(planted.conn, "intermediate")
    assert (list(reviewed["band"]), list(reviewed["is_left"])) == (["60_to_79"], [False])
    promises = read_promises(planted.conn, "intermediate")
    assert promises.groupby("outcome", observed=True)["is_left"].agg(["size", "sum"]).to_dict() == {
        "size": {"kept": 2, "broken": 3}, "sum": {"kept": 0, "broken": 1},
    }  # fmt: skip
    sums = read_principles(planted.conn, "intermediate", NIGHTS[1])
    honesty = sums[sums["principle"] == "honesty"]
    assert (honesty["events"].sum(), honesty["n"].sum(), set(honesty["vendor"])) == (2, 5, {"v1", "in_house"})


def test_the_bands_of_audit_scores_are_rebuilt_from_their_steps(planted: Planted) -> None:
    """Four old threats; their follow-up, due after the landmark, is in audit_score and not in the band's."""
    (found,) = rebuilt(planted, "metrics.md", "marts_a", "is_in_band_score")
    place = ("share_left_by_audit_crude", "audit_band", "under_half", 0)
    assert found == {place: (4, 1)}
    assert published(planted, "outcomes.retention_metrics")[place][0] == 4
    later = "select count(*) > 0 from marts_a.action_audit where is_counted and not is_in_band_score"
    assert planted.row(later) == (True,)


def test_who_left_after_a_promise_is_rebuilt_from_the_promises(planted: Planted) -> None:
    (found,) = rebuilt(planted, "metrics.md", "marts_a", "left_90d")
    kept, broken = (("churn_after_promise", "promise", member, 0) for member in ("kept", "broken"))
    assert found == {kept: (2, 0), broken: (3, 1)}
    told = published(planted, "outcomes.retention_metrics")
    assert (told[kept][0], told[broken][0]) == (2, 3)


def test_a_result_is_verified_by_the_customer_and_not_by_who_closed_it(planted: Planted) -> None:
    query = """select subject_id, verified_by, qa_score from intermediate.int_case_service
        inner join intermediate.int_episodes using (episode_id) where subject_id in ('promise-kept', 'promise-broken')
        order by 1"""
    assert planted.rows(query) == [("promise-broken", None, None), ("promise-kept", "customer_contact", 70)]


def test_edge_73_small_units_are_hidden_with_their_complement(planted: Planted) -> None:
    query = "select unit_kind, unit, n, numerator, refusal_reason from marts_a.service_principles"
    honesty = f"{query} where principle = 'honesty' order by unit_kind, unit"
    assert planted.rows(honesty)[0] == ("all", "all", 5, None, "small_cell")
    speed = f"{query} where principle = 'speed' and quarter_on = '2026-01-01' and refusal_reason is null"
    assert ("all", "all") in [row[:2] for row in planted.rows(speed)]
    hidden = (
        "select count(*) from marts_a.service_principles where principle = 'speed' and n < 10 and value is not null"
    )
    assert planted.row(hidden) == (0,)


def only(folder: Path, kind: str, names: tuple[str, ...]) -> Path:
    """A folder with some of the suites or laws."""
    (folder / kind).mkdir()
    for name in names:
        shutil.copy(EXPECTATIONS / kind / f"{name}.yml", folder / kind)
    return folder


def test_the_laws_hold(planted: Planted, tmp_path: Path) -> None:
    laws = only(tmp_path, "reconciliation", LAWS) / "reconciliation"
    assert len(reconcile(planted.dbt.project.dsn, planted.batch_id, laws, "marts_a").checks) == len(LAWS)


def test_the_allow_list_excuses_a_review_that_names_nobody(planted: Planted) -> None:
    query = "select level, allow_id from marts_a.risky_in_common_queue where is_allowed"
    assert planted.rows(query) == [("L3c", "reviews_wait_for_a_name")]


@pytest.mark.deep
def test_a_risky_case_in_the_queue_warns_without_stopping(planted: Planted, tmp_path: Path) -> None:
    suites = only(tmp_path, "marts", MARTS)
    verdict = run_gate(planted.dbt.project.dsn, "marts", planted.batch_id, suites, "marts_a")
    assert [(check.table, check.rows_failed) for check in verdict.warnings] == [("risky_in_common_queue", 5)]
