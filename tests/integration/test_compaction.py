"""What upkeep takes away, on raw tables filled by hand: nothing that a later night, a rebuild or quarantine needs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from erasure_kit import run

from conftest import Warehouse
from harness import PROJECT
from retention.erasure import compact
from retention.erasure.errors import ErasureError
from retention.erasure.periods import load_periods
from retention.erasure.suppression import suppress_load
from retention.erasure.upkeep import Upkeep
from retention.extract import versions
from retention.extract.versions import Appended
from retention.sources.contract import create_raw_tables, load_contract
from retention.text import gone
from retention.warehouse import batches

START = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTS = 6
SHOWN = """
    select distinct on (contact_id) contact_id, body, _load_id, _op
    from raw.helpdesk__contacts inner join ops.loads on loads.load_id = _load_id
    where batch_id <= %s order by contact_id, _load_id desc
"""


@pytest.fixture
def etl(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> str:
    """Six published nights, 100 days apart, each with a load of contacts; the last night is not consumed."""
    monkeypatch.setattr(compact, "CHUNK_ROWS", 3)
    conn = warehouse.connect()
    create_raw_tables(conn)
    conn.close()
    dsn = warehouse.dsn()
    run(
        dsn, "create table staging.stg_helpdesk__contacts as select *, 1::bigint as _staged from raw.helpdesk__contacts"
    )
    for night in range(1, NIGHTS + 1):
        at = START + timedelta(days=100 * night)
        run(
            dsn,
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', %s, 'test', 'published');"
            "insert into ops.loads (load_id, batch_id, table_name, rows_read, rows_appended, keys_new, keys_deleted,"
            " rows_rejected, live_keys, contract_hash, reader, seconds)"
            " values (%s, %s, 'helpdesk.contacts', 0, 0, 0, 0, 1, 0, '', 'test', 0);"
            "insert into raw.rejects (load_id, table_name, reason, row_text)"
            " values (%s, 'helpdesk.contacts', 'planted', %s)",
            at, night, night, night, '{"contact_id": "k", "body": "words"}',
        )  # fmt: skip
        if night < NIGHTS:
            run(dsn, "insert into ops.load_consumption values (%s, %s)", night, night)
        # Versions every night; c1 only in the first, c4 ended in the third; c5 is in quarantine.
        for contact in ("c2", "c3", "c5", *(["c1"] if night == 1 else []), *(["c4"] if night < 3 else [])):
            run(
                dsn,
                "insert into raw.helpdesk__contacts (contact_id, channel, direction, initiator, started_at, updated_at,"
                " body, _load_id) values (%s, 'chat', 'inbound', 'customer', %s, %s, %s, %s);"
                "insert into signals.phrase_hits values (%s, %s, 'p', '1', 0, 4, 'asserted');"
                "insert into signals.message_signals values (%s, %s, 'ru', 0, 0, null, 0, 'none', false, false, '1');"
                "insert into signals.reply_signals values (%s, %s, false, false, '1');"
                "insert into signals.reply_bands values (%s, %s, 0, 1)",
                contact, START + timedelta(days=5), at, f"{contact} in night {night}", night, *(contact, night) * 4,
            )  # fmt: skip
    run(dsn, "insert into raw.helpdesk__contacts (contact_id, _load_id, _op) values ('c4', 3, 'd')")
    run(
        dsn,
        "insert into ops.quarantine (table_name, load_id, key, checks, batch_id)"
        " values ('helpdesk.contacts', 4, %s, '{planted}', 4)",
        '{"contact_id": "c5"}',
    )
    return dsn


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with periods of its own."""
    (tmp_path / "dbt_project" / "seeds").mkdir(parents=True)
    return tmp_path


def seed(project: Path, *lines: str) -> Path:
    path = project / "dbt_project" / "seeds" / "retention_periods.csv"
    path.write_text("\n".join(["table_name,what,keep_days,reason", *lines]) + "\n")
    return path


def shown(etl: str) -> Iterator[tuple[int, list[tuple[object, ...]]]]:
    for night in range(1, NIGHTS + 1):
        yield night, run(etl, SHOWN, night)


def test_nights_within_the_period_see_what_they_saw_and_older_versions_are_gone(etl: str, project: Path) -> None:
    seed(project, "helpdesk.contacts,versions,150,test")
    before = dict(shown(etl))
    now = START + timedelta(days=100 * NIGHTS)
    upkeep = Upkeep(etl, project, frozenset(), lease_wait_seconds=2)
    (done,) = upkeep.run(now)
    # Night 4 is the last that was over before the period: its versions stay, what they replaced goes.
    assert (done.kept_from_batch_id, done.rows) == (4, 8)
    after = dict(shown(etl))
    assert {night: after[night] for night in (4, 5, 6)} == {night: before[night] for night in (4, 5, 6)}
    left = "select contact_id, array_agg(_load_id order by _load_id) from raw.helpdesk__contacts group by 1 order by 1"
    assert run(etl, left) == [
        ("c1", [1]), ("c2", [4, 5, 6]), ("c3", [4, 5, 6]), ("c4", [3]), ("c5", [1, 2, 3, 4, 5, 6])
    ]  # fmt: skip
    for signals in gone.COLUMNS:
        assert run(etl, f"select count(*) from signals.{signals} where contact_id = 'c2'") == [(3,)], signals
    assert run(etl, "select table_name, what, rows, kept_from_batch_id from ops.upkeep") == [
        ("helpdesk.contacts", "versions", 8, 4)
    ]
    assert upkeep.run(now) == []


def test_a_version_is_kept_until_what_replaced_it_is_consumed(etl: str, project: Path) -> None:
    seed(project, "helpdesk.contacts,versions,1,test")
    Upkeep(etl, project, frozenset(), lease_wait_seconds=2).run(START + timedelta(days=5000))
    assert run(etl, "select _load_id from raw.helpdesk__contacts where contact_id = 'c2' order by 1") == [(5,), (6,)]


def test_texts_and_rejects_past_their_age_are_blank_and_hits_stay(etl: str, project: Path) -> None:
    seed(project, "helpdesk.contacts,texts,365,test", "raw.rejects,rejects,250,test")
    now = START + timedelta(days=365 + 6)
    done = {one.what: one.rows for one in Upkeep(etl, project, frozenset(), lease_wait_seconds=2).run(now)}
    assert done == {"texts": 18, "rejects": 1}
    # The last night is not consumed: its texts are not read yet.
    assert run(etl, "select distinct _load_id from raw.helpdesk__contacts where body is not null") == [(6,)]
    for signals in gone.COLUMNS:
        assert run(etl, f"select count(*) from signals.{signals}") == [(21,)], signals
    rejects = run(etl, "select load_id, row_text from raw.rejects order by 1")
    assert rejects[0] == (1, '{"contact_id": "k"}')
    assert all("words" in str(text) for _, text in rejects[1:])


def test_a_table_read_whole_again_does_not_bring_texts_back(etl: str, project: Path) -> None:
    table = load_contract().tables["helpdesk.contacts"]

    def read_again() -> tuple[Appended, dict[str, str | None]]:
        """What the source still tells: an old contact that comes late, a young one, and c1 with its text."""
        columns = ", ".join(table.columns)
        with batches.connected(etl, "test") as conn, conn, conn.cursor() as cur:
            cur.execute("select set_config('retention.load_id', '6', true)")
            versions.create_staging(cur, table)
            for told in (("late", "old words", 0), ("young", "new words", 2), ("c1", "c1 in night 1", 0)):
                cur.execute(
                    f"insert into incoming select {columns} from raw.helpdesk__contacts where contact_id = 'c1'"
                )
                cur.execute(
                    "update incoming set contact_id = %s, body = %s,"
                    " started_at = started_at + make_interval(days => %s) where contact_id = 'c1'",
                    told,
                )
            suppress_load(cur, table, versions.INCOMING, 6, {})
            appended = versions.append_changed(cur, table)
            cur.execute("select contact_id, body from raw.helpdesk__contacts where contact_id in ('late', 'young')")
            bodies = dict(cur.fetchall())
            conn.rollback()
        return appended, bodies

    new = Appended(new=2, back=0, changed=0)
    assert read_again() == (new, {"late": "old words", "young": "new words"}), "upkeep never ran"
    seed(project, "helpdesk.contacts,texts,365,test")
    Upkeep(etl, project, frozenset(), lease_wait_seconds=2).run(START + timedelta(days=365 + 6))
    assert read_again() == (new, {"late": None, "young": "new words"})


def test_rows_past_their_age_go_and_intermediate_is_built_anew(etl: str, project: Path) -> None:
    seed(project, "helpdesk.contacts,rows,365,test")
    run(etl, "insert into ops.applied_hashes (name, hash) values ('int_contacts_linked', 'x'), ('stg_x', 'x')")
    upkeep = Upkeep(etl, project, frozenset({"helpdesk.contacts"}), lease_wait_seconds=2)
    (done,) = upkeep.run(START + timedelta(days=365 + 6))
    assert (done.rows, done.kept_from_batch_id) == (4, NIGHTS + 1), (
        "c1 and c4; of the others a version is not consumed yet"
    )
    assert run(etl, "select count(*) from raw.helpdesk__contacts where contact_id = 'c1'") == [(0,)]
    assert run(etl, "select name from ops.applied_hashes") == [("stg_x",)]


def test_rows_stay_between_a_night_s_transform_and_its_publication(etl: str, project: Path) -> None:
    seed(project, "helpdesk.contacts,rows,365,test", "raw.rejects,rejects,250,test")
    upkeep = Upkeep(etl, project, frozenset({"helpdesk.contacts"}), lease_wait_seconds=2)
    now = START + timedelta(days=365 + 6)
    run(
        etl,
        "update ops.batches set state = 'open' where batch_id in (3, %(newest)s);"
        "insert into ops.steps (batch_id, step, seconds) values (3, 'transform', 1), (%(newest)s, 'transform', 1)",
        newest=NIGHTS,
    )
    with pytest.raises(ErasureError, match=rf"batch {NIGHTS} is transformed and not published: .* Nothing was removed"):
        upkeep.run(now)
    assert run(etl, "select count(*) from raw.helpdesk__contacts where contact_id = 'c1'") == [(1,)]
    assert [one.what for one in upkeep.run(now, ["texts", "rejects"])] == ["rejects"]
    run(etl, "update ops.batches set state = 'published' where batch_id = %s", NIGHTS)
    assert [one.what for one in upkeep.run(now, ["rows"])] == ["rows"], "a night that was given up does not matter"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("crm.nothing,versions,1,x", "crm.nothing is not in the contract"),
        ("helpdesk.contacts,everything,1,x", "what is none of"),
        ("helpdesk.contacts,texts,0,x", "keep_days is not a number of days"),
        ("crm.parties,texts,9,x", "crm.parties has no event_at"),
        ("helpdesk.tickets,texts,9,x", "helpdesk.tickets has no personal texts"),
        ("helpdesk.contacts,rows,9,x", "comes from a database"),
        ("helpdesk.contacts,rejects,9,x", "rejects go with raw.rejects"),
    ],
)
def test_a_period_that_cannot_be_applied_is_refused_by_line(project: Path, line: str, problem: str) -> None:
    path = seed(project, line)
    with pytest.raises(ErasureError, match=rf"retention_periods.csv, line 2: .*{problem}.* Nothing was removed"):
        load_periods(path, load_contract(), frozenset({"vendor.call_attempts"}))


def test_the_seed_of_this_project_applies_to_the_simulators_profile() -> None:
    files = frozenset({"vendor.call_attempts", "web.public_reviews"})
    path = PROJECT / "dbt_project" / "seeds" / "retention_periods.csv"
    assert len(load_periods(path, load_contract(), files)) > 10
