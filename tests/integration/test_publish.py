"""Publishing on a real PostgreSQL: shapes that change, readers that look, roles that may not."""

import re
import threading
import time
from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2 import errors

from conftest import Warehouse
from publishing import TWO_MARTS, Publisher
from retention import publish
from retention.mart_views import STANDING
from retention.publish import AlreadyPublished, PublishRefused
from retention.row_hash import row_hash
from retention.warehouse.install import install_schemas


@pytest.fixture
def publisher(warehouse: Warehouse) -> Iterator[Publisher]:
    publisher = Publisher.of(warehouse)
    yield publisher
    publisher.conn.close()
    publisher.etl.close()


def columns(publisher: Publisher, mart: str) -> list[str]:
    return [
        str(name)
        for (name,) in publisher.rows(
            f"select attname from pg_attribute where attrelid = 'marts.{mart}'::regclass and attnum > 0 order by attnum"
        )
    ]


def test_first_night_is_published_with_counts_comments_and_books(publisher: Publisher) -> None:
    published = publisher.night(1)
    assert re.fullmatch(r"published batch 1 \(as of 2026-01-01 \d\d:00 UTC\): 2 marts, 14 rows", str(published))
    assert [(mart.mart, mart.rows) for mart in published.marts] == [("churn", 5), ("episodes", 9)]
    assert publisher.rows("select count(*) from marts.episodes") == [(9,)]
    assert publisher.rows(
        "select obj_description('marts.churn'::regclass), col_description('marts.churn'::regclass, 1)"
    ) == [("Grain: one row per churn of batch 1.", "Night 1.")]
    assert publisher.rows("select slot, state, batch_id from ops.slots order by slot", "analyst") == [
        ("marts_a", "live", 1), ("marts_b", "idle", None)
    ]  # fmt: skip
    assert publisher.rows("select state, published_at is not null from ops.batches", "analyst") == [("published", True)]
    assert publisher.rows(
        "select action, slot, mart, rows, row_hash from ops.publications natural join ops.publication_marts "
        "order by mart",
        "analyst",
    ) == [("publish", "marts_a", mart.mart, mart.rows, mart.row_hash) for mart in published.marts]


def test_nights_alternate_between_the_slots_and_old_comments_go(publisher: Publisher) -> None:
    assert [publisher.night(day).slot for day in (1, 2, 3)] == ["marts_a", "marts_b", "marts_a"]
    assert publisher.rows("select distinct _batch_id from marts.churn") == [(3,)]
    assert publisher.rows("select col_description('marts.churn'::regclass, 1)") == [("Night 3.",)]


def test_publishing_what_is_live_changes_nothing(publisher: Publisher) -> None:
    first = publisher.night(1)
    before = publisher.rows("select * from ops.batches, ops.slots, ops.publications", "analyst")
    again = publish.publish(publisher.conn, first.batch_id)
    assert (again.publication_id, again.marts, again.is_new) == (first.publication_id, first.marts, False)
    assert str(again).endswith("done before, nothing changed")
    with pytest.raises(AlreadyPublished, match="was published before"):
        publish.begin_build(publisher.conn, first.batch_id)
    assert publisher.rows("select * from ops.batches, ops.slots, ops.publications", "analyst") == before


def test_a_step_of_a_superseded_night_changes_nothing(publisher: Publisher) -> None:
    first, second = publisher.night(1), publisher.night(2)
    assert not publish.publish(publisher.conn, first.batch_id).is_new
    with pytest.raises(AlreadyPublished):
        publish.begin_build(publisher.conn, first.batch_id)
    assert publisher.rows("select distinct _batch_id from marts.churn") == [(second.batch_id,)]
    assert publish.rollback(publisher.conn).batch_id == first.batch_id


def test_an_older_night_is_refused_before_it_costs_the_rollback(publisher: Publisher) -> None:
    older = publisher.open(1)
    first, second = publisher.night(2), publisher.night(3)
    with pytest.raises(
        PublishRefused, match=f"batch {older} .* is not newer than what BI reads, batch {second.batch_id}"
    ):
        publish.begin_build(publisher.conn, older)
    with pytest.raises(PublishRefused, match="is not newer"):
        publish.publish(publisher.conn, older)
    assert publish.publish(publisher.conn, first.batch_id, force=True).is_new
    assert publisher.rows("select distinct _batch_id from marts.churn") == [(first.batch_id,)]


def test_only_a_checked_slot_is_published(publisher: Publisher) -> None:
    publisher.night(1)
    batch_id = publisher.open(2)
    slot = publisher.build(batch_id)
    with pytest.raises(
        PublishRefused, match=rf"batch {batch_id} is checked in no slot: marts_a is live .*marts_b is building"
    ):
        publish.publish(publisher.conn, batch_id)
    with pytest.raises(PublishRefused, match="not for batch 99"):
        publish.mark_checked(publisher.conn, slot, 99)
    publish.mark_checked(publisher.conn, slot, batch_id)
    publish.begin_build(publisher.conn, batch_id)
    with pytest.raises(PublishRefused, match="is building"):
        publish.publish(publisher.conn, batch_id)
    with pytest.raises(PublishRefused, match="there is no batch 77"):
        publish.publish(publisher.conn, 77)


def test_a_slot_without_tables_is_refused(publisher: Publisher) -> None:
    publisher.night(1)
    batch_id = publisher.checked(2, {})
    with pytest.raises(PublishRefused, match="holds no tables"):
        publish.publish(publisher.conn, batch_id)
    assert publisher.rows("select count(*) from marts.churn") == [(5,)]


def test_beginning_twice_keeps_what_is_built_and_a_new_batch_starts_empty(publisher: Publisher) -> None:
    batch_id = publisher.open(1)
    slot = publisher.build(batch_id)
    assert publish.begin_build(publisher.conn, batch_id) == slot
    assert publish.building_slot(publisher.conn, batch_id) == slot
    assert publisher.rows(f"select count(*) from {slot}.churn", "etl") == [(5,)]
    assert publish.begin_build(publisher.conn, publisher.open(2)) == slot
    with pytest.raises(errors.UndefinedTable):
        publisher.rows(f"select count(*) from {slot}.churn", "etl")


def test_new_columns_are_appended_and_the_others_keep_their_place(publisher: Publisher) -> None:
    publisher.night(1)
    publisher.night(
        2, {**TWO_MARTS, "churn": "select 'new' as reason, 1 as days, 2 as churn_id, {n}::bigint as _batch_id"}
    )
    assert columns(publisher, "churn") == ["_batch_id", "churn_id", "days", "reason"]
    assert publisher.rows("select * from marts.churn") == [(2, 2, 1, "new")]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("select {n}::bigint as _batch_id, 7 as churn_id", ["_batch_id", "churn_id"]),
        (
            "select {n}::bigint as _batch_id, 7 as churn_id, 1.5::numeric(5, 2) as days",
            ["_batch_id", "churn_id", "days"],
        ),
    ],
    ids=["removed", "retyped"],
)
def test_a_removed_or_retyped_column_drops_the_view_and_keeps_its_readers(
    publisher: Publisher, query: str, left: list[str]
) -> None:
    publisher.night(1)
    with publisher.conn, publisher.conn.cursor() as cur:
        cur.execute("grant select on marts.churn to source_auditor")
    publisher.night(2, {**TWO_MARTS, "churn": query})
    assert columns(publisher, "churn") == left
    assert publisher.rows("select churn_id from marts.churn") == [(7,)]
    assert publisher.rows("select obj_description('marts.churn'::regclass)") == [
        ("Grain: one row per churn of batch 2.",)
    ]
    assert publisher.rows("select has_table_privilege('source_auditor', 'marts.churn', 'select')") == [(True,)]
    assert publish.rollback(publisher.conn).batch_id == 1
    assert columns(publisher, "churn") == ["_batch_id", "churn_id", "days"]
    assert publisher.rows("select sum(days) from marts.churn") == [(15,)]


@pytest.fixture(autouse=True)
def auditor(cluster: object, warehouse: Warehouse) -> None:
    """A role that is none of ours."""
    conn = warehouse.connect("postgres")
    with conn, conn.cursor() as cur:
        cur.execute("select 1 from pg_roles where rolname = 'source_auditor'")
        if cur.fetchone() is None:
            cur.execute("create role source_auditor")
        cur.execute("create schema analysis authorization analyst")
    conn.close()


def depend(publisher: Publisher) -> None:
    conn = publisher.warehouse.connect("analyst")
    with conn, conn.cursor() as cur:
        cur.execute("create view analysis.weekly as select churn_id from marts.churn")
    conn.close()


@pytest.mark.parametrize(
    "churn", ["select {n}::bigint as _batch_id, 7 as churn_id", None], ids=["retyped", "mart gone"]
)
def test_somebody_elses_view_is_refused_by_name(publisher: Publisher, churn: str | None) -> None:
    publisher.night(1)
    depend(publisher)
    batch_id = publisher.checked(2, {"episodes": TWO_MARTS["episodes"], **({"churn": churn} if churn else {})})
    with pytest.raises(
        PublishRefused, match=r"batch 2 was not published: view analysis\.weekly depends on view marts\.churn"
    ):
        publish.publish(publisher.conn, batch_id)
    assert publisher.rows("select distinct _batch_id from marts.churn natural join marts.episodes") == [(1,)]
    conn = publisher.warehouse.connect("analyst")
    with conn, conn.cursor() as cur:
        cur.execute("drop view analysis.weekly")
    conn.close()
    assert publish.publish(publisher.conn, batch_id).is_new


def test_somebody_elses_view_follows_an_ordinary_publish(publisher: Publisher) -> None:
    publisher.night(1)
    depend(publisher)
    publisher.night(2, {**TWO_MARTS, "churn": TWO_MARTS["churn"].replace("as churn_id", "+ 40 as churn_id")})
    assert publisher.rows("select min(churn_id) from analysis.weekly", "analyst") == [(41,)]


def test_a_mart_that_is_gone_loses_its_view(publisher: Publisher) -> None:
    publisher.night(1)
    publisher.night(2, {"churn": TWO_MARTS["churn"]})
    publisher.night(3, {"churn": TWO_MARTS["churn"]})
    assert publisher.rows(
        "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'v' order by 1"
    ) == [("churn",), *((name,) for name in sorted(STANDING))]


def test_rollback_and_forward_again(publisher: Publisher) -> None:
    with pytest.raises(PublishRefused, match="cannot roll back to marts_a: nothing was ever published from it"):
        publish.rollback(publisher.conn)
    first, second = publisher.night(1), publisher.night(2)
    back = publish.rollback(publisher.conn)
    assert str(back).startswith("rolled back to batch 1 (as of ")
    assert back.marts == first.marts
    assert publisher.rows("select distinct _batch_id from marts.churn natural join marts.episodes") == [(1,)]
    assert publish.publish(publisher.conn, second.batch_id).marts == second.marts
    third = publisher.open(3)
    publisher.build(third)
    with pytest.raises(
        PublishRefused, match=rf"cannot roll back to marts_a: a build has begun in it \(batch {third}\)"
    ):
        publish.rollback(publisher.conn)
    publish.mark_checked(publisher.conn, "marts_a", third)
    with pytest.raises(PublishRefused, match=rf"its batch {third} was never published"):
        publish.rollback(publisher.conn)
    assert publisher.rows("select distinct _batch_id from marts.churn") == [(2,)]


@pytest.mark.parametrize(
    "statement",
    [
        "drop table {live}.churn",
        "alter table {live}.churn add column x int",
        "truncate {live}.churn",
        "insert into {live}.churn select * from {live}.churn",
        "create table {live}.x (a int)",
        "drop view marts.churn",
        "create view marts.mine as select 1 as one",
        "delete from marts.churn",
    ],
)
@pytest.mark.parametrize("when", ["published", "next build begun", "rolled back", "installed again"])
def test_etl_cannot_touch_what_is_live(publisher: Publisher, statement: str, when: str) -> None:
    publisher.night(1)
    live = publisher.night(2).slot
    if when == "next build begun":
        publisher.build(publisher.open(3))
    if when == "rolled back":
        live = publish.rollback(publisher.conn).slot
    if when == "installed again":
        owner = publisher.warehouse.connect("postgres")
        install_schemas(owner)
        owner.close()
    with pytest.raises(psycopg2.Error) as refused:
        publisher.rows(statement.format(live=live), "etl")
    assert refused.value.pgcode == "42501"


PRIVATE = {
    **TWO_MARTS,
    "private_people": "select {n}::bigint as _batch_id, i as person_id, 'somebody ' || i as full_name "
    "from generate_series(1, 3) as t(i)",
}


def names_of(publisher: Publisher, schema: str) -> list[str]:
    rows = publisher.rows(
        f"select relname from pg_class where relnamespace = '{schema}'::regnamespace and relkind = 'v' order by 1"
    )
    return [str(name) for (name,) in rows if name not in STANDING]


def test_private_marts_are_published_apart_and_switch_with_the_others(publisher: Publisher) -> None:
    first = publisher.night(1, PRIVATE)
    assert [mart.mart for mart in first.marts] == ["churn", "episodes", "private_people"]
    assert names_of(publisher, "marts") == ["churn", "episodes"]
    assert names_of(publisher, "marts_private") == ["people"]
    publisher.night(2, PRIVATE)
    both = "select max(_batch_id), (select max(_batch_id) from {}) from {}"
    assert publisher.rows(both.format("marts_private.people", "marts_private.people"), "outreach") == [(2, 2)]
    for role in ("bi_reader", "analyst", "etl"):
        with pytest.raises(errors.InsufficientPrivilege):
            publisher.rows("select * from marts_private.people", role)
    with pytest.raises(errors.InsufficientPrivilege):
        publisher.rows("select * from marts.churn", "outreach")
    assert publish.rollback(publisher.conn).batch_id == 1
    assert publisher.rows("select distinct _batch_id from marts.churn") == [(1,)]
    assert publisher.rows("select distinct _batch_id from marts_private.people", "outreach") == [(1,)]
    comment = "select obj_description('marts_private.people'::regclass)"
    assert publisher.rows(comment, "outreach") == [("Grain: one row per private_people of batch 1.",)]


def test_a_private_mart_that_is_retyped_or_gone_keeps_to_its_readers(publisher: Publisher) -> None:
    publisher.night(1, PRIVATE)
    publisher.night(
        2, {**PRIVATE, "private_people": PRIVATE["private_people"].replace("i as person_id", "i::text as p")}
    )
    assert publisher.rows("select max(p) from marts_private.people", "outreach") == [("3",)]
    assert publisher.rows(
        "select distinct has_table_privilege(r, 'marts_private.people', 'select') from unnest("
        "array['bi_reader', 'analyst', 'etl', 'source_auditor']) as t(r)",
        "publisher",
    ) == [(False,)]
    publisher.night(3)
    assert names_of(publisher, "marts_private") == []
    assert publish.rollback(publisher.conn).batch_id == 2
    assert names_of(publisher, "marts_private") == ["people"]


def test_the_views_on_the_books_stand_and_their_names_are_taken(publisher: Publisher) -> None:
    before = publisher.rows("select oid from pg_class where relname like 'trust_%' order by 1", "postgres")
    assert len(before) == len(STANDING)
    publisher.night(1)
    batch_id = publisher.checked(2, {**TWO_MARTS, "trust_checks": "select {n}::bigint as _batch_id"})
    with pytest.raises(PublishRefused, match=r"marts_b holds trust_checks: the name belongs to .* was not published"):
        publish.publish(publisher.conn, batch_id)
    publisher.night(3)
    kept = "select oid from pg_class where relname like 'trust_%' and relnamespace = 'marts'::regnamespace order by 1"
    assert publisher.rows(kept, "postgres") == before
    assert publisher.rows("select batch_id, state, is_live from marts.trust_nights order by 1") == [
        (1, "published", False), (2, "open", False), (3, "published", True)
    ]  # fmt: skip


def test_every_view_on_the_books_is_described(publisher: Publisher) -> None:
    undescribed = publisher.rows(
        "select attrelid::regclass::text, attname from pg_attribute where attrelid in (select oid from pg_class "
        "where relnamespace = 'marts'::regnamespace) and col_description(attrelid, attnum) is null"
    )
    assert undescribed == []
    described = "select relname, obj_description(oid) from pg_class where relnamespace = 'marts'::regnamespace"
    found = {str(name): str(text) for name, text in publisher.rows(described)}
    assert set(found) == STANDING
    assert all(text.startswith("One row per ") for text in found.values())


@pytest.mark.parametrize("role", ["bi_reader"])
@pytest.mark.parametrize(
    "query",
    [
        "select * from marts_a.churn", "select * from staging.parties", "select * from raw.parties",
        "select * from ops.batches", "select * from intermediate.x", "create temporary table t (a int)",
        "create table public.t (a int)", "delete from marts.churn",
    ],
)  # fmt: skip
def test_bi_reads_marts_and_nothing_else(publisher: Publisher, role: str, query: str) -> None:
    publisher.night(1)
    with publisher.etl, publisher.etl.cursor() as cur:
        cur.execute(
            "create table staging.parties (a int); create table raw.parties (a int);create table intermediate.x (a int)"
        )
    with pytest.raises(errors.InsufficientPrivilege):
        publisher.rows(query, role)


def test_a_reader_sees_only_whole_publications_of_twenty(publisher: Publisher) -> None:
    """Every second night changes a view's shape, so views are dropped under the reader too."""
    publisher.night(1)
    seen: list[tuple[int, int]] = []
    failures: list[str] = []
    stop = threading.Event()
    query = """
        select min(c._batch_id), max(c._batch_id), min(e._batch_id), max(e._batch_id), count(*) from {} , {} where true
    """

    def poll(first: str, second: str) -> None:
        conn = publisher.warehouse.connect("bi_reader")
        with conn.cursor() as cur:
            while not stop.wait(0.005):
                try:
                    cur.execute(query.format(first, second))
                    (low, high, other_low, other_high, rows) = cur.fetchone() or (0, 0, 0, 0, 0)
                    seen.append((low, rows))
                    if not (low == high == other_low == other_high and rows == 45):
                        failures.append(f"mixed: {low} {high} {other_low} {other_high}, {rows} rows")
                except psycopg2.Error as error:
                    failures.append(f"{error.pgcode}: {error}")
                conn.rollback()
        conn.close()

    # Two readers that lock the views in opposite orders, as BI tools do.
    names = ("marts.churn as c", "marts.episodes as e")
    readers = [threading.Thread(target=poll, args=args, daemon=True) for args in (names, names[::-1])]
    for reader in readers:
        reader.start()
    shapes = (TWO_MARTS, {**TWO_MARTS, "churn": TWO_MARTS["churn"].replace("{n} * i as days", "i::text as days")})
    try:
        for day in range(2, 22):
            publisher.night(day, shapes[day % 2])
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert len({batch for batch, _ in seen}) > 15


def test_a_long_query_only_delays(publisher: Publisher) -> None:
    publisher.night(1)
    batch_id = publisher.checked(2)
    answers: list[list[tuple[object, ...]]] = []
    slow = threading.Thread(
        target=lambda: answers.append(publisher.rows("select max(_batch_id), pg_sleep(3) is null from marts.churn"))
    )
    slow.start()
    time.sleep(0.5)
    started = time.monotonic()
    assert publish.publish(publisher.conn, batch_id).is_new
    assert time.monotonic() - started > 1.5
    slow.join()
    assert answers == [[(1, False)]]


def test_readers_who_never_end_are_named(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher.night(1)
    batch_id = publisher.checked(2)
    monkeypatch.setattr(publish, "PATIENCE_SECONDS", 1.5)
    reader = publisher.warehouse.connect("analyst")
    with reader.cursor() as cur:
        cur.execute("select count(*) from marts.churn")
        pid = reader.info.backend_pid
        with pytest.raises(
            PublishRefused, match=rf"batch 2 was not published: readers did not .*analyst \(pid {pid}\)"
        ):
            publish.publish(publisher.conn, batch_id)
    reader.close()
    assert publish.publish(publisher.conn, batch_id).is_new


def test_autocommit_is_refused(publisher: Publisher) -> None:
    publisher.conn.autocommit = True
    with pytest.raises(ValueError, match="autocommit"):
        publish.publish(publisher.conn, 1)


def test_row_hash_knows_content_and_nothing_else(publisher: Publisher) -> None:
    with publisher.etl as conn, conn.cursor() as cur:
        cur.execute("create schema x")
        for name, query in {
            "base": "select 1 as a, ''::text as b, timestamptz '2026-01-01 00:00Z' as c, 5 as _batch_id "
            "union all select 2, null, null, 5",
            "turned": "select null::timestamptz as c, 2 as a, 9 as _batch_id, null as b "
            "union all select '2026-01-01 03:00+03', 1, 9, ''",
            "blank": "select a, coalesce(b, '') as b, c from x.base",
            "twice": "select * from x.base union all select * from x.base",
            "none": "select * from x.base where false",
        }.items():
            cur.execute(f"create table x.{name} as {query}")
    found = {name: row_hash(publisher.etl, "x", name) for name in ("base", "turned", "blank", "twice", "none")}
    assert found["base"] == found["turned"]
    assert found["none"] == (0, "0")
    assert len(set(found.values())) == 4
    with publisher.etl.cursor() as cur:
        cur.execute("set timezone = 'Asia/Yekaterinburg'; set datestyle = 'German'")
    assert row_hash(publisher.etl, "x", "base") == found["base"]
    with pytest.raises(LookupError, match=r"x\.missing does not exist"):
        row_hash(publisher.etl, "x", "missing")
