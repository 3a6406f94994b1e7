"""Closings are read as codes, not as words: a row of them must stay small."""

import tracemalloc

import pytest

from conftest import Warehouse
from retention.outcomes.closings import BREAKDOWNS, read_closings

ROWS = 100_000
BYTES_A_ROW = 300


def test_a_closing_takes_a_few_bytes(warehouse: Warehouse) -> None:
    """Lists of words took 460 bytes a row; a chunk of the cursor is in the peak, too."""
    conn = warehouse.connect()
    with conn, conn.cursor() as cur:
        cur.execute(
            """create table intermediate.int_episode_closings as
            select 'e' || i as episode_id, 's' || i as subscription_id, null::text as party_id,
                case when i %% 3 > 0 then 'L3a' end as level, null::text as segment, 'team ' || i %% 40 as team_id,
                case when i %% 2 = 0 then 'vendor' end as vendor_id,
                case when i %% 2 = 0 then 'outsourced' else 'in_house' end as sourcing,
                i %% 10 = 0 as is_lost, true as is_mature, i > 1 as is_index
            from generate_series(1, %s) as i""",
            (ROWS,),
        )
    tracemalloc.start()
    try:
        closings = read_closings(conn, "intermediate")
        (_, peak) = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        conn.close()
    assert peak < BYTES_A_ROW * ROWS, f"{peak / ROWS:.0f} bytes a row"
    assert len(closings) == ROWS - 1
    assert {name: closings[name].nunique() for name in ("level", "segment", *BREAKDOWNS)} == {
        "level": 2, "segment": 1, "team": 40, "vendor": 2, "sourcing": 2,
    }  # fmt: skip
    assert closings["is_lost"].mean() == pytest.approx(0.1, abs=1e-4)
