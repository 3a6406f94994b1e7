"""Nights at once: the lease lets one stage work at a time, who must not go on is told, and the end is the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_kit import LAYERS, NIGHT_1, NIGHT_2, NIGHT_3, Mould, Reader, Site, exit_code

from harness import hashes, scalar

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

#: What a run may be told whose work another has gone past or is doing again; it ends there.
REFUSALS = re.compile(
    r"PublishRefused: batch \d is checked in no slot|PublishRefused: no slot holds marts of batch \d to check"
    r"|PublishRefused: marts_[ab] is \w+ for batch \d, not for batch \d: not marked as checked"
    r"|BatchError: batch \d .* was left unfinished and the night of .* has consumed its loads"
)
RUNS = {"night 2": NIGHT_2, "night 2 by hand": NIGHT_2, "night 3": NIGHT_3}


@pytest.fixture(scope="module")
def site(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with mould.cast(tmp_path_factory.mktemp("two")) as site:
        yield site


def test_one_night_run_twice_and_the_next_one_all_at_once(mould: Mould, site: Site, tmp_path: Path) -> None:
    """Three runs that know nothing of each other take turns, stage by stage."""
    spec = site.clone("night_1", "crowded")
    # In their order: the books number them, and the runs may come in any.
    for as_of in (NIGHT_2, NIGHT_3):
        spec.night().open(as_of)
    logs = {run: tmp_path / f"{run}.log" for run in RUNS}
    with Reader(site.warehouse("crowded").dsn("bi_reader")) as reader:
        runs = [spec.start_in_a_process(as_of, "extract", logs[run], run, 400) for run, as_of in RUNS.items()]
        ended = dict(zip(RUNS, [exit_code(process, 600) for process in runs], strict=True))
    said = {run: log.read_text()[-2000:] for run, log in logs.items()}
    # The latest night is nobody's past.
    assert ended.pop("night 3") == 0, said["night 3"]
    assert all(code == 0 or REFUSALS.search(said[run]) for run, code in ended.items()), said

    night_of = "select as_of from ops.batches where batch_id = %s"
    seen = [{scalar(spec.etl_dsn, night_of, batch) for batch in batches} for batches in reader.seen]
    assert reader.failure is None
    assert all(nights in ({NIGHT_1}, {NIGHT_2}, {NIGHT_3}) for nights in seen), seen
    loads = "select max(n) from (select count(*) as n from ops.loads group by batch_id, table_name) as loads"
    assert scalar(spec.etl_dsn, loads) == 1
    assert scalar(spec.etl_dsn, "select count(*) from ops.lease_holds") == 0
    is_whole = scalar(spec.etl_dsn, "select count(*) = 0 from ops.batches where state <> 'published'")
    # A night that was refused has no metrics of its own; what is known of the subscribers is the same.
    layers = LAYERS if is_whole else ("staging", "intermediate")
    undisturbed = {name: one for name, one in mould.hashes[2].items() if name.startswith(layers)}
    assert hashes(spec.etl_dsn, *layers) == undisturbed
