"""What subscribers say when asked, and why the helpdesk counts otherwise: the edge cases of surveys, planted."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from planting import PROJECT, Planted
from scenarios import Book
from survey_scenarios import AS_OF, february, only_good_calls, opinions

from conftest import Warehouse
from retention.outcomes.track import track_outcomes
from retention.quality.gate import run_gate
from retention.quality.reconcile import reconcile
from retention.quality.verdict import GateFailed

EXPECTATIONS = PROJECT.parent / "expectations"
MARTS = ("fct_surveys", "survey_gaps", "why_different", "fct_contacts", "fct_tickets", "fct_complaint_episodes")
LAWS = ("surveys_in_marts", "differences_add_up")


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """One night, its outcomes, and its marts in marts_a."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    book = Book()
    for scenario in (opinions, only_good_calls, february):
        scenario(book)
    warehouse.open(AS_OF)
    for table, rows in book.rows.items():
        warehouse.load(table, rows, watermark_to=AS_OF)
    warehouse.transform()
    track_outcomes(conn, AS_OF, warehouse.batch_id)
    project = warehouse.dbt.project
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment().items():
            patch.setenv(name, value)
        folders = ["--project-dir", project.folder, "--profiles-dir", project.folder, "--target-path", project.target]
        arguments = ["--quiet", "run", "--select", *MARTS, *map(str, folders)]
        assert dbtRunner(manifest=warehouse.dbt.manifest).invoke(arguments).success
    yield warehouse
    conn.close()


def survey(planted: Planted, name: str, columns: str) -> tuple[object, ...]:
    """Columns of one invitation in fct_surveys."""
    return planted.row(f"select {columns} from marts_a.fct_surveys where invitation_id = %s", name)


def status(planted: Planted, name: str) -> tuple[object, ...]:
    return survey(planted, name, "answer_status, rejected_because, score")


def test_edge_63_answered_twice_the_first_valid_counts_and_both_are_stored(planted: Planted) -> None:
    assert survey(planted, "twice", "answer_status, score, response_count") == ("answered", 4, 2)
    assert survey(planted, "wrong-then-right", "answer_status, score, response_count") == ("answered", 8, 2)
    stored = "select count(*) from staging.stg_vendor__survey_responses where invitation_id = %s"
    assert planted.row(stored, "twice") == (2,)


def test_edge_64_an_answer_after_churn_known_at_invitation_is_excluded(planted: Planted) -> None:
    for name in ("left-before", "leaves-tomorrow", "died-before"):
        assert survey(planted, name, "answer_status, is_counted") == ("churn_known_at_invitation", False), name
    # Who leaves later, was back by then, or had left without anybody knowing, has an opinion like everybody else.
    for name in ("leaves-after", "back-in-time", "unknown-then"):
        assert survey(planted, name, "answer_status, is_counted") == ("answered", True), name


def test_edge_65_an_eleven_is_rejected_and_a_reversed_scale_turned_round(planted: Planted) -> None:
    assert status(planted, "eleven") == ("rejected", "off_scale", None)
    assert status(planted, "scale-unknown") == ("rejected", "scale_unknown", None)
    assert survey(planted, "reversed", "score, normalised_score, is_satisfied") == (1, 5, True)
    assert survey(planted, "reversed-bad", "score, normalised_score, is_satisfied") == (5, 1, False)


def test_edge_66_no_response_has_no_score(planted: Planted) -> None:
    columns = "answer_status, is_counted, score, is_satisfied, nps_group, response_count"
    assert survey(planted, "no-answer", columns) == ("no_answer", True, None, None, None, 0)


def test_edge_10_a_survey_about_a_relatives_call_is_flagged_and_no_opinion_of_the_owner(planted: Planted) -> None:
    assert survey(planted, "relative", "is_on_behalf, answer_status, is_counted") == (True, "on_behalf", False)


def test_edge_67_surveys_only_after_good_calls_are_an_alarm(planted: Planted) -> None:
    query = """select good_invited, good_n, bad_invited, bad_n, is_alarm from marts_a.survey_gaps
        where (good_sign, vendor) = (%s, %s)"""
    # Of the open cases those of January were asked about, and one of March.
    assert planted.row(query, "resolved", "v1") == (19, 24, 19, 44, True)


@pytest.mark.deep
def test_they_warn_of_what_makes_a_score_worth_less(planted: Planted, tmp_path: Path) -> None:
    (tmp_path / "marts").mkdir()
    for mart in ("fct_surveys", "survey_gaps", "why_different"):
        shutil.copy(EXPECTATIONS / "marts" / f"{mart}.yml", tmp_path / "marts")
    verdict = run_gate(planted.dsn, "marts", planted.batch_id, tmp_path, "marts_a")
    columns = ("rejected_because", "is_on_behalf", "is_alarm")
    assert {check.name: check.rows_failed for check in verdict.warnings} == {
        f"expect_column_values_to_be_in_set({column})": failed
        for column, failed in zip(columns, (1, 1, 2), strict=True)
    }


def test_answers_count_for_72_hours(planted: Planted) -> None:
    assert status(planted, "in-time") == ("answered", None, 9)
    assert status(planted, "too-late") == ("rejected", "late", None)
    assert status(planted, "undelivered") == ("not_delivered", "not_delivered", None)
    assert status(planted, "still-open") == ("window_open", None, None)
    assert survey(planted, "in-time", "nps_group") == ("promoter",)
    assert survey(planted, "wrong-then-right", "nps_group") == ("passive",)
    assert survey(planted, "detractor", "nps_group") == ("detractor",)


def test_whom_and_what_a_survey_asks_about(planted: Planted) -> None:
    columns = "contact_id, level, team_id, sourcing, subscription_id"
    assert survey(planted, "twice", columns) == ("twice", "L1", "theirs", "outsourced", "twice")
    assert survey(planted, "named", columns) == ("named call", "L1", "ours", "in_house", "named")
    assert survey(planted, "question", columns) == ("question", "L0", "ours", "in_house", "named")
    assert survey(planted, "anybody", columns) == (None, None, None, "unknown", "anybody")


def test_who_left_is_known_of_those_who_did_not_answer_too(planted: Planted) -> None:
    names = ("no-answer", "leaves-after", "left-before", "still-open")
    assert [survey(planted, name, "status_90d")[0] for name in names] == [
        "stayed", "left", "left_before", "not_yet_known"
    ]  # fmt: skip
    gone = "select is_gone_when_window_ends, churned_at from intermediate.int_survey_answers where invitation_id = %s"
    assert planted.rows(gone, "still-open") == planted.rows(gone, "detractor") == [(False, None)]


def steps(planted: Planted, measure: str, month: date) -> dict[object, object]:
    query = "select reason, step_count from marts_a.why_different where measure = %s and month_on = %s"
    return {reason: count for reason, count in planted.rows(query, measure, month) if count}


def test_why_the_helpdesk_counts_other_complaints(planted: Planted) -> None:
    assert steps(planted, "complaints", date(2026, 2, 1)) == {
        "helpdesk_says": 17, "test": -1, "staff": -1, "spam": -1, "not_a_complaint": -1, "merged": -1,
        "within_open_complaint": -1, "no_complaint_contact": -1, "complaint_of_another_month": -1,
        "further_complaint_of_ticket": 1, "contact_without_ticket": 1, "public_review": 1, "nobody_known": -1,
        "we_say": 11,
    }  # fmt: skip
    assert steps(planted, "complaints", date(2026, 3, 1))["ticket_of_another_month"] == 1


def test_why_the_helpdesk_solved_more(planted: Planted) -> None:
    assert steps(planted, "solved", date(2026, 2, 1)) == {
        "helpdesk_says": 8, "staff": -1, "not_a_complaint": -1, "nobody_known": -1, "reopened": -1, "came_back": -1,
        "left": -1, "ended_by_operator": -1, "we_say": 1,
    }  # fmt: skip


def test_the_laws_hold_and_fail_on_a_planted_fault(planted: Planted, tmp_path: Path) -> None:
    for law in LAWS:
        shutil.copy(EXPECTATIONS / "reconciliation" / f"{law}.yml", tmp_path)
    assert reconcile(planted.dsn, planted.batch_id, tmp_path, "marts_a").critical_failures == ()
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute("update marts_a.why_different set step_count = step_count + 1 where reason = 'left'")
        cur.execute("update marts_a.fct_surveys set response_count = 1 where invitation_id = 'twice'")
    with pytest.raises(GateFailed) as failure:
        reconcile(planted.dsn, planted.batch_id, tmp_path, "marts_a")
    assert all(f"{law} failed" in str(failure.value) for law in LAWS)
