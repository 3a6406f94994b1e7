"""Every DAG imports, is documented, owned, tagged, small and quick to parse; the gate itself is shown to fail."""

import re
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from dag_gate import Report, faults, parse

from retention import tasks
from retention.extract import DeletesRefusedError, DriftError, ExtractError, ReconciliationError

PROJECT = Path(__file__).resolve().parents[2]
BAD_DAGS = {
    "broken.py": "from airflow.sdk import dag\nimport nothing_of_that_name  # dag\n",
    "empty.py": '"""No dag of airflow in here."""\n',
    "bare.py": """
from airflow.sdk import dag, task

@dag(schedule=None)
def other_name():
    @task
    def nothing():
        pass
    nothing()

other_name()
"""
    + "\n" * 60,
    "slow.py": """
import time
from airflow.sdk import dag, task
until = time.process_time() + 1.2
while time.process_time() < until:
    pass

@dag(schedule=None, doc_md="Slow.", tags=["x"], default_args={"owner": "me"})
def slow():
    @task
    def nothing():
        pass
    nothing()

slow()
""",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return parse(PROJECT / "dags", tmp_path_factory.mktemp("airflow"))


def test_every_dag_is_in_order(report: Report) -> None:
    assert faults(report.files) == []
    assert {"nightly", "escalations", "upkeep"} <= {str(dag["id"]) for file in report.files for dag in file.dags}


def test_the_gate_fails_on_planted_faults(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    for name, text in BAD_DAGS.items():
        (folder / name).write_text(text)
    found = faults(parse(folder, tmp_path / "airflow").files)
    for expected in (
        "broken.py: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        "empty.py: no DAG in it",
        "bare.py: DAG other_name is not named as its file",
        "bare.py: no doc",
        "bare.py: no tags",
        "bare.py: no owner",
        "bare.py: 7",
        "slow.py: 1.",
    ):
        assert any(fault.startswith(expected) for fault in found), (expected, found)


def test_a_folder_without_dags_fails() -> None:
    assert faults([]) == ["no DAG was found at all"]


def test_the_nightly_dag_and_the_plain_night_have_the_same_steps() -> None:
    from retention.night import STEPS

    text = (PROJECT / "dags" / "nightly.py").read_text()
    wired = [name for name in re.findall(r"tasks\.(\w+)", text) if name in STEPS]
    assert tuple(wired) == STEPS


def test_airflow_takes_nothing_of_the_package_for_a_plugin(report: Report) -> None:
    assert report.plugins <= {"ui.py"}


@pytest.mark.parametrize("refused", [DriftError, DeletesRefusedError, ReconciliationError])
def test_a_refused_source_is_not_read_again_by_a_retry(refused: type[ExtractError]) -> None:
    with pytest.raises(AirflowFailException, match=r"^crm\.plans: half is gone$"), tasks._refusals_are_final():
        raise refused("crm.plans: half is gone")
    with pytest.raises(ExtractError), tasks._refusals_are_final():
        raise ExtractError("crm.plans: the server is away, and may be back")


def test_the_ten_minute_run_tells_when_it_fails() -> None:
    text = (PROJECT / "dags" / "escalations.py").read_text()
    assert '"on_failure_callback": tasks.escalations_failed' in text
    assert 'CronDataIntervalTimetable("*/10 * * * *"' in text


def test_upkeep_tells_when_it_fails() -> None:
    assert '"on_failure_callback": tasks.upkeep_failed' in (PROJECT / "dags" / "upkeep.py").read_text()
