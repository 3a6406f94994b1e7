"""Three nights of a small simulated operator: reruns change nothing, increments equal a full refresh, rebuilds equal
what was published."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Warehouse
from harness import NightSpec, as_of_after, hashes, scalar, simulate
from retention.night import STEPS
from retention.rebuild import rebuild
from retention.simulator.run import forward
from retention.transform import Dbt, Project

DAYS = 130
LAYERS = ("staging", "intermediate", "outcomes", "marts")


@pytest.fixture(scope="module")
def operator(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> NightSpec:
    """Three published nights; the operator moved on a day between them."""
    work = tmp_path_factory.mktemp("operator")
    spec = simulate(shared_warehouse, work, subscribers=500, days=DAYS, seed=11)
    spec.night("night 1").run(as_of_after(DAYS))
    for day in (1, 2):
        forward(spec.sources["crm"], spec.sources["helpdesk"], work)
        spec.night(f"night {day + 1}").run(as_of_after(DAYS + day))
    return spec


def test_each_night_is_published_once_and_the_last_is_live(operator: NightSpec) -> None:
    assert scalar(operator.etl_dsn, "select count(*) from ops.batches where state = 'published'") == 3
    assert scalar(operator.etl_dsn, "select batch_id from ops.slots where state = 'live'") == 3
    assert scalar(operator.etl_dsn, "select count(*) from marts.fct_complaint_episodes") != 0


def test_the_second_night_appends_only_what_changed(operator: NightSpec) -> None:
    appended = "select sum(rows_appended) from ops.loads where batch_id = %s"
    first, second = (float(str(scalar(operator.etl_dsn, appended, batch))) for batch in (1, 2))
    assert 0 < second < first / 10


@pytest.mark.parametrize("step", ["extract helpdesk.contacts", *STEPS[1:]])
def test_rerunning_a_task_of_a_finished_night_changes_nothing(operator: NightSpec, step: str) -> None:
    def state() -> object:
        books = "select (select count(*) from ops.loads), (select count(*) from ops.publications)"
        return hashes(operator.etl_dsn, *LAYERS), scalar(operator.etl_dsn, books)

    before = state()
    night = operator.night("cleared by hand")
    run: Callable[[int], object] = (
        (lambda batch: night.extract(batch, step.removeprefix("extract ")))
        if step.startswith("extract ")
        else getattr(night, step)
    )
    for batch in (1, 2, 3):
        run(batch)
    assert state() == before


def test_incremental_nights_equal_a_full_refresh(operator: NightSpec, tmp_path: Path) -> None:
    project = operator.night().project / "dbt_project"
    refresh = Project(project, tmp_path, operator.etl_dsn, schema_prefix="refreshed_")
    Dbt(refresh).build_models(("staging", "intermediate"), {})

    def contents(prefix: str) -> dict[str, tuple[int, str]]:
        found = hashes(operator.etl_dsn, f"{prefix}staging", f"{prefix}intermediate")
        # The work lists of tonight are not state: a full refresh touches everything.
        return {name.removeprefix(prefix): value for name, value in found.items() if not name.endswith("touched")}

    night_by_night = contents("")
    assert sum(rows for rows, _ in night_by_night.values()) > 5_000
    assert contents("refreshed_") == night_by_night


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_rebuild_of_a_night_equals_what_was_published(operator: NightSpec, batch: int) -> None:
    night = operator.night()
    comparison = rebuild(night.etl_dsn, night.project, night.work, batch)
    assert comparison.differing == ()
    assert comparison.compared > 5
