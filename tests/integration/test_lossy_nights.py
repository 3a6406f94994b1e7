"""Nights with an extract that lost something: they stop before publish or warn, marts serve the night before, and no
subscriber churns for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg2
import pytest
from psycopg2 import sql

from conftest import Warehouse, create_database
from harness import NightSpec, as_of_after, continue_night, hashes, scalar, simulate
from retention.extract import DeletesRefusedError, ReconciliationError
from retention.extract.acceptance import accept_loss, refusal
from retention.night import Night
from retention.quality.loss import check_loss
from retention.quality.verdict import GateFailed, Verdict
from retention.simulator.run import forward
from retention.warehouse.batches import close_loads

pytestmark = pytest.mark.soak
DAYS = 40
CHURN = "select count(*) from marts.fct_churn_events"


@dataclass
class Operator:
    """An operator with one published night and a day lived since; `batch_id` is the night under way."""

    warehouse: Warehouse
    spec: NightSpec
    batch_id: int
    marts: dict[str, tuple[int, str]]
    churned: object

    @contextmanager
    def damaged(self, database: str, statements: str) -> Iterator[Night]:
        """The night under way on a copy of a source database, after `statements` on it."""
        copy = create_database(self.warehouse.cluster, "copy")
        original = psycopg2.extensions.parse_dsn(self.spec.sources[database])["dbname"]
        admin = psycopg2.connect(self.warehouse.cluster.dsn("postgres"))
        admin.autocommit = True
        with admin.cursor() as cur:
            cur.execute(sql.SQL("drop database {}").format(sql.Identifier(copy)))
            cur.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(copy), sql.Identifier(original))
            )
        admin.close()
        dsn = self.warehouse.cluster.dsn(copy)
        with psycopg2.connect(dsn) as conn, conn.cursor() as cur:
            cur.execute(statements)
        conn.close()
        yield replace(self.spec, sources=self.spec.sources | {database: dsn}).night()
        self.is_as_before()

    def is_as_before(self) -> None:
        """BI sees the night before, and nobody more has churned."""
        assert hashes(self.spec.etl_dsn, "marts") == self.marts
        assert scalar(self.spec.etl_dsn, CHURN) == self.churned
        assert scalar(self.spec.etl_dsn, "select batch_id from ops.slots where state = 'live'") == 1

    def check_loss(self) -> Verdict:
        """As check_raw does when it is cleared: with the loads that there are by then."""
        conn = self.warehouse.connect("etl")
        close_loads(conn, self.batch_id)
        conn.close()
        return check_loss(self.spec.etl_dsn, self.batch_id)

    def refused(self, table: str) -> str:
        """What `retention accept-loss` shows."""
        with self.warehouse.connect() as conn, conn.cursor() as cur:
            return str(refusal(cur, self.batch_id, table))

    def accept(self, table: str) -> None:
        with self.warehouse.connect() as conn, conn.cursor() as cur:
            accept_loss(cur, self.batch_id, table, "seen by a test")


@pytest.fixture(scope="module")
def operator(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    work = tmp_path_factory.mktemp("operator")
    spec = simulate(shared_warehouse, work, subscribers=200, days=DAYS, seed=7)
    spec.night("night 1").run(as_of_after(DAYS))
    forward(spec.sources["crm"], spec.sources["helpdesk"], work)
    # The day's files do not come.
    (work / "nothing").mkdir()
    for folder in (work / "drops").iterdir():
        (work / "nothing" / folder.name).mkdir()
    spec = replace(spec, environment=spec.environment | {"RETENTION_DROPS": str(work / "nothing")})
    batch_id = spec.night().open(as_of_after(DAYS + 1))
    return Operator(shared_warehouse, spec, batch_id, hashes(spec.etl_dsn, "marts"), scalar(spec.etl_dsn, CHURN))


@pytest.mark.parametrize(
    ("table", "damage", "error"),
    [
        ("crm.parties", "delete from customers", DeletesRefusedError),
        ("crm.subscriptions", "delete from subscriptions where right(subscription_id, 1) in ('0','2','4','6','8')",
         DeletesRefusedError),
        ("crm.usage_months", "delete from usage_months where month_on = (select max(month_on) from usage_months)"
         " and right(subscription_id, 1) in ('0','2','4','6','8')", (DeletesRefusedError, ReconciliationError)),
    ],
)  # fmt: skip
def test_an_emptied_or_halved_table_stops_the_night(
    operator: Operator, table: str, damage: str, error: type[Exception]
) -> None:
    loads = scalar(operator.spec.etl_dsn, "select count(*) from ops.loads")
    with (
        operator.damaged("crm", damage) as night,
        pytest.raises(error, match=rf"{table}: the source has .* Nothing of"),
    ):
        night.extract(operator.batch_id, table)
    assert scalar(operator.spec.etl_dsn, "select count(*) from ops.loads") == loads
    assert "the source has" in operator.refused(table)


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("update subscriptions set status = 'terminated', terminated_at = t, updated_at = t"
         " from (select max(updated_at) as t from subscriptions) l where status <> 'terminated'"
         " and right(subscription_id, 1) in ('1','2')", "newly_ended"),
        ("update subscriptions set status = null, updated_at = t"
         " from (select max(updated_at) as t from subscriptions) l", "status_emptied"),
    ],
)  # fmt: skip
def test_a_status_that_says_everybody_left_stops_the_night(operator: Operator, damage: str, check: str) -> None:
    healthy = operator.spec.night()
    healthy.extract(operator.batch_id, "crm.subscriptions")
    with operator.damaged("crm", damage) as night:
        night.extract(operator.batch_id, "crm.subscriptions", force=True)
        with pytest.raises(GateFailed, match=rf"crm\.subscriptions: {check} failed for .*`retention accept-loss crm\."):
            night.check_raw(operator.batch_id)
    assert check in operator.refused("crm.subscriptions")
    # `retention reload`, the source being mended.
    assert healthy.extract(operator.batch_id, "crm.subscriptions", force=True) > 0
    assert not operator.check_loss().critical_failures


def test_a_flood_of_endings_stops_the_night_and_can_be_taken_back(operator: Operator) -> None:
    table, healthy = "crm.subscription_events", operator.spec.night()
    healthy.extract(operator.batch_id, table)
    flood = """
        insert into subscription_events (subscription_event_id, subscription_id, kind, event_at, recorded_at)
        select 'X' || subscription_id, subscription_id, 'debt', t, t
        from subscriptions, (select max(recorded_at) as t from subscription_events) l where status = 'active'
    """
    with operator.damaged("crm", flood) as night:
        night.extract(operator.batch_id, table, force=True)
        with pytest.raises(GateFailed, match=r"crm\.subscription_events: newly_ended_by_events failed"):
            night.check_raw(operator.batch_id)
    # Taken back at the source, they are gone from a table that never loses rows: that is a loss to accept.
    with pytest.raises(DeletesRefusedError):
        healthy.extract(operator.batch_id, table, force=True)
    operator.accept(table)
    healthy.extract(operator.batch_id, table, force=True)
    assert not operator.check_loss().critical_failures


def test_files_that_did_not_come_are_warnings(operator: Operator) -> None:
    night = operator.spec.night()
    files = ("vendor.call_attempts", "vendor.survey_invitations", "vendor.survey_responses", "web.public_reviews")
    for table in files:
        assert night.extract(operator.batch_id, table) == 0
    warnings = operator.check_loss().warnings
    assert sorted(check.table for check in warnings if check.name == "new_file") == list(files)
    booked = "select count(*) from ops.checks where gate = 'volume' and check_name = 'new_file' and not is_passed"
    assert scalar(operator.spec.etl_dsn, booked) == len(files)


@pytest.mark.soak
def test_the_night_goes_on_when_all_is_mended_and_nobody_churned(operator: Operator) -> None:
    restated = """
        update tickets set opened_at = opened_at - interval '9 days', updated_at = t
        from (select max(updated_at) as t from tickets) as latest
        where ticket_id = (select min(ticket_id) from tickets) returning ticket_id
    """
    with psycopg2.connect(operator.spec.sources["helpdesk"]) as conn, conn.cursor() as cur:
        cur.execute(restated)
        (ticket_id,) = cur.fetchone() or ("",)
    conn.close()
    continue_night(operator.spec.night(), as_of_after(DAYS + 1), "extract")
    assert scalar(operator.spec.etl_dsn, "select batch_id from ops.slots where state = 'live'") == operator.batch_id
    churned = int(str(scalar(operator.spec.etl_dsn, CHURN)))
    assert int(str(operator.churned)) <= churned <= int(str(operator.churned)) + 5
    # An older date is another version in raw; staging shows the last.
    opened = "select array_agg(opened_at order by _load_id) from raw.helpdesk__tickets where ticket_id = %s"
    first, last = scalar(operator.spec.etl_dsn, opened, ticket_id)  # type: ignore[misc] # an array of two
    assert (first - last).days == 9
    staged = "select opened_at from staging.stg_helpdesk__tickets where ticket_id = %s"
    assert scalar(operator.spec.etl_dsn, staged, ticket_id) == last
