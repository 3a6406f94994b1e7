"""Rejects: listed without what they say, read again when asked, and in staging once they are right."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from extract_kit import Bench
from files_kit import HEADER, PLAIN, call, drop, empty_bench, seconds_by_attempt
from rich.console import Console
from typer.testing import CliRunner

from harness import PROJECT
from retention.cli import app
from retention.extract import ExtractError, rejects
from retention.local import home as home_room
from retention.local import rejects as room
from retention.local import settings, setup
from retention.local.home import Home, LocalError
from retention.local.postgres import Cluster
from retention.transform import Built, Dbt, Project
from retention.warehouse import batches

if TYPE_CHECKING:
    from tests.conftest import Warehouse

TABLE = "vendor.call_attempts"
OPEN = "select file, line, reason from raw.rejects where replayed_load_id is null order by file, line"


@pytest.fixture
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path: Path) -> Bench:
    return empty_bench(cluster, shared_warehouse, tmp_path)


def ask(bench: Bench, table: str, file: str | None = None) -> rejects.Asked:
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        return rejects.ask(cur, table, file)


def summary(bench: Bench, with_replayed: bool) -> list[tuple[str | None, str, int, int | None]]:
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        return [(x.file, x.reason, x.rows, x.replayed_load_id) for x in rejects.summary(cur, with_replayed)]


def finish(bench: Bench) -> None:
    """BI sees the night: no night is open."""
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        cur.execute("update ops.batches set state = 'published'")


def test_an_unchanged_file_is_read_again_by_the_next_load_and_only_then(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a") + call("b", "x"))
    drop(bench, "2.csv", HEADER + call("c"))
    first = bench.load(TABLE, PLAIN)
    assert bench.load(TABLE, PLAIN).rows_read == 0
    assert ask(bench, TABLE) == ask(bench, TABLE) == rejects.Asked(("1.csv",), 1)
    again = bench.load(TABLE, PLAIN)
    assert (again.rows_read, again.rows_rejected, again.live_keys) == (2, 1, 2)
    # The row is as bad as before: the new load's reject takes the place of the old one.
    reason = "column connected_seconds is not an integer"
    assert summary(bench, with_replayed=False) == [("1.csv", reason, 1, None)]
    assert summary(bench, with_replayed=True)[1] == ("1.csv", reason, 1, again.load_id)
    assert bench.query("select rejects, load_id from ops.reject_counts") == [(1, again.load_id)]
    # The first load stays as it was booked.
    assert bench.query(f"select rows_rejected from ops.loads where load_id = {first.load_id}") == [(1,)]
    assert bench.load(TABLE, PLAIN).rows_read == 0


def test_nothing_to_replay_says_so(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("b", "x"))
    bench.load(TABLE, PLAIN)
    for table, file in ((TABLE, "2.csv"), ("crm.parties", None)):
        with pytest.raises(ExtractError, match=rf"^{table}.* has no open rejects\. Nothing was asked for"):
            ask(bench, table, file)
    assert bench.query("select count(*) from ops.replays") == [(0,)]


def test_a_replay_in_the_open_night_is_a_load_of_its_own(bench: Bench) -> None:
    drop(bench, "1.csv", HEADER + call("a") + call("b", "x"))
    batch = bench.new_batch()
    first = bench.load(TABLE, PLAIN, batch)
    drop(bench, "1.csv", HEADER + call("a") + call("b", 2))
    assert bench.load(TABLE, PLAIN, batch).skipped
    ask(bench, TABLE, "1.csv")
    again = bench.load(TABLE, PLAIN, batch)
    assert (again.skipped, again.rows_appended, seconds_by_attempt(bench)) == (False, 1, {"a": 1, "b": 2})
    assert bench.load(TABLE, PLAIN, batch).load_id == first.load_id
    assert bench.query("select is_forced from ops.loads order by load_id") == [(False,), (True,)]


def test_rows_of_a_file_that_is_gone_come_from_what_was_kept(bench: Bench) -> None:
    profile = PLAIN.replace('*.csv"', '*.csv", formats: {timestamptz: "%Y-%m-%d"}')
    bad = [
        call("date", 1, "05.01.2026"), call("yes").replace("true", "да"), call("few").replace(",x", ""),
        call("twice", 7), call("twice", 8), call("bytes\udcff"),
    ]  # fmt: skip
    path = drop(bench, "1.csv", (HEADER + call("ok") + "".join(bad)).encode(errors="surrogateescape"))
    assert bench.load(TABLE, profile).rows_rejected == 5
    path.unlink()
    mended = PLAIN.replace(
        '*.csv"',
        '*.csv", formats: {timestamptz: "%d.%m.%Y"}, columns: {is_answered: {column: is_answered, map: {да: true}}}',
    )
    assert bench.load(TABLE, mended).rows_read == 0
    ask(bench, TABLE)
    replayed = bench.load(TABLE, mended)
    assert (replayed.rows_read, replayed.rows_rejected, replayed.rows_appended) == (3, 1, 2)
    assert seconds_by_attempt(bench) == {"ok": 1, "twice": 7, "date": 1, "yes": 1}
    # Too few columns are still too few; a second row of a key and lost bytes only the file could mend.
    assert bench.query(OPEN) == [
        ("1.csv", 5, "5 columns, the header has 6"),
        ("1.csv", 7, "key attempt_id is not unique in the file"),
        ("1.csv", 8, "bytes that are not utf-8"),
    ]
    # It counts as read only once it was: a file that comes back is read whole.
    path.write_text(HEADER + call("bytes", 3))
    assert bench.load(TABLE, mended.replace("%d.%m.%Y", "%Y-%m-%d")).rows_appended == 1
    assert bench.query(OPEN) == []


def test_kept_rows_do_not_overwrite_what_their_file_said(bench: Bench) -> None:
    path = drop(bench, "1.csv", HEADER + call("a", "1,5".replace(",", ".")) + call("a", 2))
    bench.load(TABLE, PLAIN)
    path.unlink()
    rule = 'columns: {connected_seconds: {column: connected_seconds, map: {"1.5": 1}}}'
    ruled = PLAIN.replace('*.csv"', f'*.csv", {rule}')
    ask(bench, TABLE)
    assert bench.load(TABLE, ruled).rows_appended == 0
    assert seconds_by_attempt(bench) == {"a": 2}
    assert bench.query(OPEN) == [("1.csv", 2, "key attempt_id is not unique in the file")]


def test_what_was_kept_of_an_erased_person_is_not_read_again(bench: Bench) -> None:
    path = drop(bench, "1.csv", HEADER + call("a", "x") + call("b", "y"))
    bench.load(TABLE, PLAIN)
    path.unlink()
    with closing(bench.warehouse.connect()) as conn, conn, conn.cursor() as cur:
        cur.execute("update raw.rejects set row_text = null where line = 2")
    ask(bench, TABLE)
    assert bench.load(TABLE, PLAIN).rows_read == 1
    assert [line for _, line, _ in bench.query(OPEN)] == [2, 3]


def test_a_databases_table_is_read_whole(bench: Bench) -> None:
    profile = "zone: UTC\ntables:\n  crm.plans: {connection: db, table: plans}\n"
    bench.open_source("create table plans (plan_id text, name text); insert into plans values ('a', 'x'), (null, 'y')")
    bench.load("crm.plans", profile)
    assert summary(bench, with_replayed=False) == [(None, "key plan_id is NULL", 1, None)]
    bench.open_source("update plans set plan_id = 'b' where plan_id is null")
    ask(bench, "crm.plans")
    again = bench.load("crm.plans", profile)
    assert (again.rows_read, again.live_keys, summary(bench, with_replayed=False)) == (2, 2, [])


@pytest.fixture
def home(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose warehouse is the test's."""
    environment = {"RETENTION_SOURCES": str(bench.folder / "profile.yml"), "DROPS": str(bench.folder)}
    found = Home(PROJECT, bench.folder / "home")
    monkeypatch.setattr(settings, "dsn", lambda home, database, role: bench.warehouse.dsn(role))
    monkeypatch.setattr(settings, "environment", lambda home: environment)
    monkeypatch.setattr(settings, "source_dsns", lambda home: {})
    monkeypatch.setattr(setup, "up_databases", lambda home, progress: None)
    monkeypatch.setattr(home_room, "find_home", lambda: found)
    return found


def retention(*words: str) -> str:
    done = CliRunner(env={"COLUMNS": "140"}).invoke(app, ["rejects", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_commands_never_show_a_row_unless_told_to_on_a_terminal(bench: Bench, home: Home) -> None:
    drop(bench, "1.csv", HEADER + call("79160000000", "x") + call("79160000001", "y") + call("ok"))
    first = bench.load(TABLE, PLAIN)
    listed = retention()
    assert TABLE in listed
    assert re.search(rf"│ +2 │ +{first.load_id} │ 2026-01-05 23:00 +│ open", listed)
    shown = retention("show", TABLE, "--file", "1.csv")
    assert shown.count("connected_seconds is not an integer") == 2
    assert "7916" not in listed + shown
    done = CliRunner().invoke(app, ["rejects", "show", TABLE, "--rows"])
    assert (done.exit_code, "7916" in done.output) == (1, False)
    assert "shown on a terminal only" in done.stderr
    with pytest.raises(LocalError, match="terminal only"):
        room.show_rows(home, Console(force_terminal=False), TABLE, None, 20, with_text=True)
    terminal = Console(force_terminal=True, width=200, record=True, quiet=False)
    room.show_rows(home, terminal, TABLE, None, 1, with_text=True)
    assert "79160000000" in terminal.export_text()


def staged(bench: Bench, dbt: Dbt) -> list[str]:
    """Build the calls' staging as a night's transform does; what is in it."""
    with closing(bench.warehouse.connect()) as conn:
        batch_id = max(id_ for (id_,) in bench.query("select batch_id from ops.batches"))
        batches.set_current_run(conn, batches.get_batch(conn, batch_id))
        dbt._run(["run", "--select", "stg_vendor__call_attempts"], Built())
        batches.consume_loads(conn, batch_id)
        with batches.recorded_step(conn, batch_id, "transform"):
            pass
    return [name for (name,) in bench.query("select attempt_id from staging.stg_vendor__call_attempts order by 1")]


def test_a_corrected_file_replayed_is_in_staging_the_next_night(bench: Bench, home: Home) -> None:
    drop(bench, "1.csv", HEADER + call("a") + call("planted", "x"))
    bench.load(TABLE, PLAIN)
    target = bench.folder / "dbt"
    target.mkdir()
    dbt = Dbt(Project(PROJECT / "dbt_project", target, bench.warehouse.dsn()))
    assert staged(bench, dbt) == ["a"]
    finish(bench)
    assert "the next load of vendor.call_attempts reads them again" in retention("replay", TABLE)

    drop(bench, "1.csv", HEADER + call("a") + call("planted", 5))
    night = bench.new_batch()
    bench.load(TABLE, PLAIN, night)
    assert "no open rejects" in retention()
    assert "by load" in retention("--all")
    assert staged(bench, dbt) == ["a", "planted"]

    # In an open night it happens at once, through the night's own step.
    drop(bench, "2.csv", HEADER + call("late", "?"))
    night = bench.new_batch()
    bench.load(TABLE, PLAIN, night)
    drop(bench, "2.csv", HEADER + call("late", 9))
    said = retention("replay", TABLE, "--file", "2.csv")
    assert "1 rejects were read again: 1 rows came in, 0 are open" in said
    assert bench.query(f"select rows from ops.steps where batch_id = {night} and step like 'extract %'") == [(1,)]
    assert seconds_by_attempt(bench)["late"] == 9
    ((text,),) = bench.query("select row_text from raw.rejects where file = '2.csv'")
    assert json.loads(text)["attempt_id"] == "late"
