"""A final figure that is no longer what was published: told with its reason, or raised as an alarm."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dbt.cli.main import dbtRunner
from outcomes_kit import POLICY, TABLES, insert
from psycopg2.extensions import cursor as Cursor

from conftest import Warehouse
from retention.outcomes.track import track_outcomes
from retention.quality.gate import run_gate
from retention.sources.contract import create_raw_tables
from retention.transform import Dbt, Project, _environment
from retention.warehouse import batches
from retention.warehouse.late_rows import book_late_rows

pytestmark = pytest.mark.deep
PROJECT = Path(__file__).resolve().parents[2]
MOSCOW = ZoneInfo("Europe/Moscow")
FIRST_NIGHT = datetime(2026, 2, 5, 2, tzinfo=MOSCOW)
SUITE = PROJECT / "expectations" / "marts" / "restatements.yml"


class Nights:
    """Published nights over hand-made outcomes: 20 episodes of March 2025 and 20 of April, all long since final."""

    def __init__(self, warehouse: Warehouse, work: Path) -> None:
        self.dsn, self.conn, self.batch_id, self.night = warehouse.dsn("etl"), warehouse.connect("etl"), 0, 0
        create_raw_tables(self.conn)
        self.query = _compiled(Project(PROJECT / "dbt_project", work, self.dsn))
        self.publisher = warehouse.connect("publisher")
        with self.conn, self.conn.cursor() as cur:
            cur.execute(POLICY)
            cur.execute(TABLES.format(schema="intermediate"))
            window = dict.fromkeys(("as_of", "window_to", "observed_from"), FIRST_NIGHT)
            insert(cur, "intermediate.int_coverage_window", window)
            for i in range(40):
                insert(cur, "intermediate.int_episode_outcomes", _episode(i))

    def run(self, change: str | None = None, late: datetime | None = None, seeds: str = "as they were") -> None:
        """One night with ordinary traffic: a change of outcomes, perhaps with a row of the CRM that tells of it, and
        perhaps new seeds.
        """
        if self.night:
            self.publish()
        as_of = FIRST_NIGHT + timedelta(days=self.night)
        self.night += 1
        with self.conn, self.conn.cursor() as cur:
            published = "update ops.batches set state = 'published', published_at = as_of where batch_id = %s"
            cur.execute(published, (self.batch_id,))
        batch = batches.open_batch(self.conn, as_of, "test")
        self.batch_id = batch.batch_id
        batches.set_current_run(self.conn, batch)
        with self.conn, self.conn.cursor() as cur:
            if change is not None:
                cur.execute(f"update intermediate.int_episode_outcomes set {change}")
            if late is not None:
                cur.execute(
                    "insert into raw.crm__subscription_events (subscription_event_id, subscription_id, kind, event_at,"
                    " recorded_at, _load_id) values (%s, 's3', 'port_completed', %s, %s, %s)",
                    (f"late {self.batch_id}", late, late, self._load(cur, "crm.subscription_events")),
                )
            else:
                self._load(cur, "crm.subscription_events")
            # A ticket of April is answered once more, and the month of usage goes on.
            cur.execute(
                "insert into raw.helpdesk__tickets (ticket_id, status, opened_at, updated_at, _load_id)"
                " values ('t', %s, '2025-04-05 12:00+03', %s, %s)",
                (f"answer {self.night}", as_of, self._load(cur, "helpdesk.tickets")),
            )
            cur.execute(
                "insert into raw.crm__usage_months (subscription_id, month_on, last_revenue_at, updated_at, _load_id)"
                " values ('s1', '2026-02-01', %s, %s, %s)",
                (as_of, as_of, self._load(cur, "crm.usage_months")),
            )
            cur.execute("update ops.batches set seed_hash = %s where batch_id = %s", (seeds, self.batch_id))
        batches.consume_loads(self.conn, self.batch_id)
        book_late_rows(self.conn, self.batch_id)
        with batches.recorded_step(self.conn, self.batch_id, "transform"):
            pass
        track_outcomes(self.conn, as_of, self.batch_id)

    def _load(self, cur: Cursor, table: str) -> int:
        cur.execute(
            "insert into ops.loads (batch_id, table_name, rows_read, rows_appended, keys_new, keys_deleted,"
            " rows_rejected, live_keys, contract_hash, reader, seconds)"
            " values (%s, %s, 1, 1, 1, 0, 0, 1, '', 'planted', 0) returning load_id",
            (self.batch_id, table),
        )
        (load_id,) = cur.fetchone() or (0,)
        return int(load_id)

    def publish(self) -> None:
        """BI reads tonight's mart."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute("drop table if exists marts_a.told_tonight")
            cur.execute(f"create table marts_a.told_tonight as {self.query}")
            cur.execute("create table if not exists marts_a.restatements (like marts_a.told_tonight)")
            cur.execute("delete from marts_a.restatements; insert into marts_a.restatements table marts_a.told_tonight")
            cur.execute("drop table marts_a.told_tonight")
        with self.publisher, self.publisher.cursor() as cur:
            cur.execute("create or replace view marts.restatements as select * from marts_a.restatements")
            cur.execute("grant select on marts.restatements to etl")

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What a query returns; {mart} is the mart of tonight."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(query.replace("{mart}", f"({self.query}) as restatements"))
            return cur.fetchall()

    def told(self, columns: str) -> list[tuple[object, ...]]:
        """What the mart says that tonight changed."""
        return self.rows(f"select {columns} from {{mart}} where is_latest order by metric, month, horizon_days")


def _compiled(project: Project) -> str:
    """The mart's query."""
    dbt = Dbt(project)
    folders = ["--project-dir", project.folder, "--profiles-dir", project.folder, "--target-path", project.target]
    flags = ["--quiet", "--log-level", "none", "--log-level-file", "none", "compile", "--select", "restatements"]
    with _environment(project.environment()):
        result = dbtRunner(manifest=dbt.manifest).invoke([*flags, *map(str, folders)])
    assert result.success, result.exception
    (compiled,) = (one.node for one in result.result.results if one.node.resource_type == "model")
    return str(compiled.compiled_code)


def _episode(i: int) -> dict[str, object]:
    started = datetime(2025, 3 + i // 20, 5, tzinfo=MOSCOW)
    return {
        "episode_id": f"e{i}",
        "subscription_id": f"s{i}",
        "party_id": f"p{i}",
        "segment": "mass",
        "product": "postpaid",
        "level": "L1",
        "topic": "billing",
        "started_at": started,
        "level_reached_at": started,
        "is_left_before": False,
        "churned_at": started + timedelta(days=40) if i % 20 < 2 else None,
        "churn_kind": "port_out" if i % 20 < 2 else None,
        "knowable_until_order": FIRST_NIGHT,
        "knowable_until_any": FIRST_NIGHT,
        "is_index": True,
        "is_own_words_3b": False,
    }


@pytest.fixture(scope="module")
def nights(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    found = Nights(shared_warehouse, tmp_path_factory.mktemp("dbt"))
    found.run()
    yield found
    found.conn.close()
    found.publisher.close()


def test_the_first_night_and_one_where_nothing_changed_restate_nothing(nights: Nights) -> None:
    assert nights.told("reason") == []
    nights.run()
    assert nights.told("reason") == []
    # Else this would say nothing: figures of both months were final, and some of them not zero.
    published = nights.rows(
        "select member, horizon_days, count(*) from outcomes.retention_metrics where breakdown = 'month'"
        " and maturity_status = 'mature' and numerator > 0 and metric = 'share_left_any' group by 1, 2 order by 1, 2"
    )
    assert published == [(month, days, 2) for month in ("2025-03", "2025-04") for days in (60, 90, 180)]


def test_a_late_churn_restates_its_month_from_its_horizon_on(nights: Nights) -> None:
    """A port of 14 May that reaches us in February: 70 days after a complaint of March."""
    late = datetime(2025, 5, 14, tzinfo=MOSCOW)
    nights.run("churned_at = '2025-05-14 00:00+03', churn_kind = 'port_out' where episode_id = 'e3'", late)
    told = "metric, month, horizon_days, numerator_before, numerator_after, n_after, reason, is_rule_version"
    assert nights.told(told) == [
        (metric, "2025-03", days, 2, 3, 20, "late_data", False)
        for metric in ("share_left_any", "share_left_by_order")
        for days in (90, 180)
    ]
    # Not the ticket that was answered once more, nor the month of usage that goes on.
    booked = nights.rows("select table_name, what, month_on::text, rows from ops.past_changes")
    assert booked == [("crm.subscription_events", "about_past", "2025-05-01", 1)]
    nights.run()
    assert nights.told("reason") == []
    history = nights.rows("select distinct reason, is_latest from {mart}")
    assert history == [("late_data", False)], "what was restated stays told"


def test_a_changed_rule_is_the_reason_even_on_a_night_with_late_rows(nights: Nights) -> None:
    late = datetime(2025, 5, 14, tzinfo=MOSCOW)
    nights.run("is_index = false where episode_id = 'e24'", late, seeds="changed")
    told = {tuple(row) for row in nights.told("month, n_before, n_after, reason, is_late_data, is_code")}
    assert told == {("2025-04", 20, 19, "rule_version", True, False)}


def test_a_figure_that_changed_without_a_reason_raises_the_warning(nights: Nights, tmp_path: Path) -> None:
    nights.run(seeds="changed")
    with nights.conn, nights.conn.cursor() as cur:
        cur.execute(
            "update outcomes.retention_metrics set numerator = numerator + 1 where breakdown = 'month'"
            " and member = '2025-03' and metric = 'share_left_any' and horizon_days = 60 and batch_id = %s",
            (nights.batch_id,),
        )
    told = "metric, month, horizon_days, numerator_before, numerator_after, reason, needs_explanation"
    assert nights.told(told) == [("share_left_any", "2025-03", 60, 2, 3, "unexplained", True)]
    (tmp_path / "expectations" / "marts").mkdir(parents=True)
    shutil.copy(SUITE, tmp_path / "expectations" / "marts")
    nights.publish()
    verdict = run_gate(nights.dsn, "marts", nights.batch_id, tmp_path / "expectations", "marts_a")
    (warning,) = verdict.warnings
    assert "needs_explanation" in str(warning)


def test_a_withdrawn_night_is_no_longer_told(nights: Nights) -> None:
    """It is compared with what BI reads again; what was told of other nights is not judged anew."""
    earlier = "select as_of, month, horizon_days, metric, reason from {mart} where not is_latest order by 1, 2, 3, 4"
    nights.run(seeds="changed")
    told = nights.rows(earlier)
    assert {row[-1] for row in told} == {"late_data", "rule_version", "unexplained"}
    with nights.conn, nights.conn.cursor() as cur:
        cur.execute("update ops.batches set code_hash = 'of a later night', seed_hash = 'too'")
        cur.execute("delete from ops.past_changes")
    nights.run(seeds="too")
    assert [row for row in nights.rows(earlier) if row in told] == told
    with nights.conn, nights.conn.cursor() as cur:
        cur.execute("update ops.batches set state = 'open' where as_of = %s", (told[-1][0],))
    nights.run(seeds="too")
    assert {row[-1] for row in nights.rows(earlier)} >= {"late_data", "rule_version"}
    assert told[-1] not in nights.rows(earlier)
