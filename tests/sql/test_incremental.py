"""Nights of increments equal a full refresh, by hash, whatever the sources do."""

import pytest
from mischief import Mischief
from planting import Planted, differing

from conftest import Warehouse

#: Day of as_of and share of the keys that the night's loads bring: first nearly everything, then less and less, so that
#: what has to be recomputed is not recomputed by accident.
NIGHTS = ((100, 0.9), (100.5, 0.2), (103, 0.1), (115, 0.04))
SOAK_SEEDS = range(22, 25)


@pytest.mark.parametrize("seed", [21, *(pytest.param(seed, marks=pytest.mark.soak) for seed in SOAK_SEEDS)])
def test_incremental_nights_equal_a_full_refresh(
    warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    conn = warehouse.connect("etl")
    planted = Planted(warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    mischief = Mischief(planted, seed)
    for day, share in NIGHTS:
        mischief.night(day, share)
    night_by_night = planted.hashes()
    # Quarantine is at work: versions are out, some have come back.
    query = "select count(*) filter (where is_set_aside), count(*) filter (where is_changed) from ops.set_aside"
    assert 0 not in planted.row(query)
    planted.refresh()
    assert differing(night_by_night, planted.hashes()) == []
    assert night_by_night["int_episodes"][0] > 10
    conn.close()
