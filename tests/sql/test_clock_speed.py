"""A next night costs the clocks that it touches, and a cumulative calendar less than schedules expanded."""

import sys
from pathlib import Path

import pytest
from planting import Planted

from conftest import Warehouse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))


@pytest.mark.soak
def test_a_next_night_costs_a_fraction(warehouse: Warehouse, tmp_path: Path) -> None:
    import bench_clocks

    conn = warehouse.connect("etl")
    planted = Planted(warehouse.dsn("etl"), conn, tmp_path)
    bench_clocks.plant(warehouse.connect("postgres"), planted, 10_000)
    # It raises when the expansion of schedules finds other values.
    everything, next_night, fewer, expanded = bench_clocks.measure(planted, 10_000)
    conn.close()
    assert everything.clocks == 100_000
    assert next_night.seconds / everything.seconds < 0.2
    assert fewer.seconds / expanded.seconds < 0.5
