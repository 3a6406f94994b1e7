"""Extraction from MariaDB: nights on a real server, and what its types and collations do that PostgreSQL's do not."""

import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from extract_kit import Bench, memory_growth

import mariadb
from retention.extract import DriftError, ExtractError, sql
from retention.sources.contract import create_raw_tables
from retention.sources.doctor import diagnose
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse


@pytest.fixture(scope="module")
def server() -> Iterator[mariadb.MariaDB]:
    if missing := mariadb.missing_programs():
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install mariadb-server")
    running = mariadb.start()
    yield running
    running.remove()


class Source(Bench):
    """A bench whose `db` is a database of MariaDB."""

    server: mariadb.MariaDB
    database: str

    def run(self, *statements: str) -> None:
        """Run statements on the source, each committed."""
        self.server.execute(self.database, *statements)


@pytest.fixture
def bench(server: mariadb.MariaDB, warehouse: "Warehouse", tmp_path: Path) -> Source:
    with closing(warehouse.connect()) as conn:
        create_raw_tables(conn)
    database = server.create_database()
    bench = Source(warehouse, server.url(database), tmp_path)
    bench.server, bench.database = server, database
    return bench


TICKETS = """
zone: Europe/Moscow
tables:
  helpdesk.tickets: {connection: db, table: tickets}
"""
CREATE_TICKETS = (
    "create table tickets (ticket_id varchar(20) primary key, priority varchar(20), opened_at datetime(6),"
    " updated_at timestamp(6))",
    "insert into tickets select concat('t', seq), 'high', '2026-01-01 03:00:00',"
    " timestamp '2026-01-01 03:00:00' + interval seq minute from seq_1_to_100",
)


def test_first_load_then_a_night_with_a_change_a_late_row_and_a_delete(bench: Source) -> None:
    bench.run(*CREATE_TICKETS)
    first = bench.load("helpdesk.tickets", TICKETS)
    assert (first.rows_read, first.keys_new, first.live_keys, first.source_keys) == (100, 100, 100, 100)
    assert first.reader == "sqlalchemy mariadb"
    times = "select opened_at = '2026-01-01 00:00Z', updated_at = '2026-01-01 00:05Z' from raw.helpdesk__tickets"
    assert bench.query(times + " where ticket_id = 't5'") == [(True, True)]

    bench.run(
        "update tickets set priority = 'low', updated_at = '2026-01-02' where ticket_id = 't5'",
        # Stamped before the watermark, committed after: within the overlap.
        "insert into tickets values ('late', 'high', '2026-01-01', '2026-01-01 04:30:00')",
        "delete from tickets where ticket_id = 't7'",
    )
    second = bench.load("helpdesk.tickets", TICKETS)
    assert second.rows_read == 100  # 98 untouched in the overlap, one changed, one late.
    assert (second.rows_appended, second.keys_new, second.keys_deleted, second.live_keys) == (3, 1, 1, 100)
    versions = "select ticket_id, priority, _op from raw.helpdesk__tickets where _load_id = {} order by 1"
    assert bench.query(versions.format(second.load_id)) == [
        ("late", "high", "u"),
        ("t5", "low", "u"),
        ("t7", None, "d"),
    ]
    # Two hours before 00:00 Moscow, not before 00:00 UTC.
    assert bench.load("helpdesk.tickets", TICKETS).rows_read == 1


CONTACTS = """
zone: Europe/Berlin
tables:
  helpdesk.contacts:
    connection: db
    table: contacts
    columns: {channel: {column: via, map: {TEL: call, Chat: chat}, default: email}, initiator: {value: customer}}
"""
#: Emoji, quotes, the escapes of COPY, line ends, the NULL of COPY and of CSV, and nothing at all.
TEXTS = r"""'😀 "так" и ''эдак''', 'a\\b\\tc', 'два\nряда\r\n', '\\N', '\\.', '', null, 'a\tb', '%s :x {}'"""
CREATE_CONTACTS = (
    "create table contacts (contact_id bigint unsigned primary key, ticket_id varchar(40) character set latin1,"
    " via enum('TEL', 'Chat', 'tel ', 'Mail') collate utf8mb4_bin, direction char(12), is_on_behalf tinyint(1),"
    " is_answered bit(1), connected_seconds mediumint unsigned, started_at datetime(6), ended_at datetime,"
    " body mediumtext, recorded_at date, updated_at timestamp(6))",
    "set time_zone = '+00:00'",
    "insert into contacts select 18446744073709550000 + seq, if(seq % 3, elt(1 + seq % 4, 'é', 'É', '', 'e'), null),"
    " 1 + seq % 4, 'inbound', elt(1 + seq % 3, 1, 0, null), if(seq % 2, b'0', b'1'), seq * 1000,"
    " timestamp '2026-01-15 23:59:59.000001' + interval seq microsecond + interval (seq % 2 * 6) month,"
    " if(seq % 5, timestamp '2026-07-01 00:00:00' + interval seq minute, null),"
    f" elt(1 + seq % 9, {TEXTS}), date '2026-01-01' + interval seq day,"
    " timestamp '2026-03-29 00:30:00.5' + interval seq minute from seq_1_to_200",
)
#: Each column's canonical text on either side. Berlin is an hour before UTC in winter and two in summer.
BERLIN = "date_format({0} - interval if({0} between '2026-03-29 02:00' and '2026-10-25', 2, 1) hour, '%Y-%m-%d %T.%f')"
UTC = "to_char({0} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
CONTACT_SIDES = {
    "contact_id": ("contact_id", "contact_id"),
    "ticket_id": ("convert(ticket_id using utf8mb4)", "ticket_id"),
    "channel": ("case cast(via as binary) when 'TEL' then 'call' when 'Chat' then 'chat' else 'email' end", "channel"),
    "initiator": ("'customer'", "initiator"),
    "is_on_behalf": ("is_on_behalf", "is_on_behalf::int"),
    "is_answered": ("cast(is_answered as unsigned)", "is_answered::int"),
    "connected_seconds": ("connected_seconds", "connected_seconds"),
    "started_at": (BERLIN.format("started_at"), UTC.format("started_at")),
    "ended_at": (BERLIN.format("ended_at"), UTC.format("ended_at")),
    "body": ("body", "body"),
    "recorded_at": (BERLIN.format("timestamp(recorded_at)"), UTC.format("recorded_at")),
    "updated_at": ("date_format(updated_at, '%Y-%m-%d %T.%f')", UTC.format("updated_at")),
}


def assert_equal(bench: Source, table: str, raw: str, key: str, sides: dict[str, tuple[str, str]]) -> None:
    """Each column's md5, over all rows in the order of the key, is that of the source."""
    theirs = ", ".join(
        f"md5(group_concat(coalesce(convert({there} using utf8mb4), '<null>') order by {key} separator '|'))"
        for there, _ in sides.values()
    )
    ours = ", ".join(
        f"md5(string_agg(coalesce(({here})::text, '<null>'), '|' order by {key} collate \"C\"))"
        for _, here in sides.values()
    )
    session = ("set time_zone = '+00:00'", "set group_concat_max_len = 10000000")
    (source,) = bench.server.execute(bench.database, *session, f"select {theirs} from {table}")
    (loaded,) = bench.query(f"select {ours} from {raw}")
    assert dict(zip(sides, loaded, strict=True)) == dict(zip(sides, source, strict=True))


def test_types_and_zones_come_as_they_are_by_checksum(bench: Source) -> None:
    bench.run(*CREATE_CONTACTS)
    assert bench.load("helpdesk.contacts", CONTACTS).rows_appended == 200
    assert_equal(bench, "contacts", "raw.helpdesk__contacts", "contact_id", CONTACT_SIDES)
    odd = bench.query("select count(*), count(body), count(*) filter (where body = '') from raw.helpdesk__contacts")
    assert odd == [(200, 178, 22)]
    # The checksum tells a difference: a gate that cannot fail is none.
    bench.run("update contacts set body = 'x' where body = '' limit 1")
    with pytest.raises(AssertionError):
        assert_equal(bench, "contacts", "raw.helpdesk__contacts", "contact_id", {"body": ("body", "body")})


USAGE = "zone: Europe/Moscow\ntables:\n  crm.usage_months: {connection: db, table: usage_months}\n"
#: The Moscow of before 1919 was not three hours away: dates without an hour are as they are.
USAGE_SIDES = {
    "month_on": ("month_on", "month_on"),
    "revenue_rub": ("revenue_rub", "revenue_rub"),
    "margin_rub": ("cast(margin_rub as decimal(12,2))", "margin_rub"),
    "first_revenue_at": ("first_revenue_at - interval 3 hour", "left(" + UTC.format("first_revenue_at") + ", 19)"),
    "updated_at": ("date_format(updated_at - interval 3 hour, '%Y-%m-%d %T.%f')", UTC.format("updated_at")),
}


def test_exact_numbers_and_far_dates_by_checksum(bench: Source) -> None:
    bench.run(
        "create table usage_months (subscription_id varchar(20), month_on date, revenue_rub decimal(12,2),"
        " margin_rub decimal(9,1), first_revenue_at datetime, updated_at datetime(3))",
        "insert into usage_months select concat('s', seq), date '1000-01-01' + interval seq * 15000 day,"
        " seq * 49999999.99, -seq / 10, if(seq = 1, '9999-12-31 23:59:59', null), '2026-01-01 12:00:00.125'"
        " from seq_1_to_200",
    )
    assert bench.load("crm.usage_months", USAGE).live_keys == 200
    assert_equal(bench, "usage_months", "raw.crm__usage_months", "subscription_id", USAGE_SIDES)
    assert bench.load("crm.usage_months", USAGE).rows_appended == 0


def test_what_postgresql_cannot_hold_is_a_reject_and_comes_back_when_mended(bench: Source) -> None:
    bench.run(
        *CREATE_TICKETS,
        "alter table tickets add is_spam tinyint(1), add status varchar(20)",
        "set sql_mode = 'allow_invalid_dates'",
        "update tickets set opened_at = '0000-00-00 00:00:00' where ticket_id = 't1'",
        "update tickets set opened_at = '2026-02-31 00:00:00' where ticket_id = 't2'",
        "update tickets set is_spam = 2 where ticket_id = 't3'",
        r"update tickets set status = 'a\0\tb' where ticket_id = 't4'",
    )
    first = bench.load("helpdesk.tickets", TICKETS)
    assert (first.rows_read, first.rows_rejected, first.live_keys, first.source_keys) == (100, 3, 97, 97)
    rejects = bench.query(
        "select row_text::jsonb ->> 'ticket_id', reason, row_text::jsonb ->> 'status' from raw.rejects order by 1"
    )
    assert rejects == [
        ("t2", "column opened_at is not a timestamptz", None),
        ("t3", "column is_spam is not a boolean", None),
        ("t4", "column status holds a NUL character", "a␀\tb"),
    ]
    assert bench.query("select opened_at from raw.helpdesk__tickets where ticket_id = 't1'") == [(None,)]

    # Beyond the overlap, so that the bad rows are not read again, and the counts balance all the same.
    bench.run(
        "insert into tickets values ('t200', 'high', '2026-02-01', '2026-02-01', 0, 'x'),"
        " ('t201', 'high', '2026-02-02', '2026-02-02', 0, 'x')"
    )
    bench.load("helpdesk.tickets", TICKETS)
    assert bench.load("helpdesk.tickets", TICKETS).live_keys == 99
    bench.run(
        "update tickets set is_spam = 1, updated_at = '2026-02-02' where ticket_id = 't3'",
        r"update tickets set status = 'c\0', updated_at = '2026-02-02' where ticket_id = 't200'",
        "delete from tickets where ticket_id = 't2'",
    )
    mended = bench.load("helpdesk.tickets", TICKETS)
    assert (mended.rows_rejected, mended.keys_new, mended.keys_deleted, mended.live_keys) == (1, 1, 0, 100)
    # Read whole, a row that went bad keeps the version that was good.
    forced = bench.load("helpdesk.tickets", TICKETS, force=True)
    assert (forced.rows_rejected, forced.keys_deleted, forced.live_keys) == (2, 0, 100)
    assert bench.query("select status from raw.helpdesk__tickets where ticket_id = 't200'") == [("x",)]
    bench.run("insert into tickets values ('t300', 'low', '2026-02-02', '2020-01-01', 0, 'behind the watermark')")
    with pytest.raises(ExtractError, match="101 keys in the snapshot and 100 would be live"):
        bench.load("helpdesk.tickets", TICKETS)


CHANNELS = """
zone: Europe/Moscow
tables:
  helpdesk.channel_totals:
    connection: db
    query: select *, '12:30 :no %s' as note from totals where day_on >= '2026-01-01';
    columns: {channel: {column: name, map: {T: call}}}
"""


def test_keys_differ_where_the_sources_collation_sees_no_difference(bench: Source) -> None:
    bench.run(
        "create table totals (day_on date, name varchar(20) collate utf8mb4_general_ci, contacts bigint,"
        " updated_at timestamp(6))",
        "insert into totals select '2026-01-01',"
        " elt(seq, 'chat', 'CHAT', 'chat ', 'чат', 'ЧАТ', 'T', 't', 'call', null),"
        " cast(seq as signed) - 9223372036854775807, timestamp '2026-01-01 00:00:00' + interval seq minute"
        " from seq_1_to_9",
    )
    # T becomes call, which is there as well; one key is NULL.
    first = bench.load("helpdesk.channel_totals", CHANNELS)
    assert (first.rows_read, first.rows_rejected, first.live_keys, first.source_keys) == (9, 2, 7, 7)
    # What was rejected then is among the source's rows and not among its keys: those it must count itself.
    bench.run("insert into totals values ('2026-01-02', 'Chat', 1, '2026-02-01')")
    second = bench.load("helpdesk.channel_totals", CHANNELS)
    assert (second.keys_new, second.live_keys, second.source_keys) == (1, 8, 8)
    assert bench.query("select min(contacts) from raw.helpdesk__channel_totals") == [(-9223372036854775806,)]


DRIFT = {
    "modify opened_at varchar(30)": 'column "opened_at" is varchar in the source, which opened_at (timestamptz) cannot',
    "modify opened_at datetime, modify is_spam int": 'column "is_spam" is int in the source, which is_spam (boolean)',
    "modify is_spam boolean, drop column priority": 'column "priority" is gone from the source',
}


def test_drift_stops_the_table_by_name(bench: Source) -> None:
    bench.run(*CREATE_TICKETS, "alter table tickets add is_spam boolean")
    bench.load("helpdesk.tickets", TICKETS)
    for change, message in DRIFT.items():
        bench.run(f"alter table tickets {change}")
        with pytest.raises(DriftError) as caught:
            bench.load("helpdesk.tickets", TICKETS)
        assert str(caught.value).startswith(f"helpdesk.tickets: {message}")
        assert "Nothing of this table was loaded" in str(caught.value)
    assert bench.query("select count(*) from raw.helpdesk__tickets") == [(100,)]


def test_refusals_say_what_and_where_and_no_password(bench: Source) -> None:
    def refusal(url: str) -> str:
        with pytest.raises(ExtractError) as caught:
            bench.load("helpdesk.tickets", TICKETS, connections={"db": url})
        return str(caught.value)

    start = "helpdesk.tickets: connecting to the source db failed: "
    port, password = bench.server.port, bench.server.password
    assert refusal(bench.source_dsn.replace(f":{port}", ":1")).startswith(start + "Can't connect to MySQL server on")
    denied = refusal(bench.source_dsn.replace(password, "wrong-pass"))
    assert denied.startswith(start + "OperationalError (1045 ACCESS_DENIED_ERROR). Nothing of this table was loaded")
    assert "wrong-pass" not in denied
    assert "No module named 'oracledb'" in refusal("oracle+oracledb://u:p@h/")
    assert "Can't load plugin: sqlalchemy.dialects:nonsense" in refusal("nonsense://u:p@h/")
    assert "unexpected keyword argument 'cursor'" in refusal(bench.source_dsn + "?cursor=sscursor")
    assert "looking at the source failed: ProgrammingError (1146 NO_SUCH_TABLE)" in refusal(bench.source_dsn)


PLANS = "zone: Europe/Moscow\ntables:\n  crm.plans: {connection: db, table: plans}\n"


def test_a_failing_row_is_not_quoted_anywhere(bench: Source, capfd: pytest.CaptureFixture[str]) -> None:
    bench.run(
        "create table plans as select seq as plan_id, 'x' as name, cast(1 as decimal(20,2)) as monthly_fee_rub"
        " from seq_1_to_20000",
        "update plans set monthly_fee_rub = 79161234567 where plan_id = 3",
        "create function told(n int) returns int begin if n > 9000 then signal sqlstate '45000'"
        " set message_text = 'no plan 79161234567'; end if; return n; end",
        "create view numbers as select plan_id, told(plan_id) as name from plans",
    )
    with pytest.raises(ExtractError) as full:
        bench.load("crm.plans", PLANS)
    assert "NumericValueOutOfRange (SQLSTATE 22003), row 3, column monthly_fee_rub." in str(full.value)
    with pytest.raises(
        ExtractError, match=r"crm\.plans: reading the source failed: OperationalError \(1644\)\."
    ) as bad:
        bench.load("crm.plans", PLANS.replace("table: plans", "table: numbers"))
    told = "".join(capfd.readouterr())
    for error in (full.value, bad.value):
        told += "".join(traceback.format_exception(error))
        told += f"{error.__context__!r} {error.__cause__!r} {vars(error.__context__ or error)}"
    assert "9161234567" not in told


VENDORS = "zone: Europe/Moscow\ntables:\n  helpdesk.vendors: {connection: db, table: vendors}\n"


def test_a_source_cut_in_the_middle_loads_nothing(bench: Source) -> None:
    bench.run(
        "create table big (vendor_id int primary key, name varchar(400))",
        "insert into big select seq, repeat('x', 400) from seq_1_to_20000",
        "create view vendors as select vendor_id, if(vendor_id < 15000, name, sleep(0.01)) as name from big",
    )
    asleep = "select id from information_schema.processlist where state = 'User sleep' and user = 'source_reader'"

    def cut() -> None:
        while not (found := bench.server.execute(None, asleep)):
            time.sleep(0.1)
        bench.server.execute(None, f"kill connection {found[0][0]}")

    killer = threading.Thread(target=cut)
    killer.start()
    with pytest.raises(ExtractError, match=r"helpdesk\.vendors: reading the source failed: .*(1317|2013|1927|2006)"):
        bench.load("helpdesk.vendors", VENDORS)
    killer.join()
    assert bench.query("select count(*) from raw.helpdesk__vendors") == [(0,)]
    assert bench.query("select count(*) from ops.loads") == [(0,)]


def test_a_silent_source_is_given_up(bench: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sql.DRIVER_OPTIONS["pymysql"], "read_timeout", 1)
    bench.run("create view vendors as select seq as vendor_id, sleep(5) as name from seq_1_to_1")
    with pytest.raises(ExtractError, match=r"reading the source failed: Lost connection .*timed out.* \(2013\)\. Noth"):
        bench.load("helpdesk.vendors", VENDORS)


def test_memory_does_not_grow_with_the_table(bench: Source) -> None:
    bench.run(
        "create table vendors as select cast(seq as char) as vendor_id, repeat('имя', 100) as name from seq_1_to_80000"
    )
    (bench.folder / "profile.yml").write_text(VENDORS)
    # The driver is loaded before; the table has 50 MB.
    warm_up = f"""
from retention.extract.load import open_reader
with open_reader({bench.source_dsn!r}, "t", "t") as reader:
    reader.open_snapshot()
"""
    rows, growth_kb = memory_growth(bench, bench.folder / "profile.yml", warm_up)
    assert rows == 80_000
    assert 0 < growth_kb < 30 * 1024


def test_all_of_a_load_is_one_snapshot(bench: Source) -> None:
    bench.run(*CREATE_TICKETS)
    bench.load("helpdesk.tickets", TICKETS)
    copied: list[int] = []
    # It may end sessions that wait, and the profile's query in a comment.
    bench.run("set global wait_timeout = 1")
    commented = TICKETS.replace("table: tickets", 'query: "select * from tickets -- all of them"')

    def write(stage: str, rows: int) -> None:
        if stage == "copied":
            copied.append(rows)
            time.sleep(1.5)
            bench.run("set global wait_timeout = default", "delete from tickets where ticket_id = 't1'")

    night = bench.load("helpdesk.tickets", commented, on_progress=write)
    # The keys were read after that and do not show it.
    assert (copied, night.keys_deleted, night.live_keys, night.source_keys) == ([100], 0, 100, 100)
    assert bench.load("helpdesk.tickets", TICKETS).keys_deleted == 1


def test_the_doctor_reads_the_columns_of_a_source(server: mariadb.MariaDB, tmp_path: Path) -> None:
    database = server.create_database()
    create = "create table tickets (ticket_id int, opened_at text, updated_at timestamp, secret json)"
    server.execute(database, create)
    (tmp_path / "profile.yml").write_text(TICKETS)
    profile = load_profile(tmp_path / "profile.yml")
    diagnosis = diagnose(profile, {"db": server.url(database)})
    tickets = next(table for table in diagnosis.tables if table.table == "helpdesk.tickets")
    assert (tickets.state, tickets.origin, tickets.unmapped) == ("unusable", "db: table tickets", ("secret",))
    assert 'column "opened_at" is text in the source' in str(tickets.problem)
    assert tickets.mapped == {"ticket_id": "ticket_id", "opened_at": "opened_at", "updated_at": "updated_at"}
    away = diagnose(profile, {"db": server.url(database).replace(f":{server.port}", ":1")})
    tickets = next(table for table in away.tables if table.table == "helpdesk.tickets")
    assert tickets.state == "unreachable"
    assert "Can't connect to MySQL server" in str(tickets.problem)


def test_a_database_without_a_reader_of_its_own(warehouse: "Warehouse", tmp_path: Path) -> None:
    with closing(warehouse.connect()) as conn:
        create_raw_tables(conn)
    bench = Bench(warehouse, f"sqlite:///{tmp_path / 'desk.db'}", tmp_path)
    with closing(sqlite3.connect(tmp_path / "desk.db")) as desk:
        desk.execute("create table tickets (ticket_id integer primary key, priority text, is_spam boolean,"
                     " opened_at datetime, updated_at datetime)")  # fmt: skip
        rows = [(n, "a\\b\tc" if n % 2 else None, n % 2, f"2026-01-{n:02} 03:00:00") for n in range(1, 31)]
        desk.executemany("insert into tickets values (?, ?, ?, '2026-01-01 03:00:00', ?)", rows)
        desk.commit()
        first = bench.load("helpdesk.tickets", TICKETS)
        assert (first.reader, first.live_keys, first.source_keys) == ("sqlalchemy sqlite", 30, 30)
        row = bench.query("select priority, is_spam, opened_at = '2026-01-01 00:00Z' from raw.helpdesk__tickets"
                          " where ticket_id = '7'")  # fmt: skip
        assert row == [("a\\b\tc", True, True)]
        desk.execute("update tickets set priority = 'low', updated_at = '2026-01-30 04:00:00' where ticket_id = 7")
        desk.execute("delete from tickets where ticket_id = 8")
        desk.commit()
    second = bench.load("helpdesk.tickets", TICKETS)
    assert (second.rows_read, second.rows_appended, second.keys_deleted, second.live_keys) == (2, 2, 1, 29)
    with pytest.raises(ExtractError, match=r"sqlite does not tell the types of a query.*Make it a view"):
        bench.load("helpdesk.tickets", TICKETS.replace("table: tickets", "query: select * from tickets"))
