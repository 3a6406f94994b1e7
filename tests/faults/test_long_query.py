"""A long BI query during the night's publish: publish waits for it, or gives up naming it, and a rerun goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing

import pytest
from fault_kit import LAYERS, NIGHT_2, Mould, Site, run

from harness import hashes, scalar
from retention import publish

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with mould.cast(tmp_path_factory.mktemp("query")) as site:
        yield site


def test_publish_waits_for_a_query_and_then_shows_the_night(mould: Mould, site: Site) -> None:
    spec = site.clone("checked", "waiting")
    with closing(site.warehouse("waiting").connect("bi_reader")) as reader, ThreadPoolExecutor(1) as pool:
        with reader, reader.cursor(name="a report that is paged through") as cur:
            cur.itersize = 10
            cur.execute("select _batch_id from marts.fct_contacts")
            first = cur.fetchone()
            publishing = pool.submit(run, spec.night("night 2"), NIGHT_2, "publish")
            with pytest.raises(NotYet):
                publishing.result(3)
            # What it reads on is what it began with.
            assert {first, *cur.fetchall()} == {(1,)}
        publishing.result(60)
        with reader, reader.cursor() as cur:
            cur.execute("select distinct _batch_id from marts.fct_contacts")
            assert cur.fetchall() == [(2,)]
    assert hashes(spec.etl_dsn, *LAYERS) == mould.hashes[1]


def test_a_query_past_patience_is_named_and_the_night_goes_on(
    mould: Mould, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = site.clone("checked", "refused")
    monkeypatch.setattr(publish, "PATIENCE_SECONDS", 2.0)
    with closing(site.warehouse("refused").connect("bi_reader")) as reader, reader, reader.cursor() as cur:
        cur.execute("select distinct _batch_id from marts.fct_contacts")
        assert cur.fetchall() == [(1,)]
        named = (
            rf"batch 2 was not published: readers did not make way in 2 s .*bi_reader \(pid {reader.info.backend_pid}\)"
        )
        with pytest.raises(publish.PublishRefused, match=named):
            run(spec.night("night 2"), NIGHT_2, "publish")
        assert scalar(spec.etl_dsn, "select state from ops.batches where batch_id = 2") == "open"
        assert scalar(spec.etl_dsn, "select message from ops.failures where step = 'publish'") is not None
    run(spec.night("night 2"), NIGHT_2, "publish")
    assert hashes(spec.etl_dsn, *LAYERS) == mould.hashes[1]
