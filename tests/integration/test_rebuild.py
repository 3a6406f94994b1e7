"""A rebuild finds what is not as it was published, says where, and leaves nothing behind.

That it equals a night nobody tampered with is in test_nights.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import Warehouse
from harness import prepare, scalar
from retention import publish
from retention.mart_views import is_private
from retention.rebuild import Comparison, MartComparison, RebuildError, rebuild

AS_OF = datetime(2026, 2, 4, 23, tzinfo=UTC)
SCRATCH = "select count(*) from pg_namespace where nspname like 'rebuild%%'"


@pytest.mark.deep
def test_a_changed_past_is_found_by_name(shared_warehouse: Warehouse, tmp_path: Path) -> None:
    """A night of an empty operator is published; then somebody writes a subscription into its loads."""
    spec = prepare(shared_warehouse, tmp_path, {}, "simulator")
    night = spec.night()
    batch_id = night.open(AS_OF)
    with pytest.raises(RebuildError, match=f"batch {batch_id} was never published"):
        rebuild(night.etl_dsn, night.project, night.work, batch_id)
    for step in (night.transform, night.track_outcomes, night.build_marts):
        step(batch_id)
    publisher = shared_warehouse.connect("publisher")
    publish.mark_checked(publisher, publish.building_slot(publisher, batch_id), batch_id)
    published = publish.publish(publisher, batch_id)
    publisher.close()
    etl = shared_warehouse.connect("etl")
    with etl, etl.cursor() as cur:
        cur.execute(
            """
            insert into ops.loads (load_id, batch_id, table_name, rows_read, rows_appended, keys_new, keys_deleted,
                rows_rejected, live_keys, contract_hash, reader, seconds)
            values (1000, %s, 'crm.subscriptions', 1, 1, 1, 0, 0, 1, '', 'test', 0);
            insert into ops.load_consumption values (1000, %s);
            insert into raw.crm__subscriptions
                (subscription_id, party_id, product, activated_at, updated_at, _load_id, _op)
            values ('s1', 'p1', 'prepaid', '2025-01-01Z', '2025-01-01Z', 1000, 'u')
            """,
            (batch_id, batch_id),
        )
    with pytest.raises(RebuildError) as found:
        night.rebuild(AS_OF)
    assert str(found.value) == (
        f"batch {batch_id} (as of 2026-02-04T23:00:00+00:00) rebuilt: different in dim_subscription "
        "(0 rows published, 1 rows rebuilt); code and seeds are the same as then. What is published was not touched. "
        "See docs/runbooks/backfill.md"
    )
    assert scalar(spec.etl_dsn, "select marts_differing from ops.rebuilds") == ["dim_subscription"]
    public = [mart for mart in published.marts if not is_private(mart.mart)]
    assert scalar(spec.etl_dsn, "select marts_compared from ops.rebuilds") == len(public)
    booked = "select message from ops.failures where step = 'rebuild'"
    assert scalar(spec.etl_dsn, booked) == f"RebuildError: {found.value}"
    assert scalar(spec.etl_dsn, SCRATCH) == 0
    assert scalar(spec.etl_dsn, "select count(*) from marts.dim_subscription") == 0

    with etl, etl.cursor() as cur:
        cur.execute("delete from raw.crm__subscriptions")
    comparison = night.rebuild(AS_OF)
    assert comparison is not None
    assert comparison.differing == ()
    assert scalar(spec.etl_dsn, booked) is None
    assert night.rebuild(AS_OF - timedelta(days=1)) is None

    with etl, etl.cursor() as cur:
        cur.execute("select pg_advisory_lock(hashtext('retention rebuild'), %s)", (batch_id,))
    with pytest.raises(RebuildError, match="is being rebuilt by somebody else"):
        rebuild(night.etl_dsn, night.project, night.work, batch_id)
    etl.close()


def test_the_message_says_what_may_explain_a_difference() -> None:
    gone = MartComparison("gone", (3, "7"), None)
    same = MartComparison("same", (3, "7"), (3, "7"))
    comparison = Comparison(4, AS_OF, is_same_code=False, is_same_seeds=False, marts=(gone, same))
    assert comparison.differing == (gone,)
    assert str(comparison).endswith("different in gone (3 rows published, not rebuilt); changed since: code and seeds")
    assert str(Comparison(4, AS_OF, True, True, (same,))).endswith("rebuilt: all 1 marts equal what was published")
