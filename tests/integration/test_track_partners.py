"""Partners and firefighters through the step and its tables: the planted paradox of DEFINITIONS 8, and what is kept."""

from datetime import timedelta

import pytest
from outcomes_kit import AS_OF, POLICY, START, plant, rows

from retention.outcomes.track import track_outcomes

#: In-house 10 of 200 easy cases and 160 of 800 hard ones left, at the vendor 48 of 800 and 44 of 200. Two cases that
#: nobody was assigned are too few to show, and hide no partner.
CASES = """
insert into {schema}.int_cases_assigned
select
    sourcing || priority || i, 's' || i, sourcing || priority || i, date '2025-01-01', 'L1', 'mass', 'postpaid',
    priority, sourcing, case when sourcing = 'outsourced' then 'v1' end, team, team || mod(i, 4), 'L1', false,
    %(start)s, case when i <= gone then %(start)s::timestamptz + interval '10 days' end, null, %(until)s, 100
from (values
    ('in_house', 't1', 'low', 200, 10), ('in_house', 't1', 'high', 800, 160),
    ('outsourced', 't2', 'low', 800, 48), ('outsourced', 't2', 'high', 200, 44), ('unknown', null, 'low', 2, 1)
) as v (sourcing, team, priority, n, gone)
cross join lateral generate_series(1, n) as i
"""


@pytest.fixture
def conn(warehouse):
    connection = warehouse.connect("etl")
    with connection, connection.cursor() as cur:
        cur.execute(POLICY)
    plant(connection)
    with connection, connection.cursor() as cur:
        planted = {"start": START, "until": START + timedelta(days=200)}
        cur.execute(CASES.format(schema="intermediate"), planted)
    yield connection
    connection.close()


def test_the_vendor_with_the_easier_cases_is_not_declared_better(conn):
    track_outcomes(conn, AS_OF, 1)
    query = (
        "select unit, n, left_count, round(crude_share::numeric, 6), round(standardised_share::numeric, 6),"
        " round(reference_share::numeric, 6), verdict, dropped_share from outcomes.partners"
        " where (period, use_case, horizon_days) = ('all', 'all', 90) and unit_kind <> 'team' order by unit"
    )
    found = [tuple(map(str, row)) for row in rows(conn, query)]
    vendor = ("1000", "92", "0.092000", "0.140000", "0.125000", "no_difference_shown", "0.0")
    assert found == [
        ("in_house", "1000", "170", "0.170000", "None", "None", "reference", "None"),
        ("outsourced", *vendor),
        ("v1", *vendor),
    ]
    agents = rows(conn, "select count(*), count(*) filter (where reading = 'as_expected') from outcomes.firefighters"
                        " where unit_kind = 'agent'")  # fmt: skip
    assert agents == [(8, 8)]


def test_only_the_latest_run_is_kept_and_a_second_one_is_the_same(conn):
    everything = "select * from outcomes.{} order by 3, 4, 5, 6, 7"
    track_outcomes(conn, AS_OF, 1)
    first = [rows(conn, everything.format(table)) for table in ("partners", "firefighters")]
    assert all(first)
    track_outcomes(conn, AS_OF, 1)
    assert [rows(conn, everything.format(table)) for table in ("partners", "firefighters")] == first
    track_outcomes(conn, AS_OF + timedelta(days=1), 2)
    batches = (
        "select distinct batch_id from outcomes.partners union select distinct batch_id from outcomes.firefighters"
    )
    assert rows(conn, batches) == [(2,)]


@pytest.mark.parametrize("output", ["partners", "firefighters"])
def test_without_its_least_n_it_stops(conn, output):
    with conn, conn.cursor() as cur:
        cur.execute("delete from seeds.small_cells where output = %s", (output,))
    with pytest.raises(ValueError, match=f"rows for output {output}"):
        track_outcomes(conn, AS_OF, 1)
