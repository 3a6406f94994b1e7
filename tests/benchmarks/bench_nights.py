"""First load and next night of the simulated operator, by step: seconds, rows, peak memory of the step's process.

python tests/benchmarks/bench_nights.py 10000 100000
"""

import multiprocessing
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import create_roles, create_warehouse
from harness import NightSpec, as_of_after, simulate
from retention.local.postgres import Cluster
from retention.night import STEPS
from retention.simulator.run import forward

DAYS = 400


@dataclass(frozen=True)
class StepCost:
    """What one step of one night cost."""

    subscribers: int
    night: str
    step: str
    rows: int
    seconds: float
    peak_mb: float


def peak_mb() -> float:
    """Peak resident memory of this process, MB; getrusage would count the parent's at the fork."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024  # type: ignore[index]


def _in_a_process(
    spec: NightSpec, batch_id: int, step: str, answer: "multiprocessing.connection.Connection[object, object]"
) -> None:
    night = spec.night("bench")
    if step == "extract":
        rows = sum(night.extract(batch_id, table) for table in night.supplied_tables())
    else:
        getattr(night, step)(batch_id)
        rows = 0
    answer.send((rows, peak_mb()))


def run_night(spec: NightSpec, subscribers: int, name: str, days: int) -> list[StepCost]:
    """Run one night, each step in a fresh process as Airflow does, and return what each cost."""
    batch_id = spec.night("bench").open(as_of_after(days))
    context = multiprocessing.get_context("spawn")
    costs = []
    for step in STEPS:
        receiver, sender = context.Pipe(duplex=False)
        started = time.perf_counter()
        process = context.Process(target=_in_a_process, args=(spec, batch_id, step, sender))
        process.start()
        process.join()
        seconds = time.perf_counter() - started
        if process.exitcode != 0:
            raise RuntimeError(f"{step} of the {name} at {subscribers} subscribers failed: see above")
        rows, peak = receiver.recv()
        costs.append(StepCost(subscribers, name, step, rows, seconds, peak))
        print(f"{subscribers:>9,} {name:<11} {step:<15} {rows:>11,} rows {seconds:7.1f} s {peak:6.0f} MB", flush=True)
    return costs


def run(sizes: list[int]) -> list[StepCost]:
    """Measure every size: simulate, first load, a day on, next night."""
    folder = Path(tempfile.mkdtemp(prefix="retention-bench-"))
    folder.chmod(0o755)
    cluster = Cluster(folder / "pg").start()
    costs = []
    try:
        roles = create_roles(cluster)
        for size in sizes:
            work = folder / str(size)
            spec = simulate(create_warehouse(cluster, roles), work, size, DAYS, seed=1)
            costs += run_night(spec, size, "first load", DAYS)
            forward(spec.sources["crm"], spec.sources["helpdesk"], work)
            costs += run_night(spec, size, "next night", DAYS + 1)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder)
    return costs


if __name__ == "__main__":
    run([int(size) for size in sys.argv[1:]] or [10_000, 100_000])
