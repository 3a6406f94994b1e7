"""Three nights of a small simulated operator: reruns change nothing, increments equal a full refresh, rebuilds equal
what was published."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from conftest import Warehouse
from harness import NightSpec, as_of_after, hashes, scalar, simulate
from retention.night import STEPS
from retention.rebuild import rebuild
from retention.simulator.run import forward
from retention.transform import Dbt, Project

DAYS = 130
LAYERS = ("staging", "intermediate", "outcomes", "marts")
#: Batches of the nights; those between are ten-minute runs.
NIGHTS = (1, 3, 4)


@pytest.fixture(scope="module")
def operator(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> NightSpec:
    """Three published nights a day apart; ten-minute runs loaded before the second and beside the third."""
    work = tmp_path_factory.mktemp("operator")
    spec = simulate(shared_warehouse, work, subscribers=500, days=DAYS, seed=11)
    spec.night("night 1").run(as_of_after(DAYS))
    forward(spec.sources["crm"], spec.sources["helpdesk"], work)
    spec.short_run().run(as_of_after(DAYS + 1) - timedelta(minutes=10))
    spec.night("night 2").run(as_of_after(DAYS + 1))
    forward(spec.sources["crm"], spec.sources["helpdesk"], work)
    # Opened after the night, it loads between the night's own tables; the night has it all when its gate begins.
    night = spec.night("night 3")
    night.open(as_of_after(DAYS + 2))
    spec.short_run().run(as_of_after(DAYS + 2))
    night.run(as_of_after(DAYS + 2))
    return spec


def test_each_night_is_published_once_and_the_last_is_live(operator: NightSpec) -> None:
    assert scalar(operator.etl_dsn, "select count(*) from ops.batches where state = 'published'") == 3
    assert scalar(operator.etl_dsn, "select batch_id from ops.slots where state = 'live'") == NIGHTS[-1]
    assert scalar(operator.etl_dsn, "select count(*) from marts.fct_complaint_episodes") != 0


def test_the_second_night_appends_only_what_changed(operator: NightSpec) -> None:
    appended = "select sum(rows_appended) from ops.loads where batch_id = %s"
    first, second = (float(str(scalar(operator.etl_dsn, appended, batch))) for batch in NIGHTS[:2])
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
    for batch in NIGHTS:
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


def test_the_state_of_ten_minute_runs_is_that_of_the_night(operator: NightSpec) -> None:
    """The same models from the same loads, built in other increments."""
    operator.short_run().run(as_of_after(DAYS + 2) + timedelta(seconds=1))
    nightly = hashes(operator.etl_dsn, "staging", "intermediate")
    live = hashes(operator.etl_dsn, "live_staging", "live_intermediate")
    assert len(live) > 25
    assert {name: nightly[name.removeprefix("live_")] for name in live} == live
    # What is open, young enough and not in contact is in the outbox, whoever put it there; by day it was sent before.
    due = """
        select count(*), count(*) filter (where exists (
            select from ops.handovers as outbox where rises.escalation_id = outbox.escalation_id
                -- Late data renames episodes: the same evidence is in the outbox under the former name.
                or (rises.subject_id, rises.level, rises.rule_version)
                    = (outbox.subject_id, outbox.level, outbox.rule_version)
        ))
        from intermediate.int_escalations as rises
        where rises.closed_at is null and rises.first_contact_at is null and rises.known_at < %(at)s
            and greatest(rises.triggered_at, rises.known_at) >= %(at)s - interval '72 hours'
    """
    with closing(psycopg2.connect(operator.etl_dsn)) as conn, conn.cursor() as cur:
        cur.execute(due, {"at": as_of_after(DAYS + 2)})
        ((rises, handed),) = cur.fetchall()
    # An operator as small as this one may have none: test_escalations_run.py plants them.
    assert rises == handed


@pytest.mark.parametrize("batch", NIGHTS)
def test_a_rebuild_of_a_night_equals_what_was_published(operator: NightSpec, batch: int) -> None:
    night = operator.night()
    comparison = rebuild(night.etl_dsn, night.project, night.work, batch)
    assert comparison.differing == ()
    assert comparison.compared > 5
