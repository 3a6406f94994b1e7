"""The run every ten minutes on a real operator: what is written by day goes to a manager once, whatever happens."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from conftest import Warehouse
from harness import NightSpec, as_of_after, run_steps, scalar, simulate
from retention.handover import live, run
from retention.handover.live import LiveError, NotNowError
from retention.handover.outbox import PolicyError, hand_over
from retention.handover.run import TARGET, Done, ShortRunFailed
from retention.text import store
from retention.transform import Dbt, Project
from retention.warehouse import batches

# The night's own time counts as the first test's.
pytestmark = pytest.mark.timeout(900)

DAYS = 12
NIGHT = as_of_after(DAYS)
THREAT = "Надоело, ухожу к другому оператору!"
WORKED = "select count(*) from ops.steps where batch_id = %s and step = 'transform'"


def after(minutes: float) -> datetime:
    return NIGHT + timedelta(minutes=minutes)


@dataclass
class Desk:
    """An operator after its first night, whose subscribers go on writing."""

    spec: NightSpec
    subscribers: list[str] = field(default_factory=list)

    def run(self, minutes: float, run_id: str = "short run", lease_wait_seconds: float = 5) -> Done:
        return self.spec.short_run(run_id, lease_wait_seconds).run(after(minutes))

    def contact(
        self, id_: str, subscription: str, minutes: float, body: str, seen: float | None = None, **columns: object
    ) -> None:
        """A customer writes to the helpdesk `minutes` after the night; it is in the source since `seen`."""
        at, seen_at = after(minutes), after(minutes if seen is None else seen)
        row = {
            "interaction_id": id_, "subscription_id": subscription, "channel": "chat", "direction": "inbound",
            "initiator": "customer", "author_kind": "human", "topic_code": "billing_dispute", "is_answered": True,
            "started_at": at, "ended_at": at, "language": "ru", "body": body, "recorded_at": seen_at,
            "updated_at": seen_at, **columns,
        }  # fmt: skip
        self.insert("helpdesk", "interactions", row)

    def port_request(self, id_: str, subscription: str, minutes: float) -> None:
        row = {
            "subscription_event_id": id_, "subscription_id": subscription, "kind": "port_request",
            "order_id": f"order of {id_}", "event_at": after(minutes), "recorded_at": after(minutes),
        }  # fmt: skip
        self.insert("crm", "subscription_events", row)

    def insert(self, source: str, table: str, row: dict[str, object]) -> None:
        columns, values = ", ".join(row), ", ".join(["%s"] * len(row))
        self.change(source, f"insert into {table} ({columns}) values ({values})", *row.values())

    def change(self, source: str, statement: str, *values: object) -> None:
        dsn = self.spec.etl_dsn if source == "warehouse" else self.spec.sources[source]
        with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cur:
            cur.execute(statement, values or None)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.spec.etl_dsn)) as conn, conn, conn.cursor() as cur:
            cur.execute(query, values or None)
            return cur.fetchall()

    def outbox(self, subscription: str) -> list[tuple[object, ...]]:
        return self.rows(
            "select level, kind, evidence ->> 'contact_id', evidence ->> 'order_id', to_role is not null,"
            " extract(epoch from due_at - triggered_at)::int, triggered_at, delivered_at from ops.handovers"
            " where subject_id = %s order by handover_id",
            subscription,
        )


@pytest.fixture(scope="module")
def desk(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One night, as far as the hand-over."""
    spec = simulate(shared_warehouse, tmp_path_factory.mktemp("operator"), subscribers=120, days=DAYS, seed=4)
    with pytest.raises(LiveError, match=r"no night has been built.*retention run"):
        spec.short_run().run(NIGHT)
    run_steps(spec.night("night 1"), NIGHT, "hand_over")
    quiet = (
        "select s.subscription_id from staging.stg_crm__subscriptions as s"
        " inner join staging.stg_crm__parties as p using (party_id)"
        " where s.status = 'active' and p.segment = 'mass' and p.is_staff is not true and p.is_test is not true"
        " and s.subscription_id not in"
        " (select subject_id from intermediate.int_contacts_linked where subject_id is not null)"
        " order by 1 limit 8"
    )
    room = Desk(spec)
    room.subscribers = [str(id_) for (id_,) in room.rows(quiet)]
    yield room


def test_a_threat_and_a_port_request_are_handed_over_once(desk: Desk) -> None:
    threatens, ports, *_ = desk.subscribers
    before = scalar(desk.spec.etl_dsn, "select count(*) from ops.handovers")
    desk.contact("c-threat", threatens, 2, THREAT)
    desk.contact("c-complains", ports, 1, "Почему списали деньги?")
    desk.port_request("e-port", ports, 3)
    done = desk.run(10)
    assert done.handed == 2
    assert done.skipped is None
    assert desk.outbox(threatens) == [("L3b", "escalations", "c-threat", None, True, 900, after(2), None)]
    assert desk.outbox(ports) == [("L3a", "escalations", None, "order of e-port", True, 900, after(3), None)]
    assert scalar(desk.spec.etl_dsn, "select count(*) from ops.handovers") == int(str(before)) + 2
    # A run that is done is done; so is one before it.
    assert desk.run(10).handed is None
    assert desk.run(0).handed is None
    # Nights read nothing of it, and consume its loads.
    assert (
        scalar(desk.spec.etl_dsn, "select count(*) from staging.stg_helpdesk__contacts where contact_id = 'c-threat'")
        == 0
    )
    of_run = "from ops.loads where batch_id = %s and table_name = 'helpdesk.contacts'"
    assert scalar(desk.spec.etl_dsn, f"select rows_appended {of_run}", done.batch_id) == 2


def test_a_run_without_the_lease_loads_nothing_and_is_no_error(desk: Desk) -> None:
    """And hands over nothing for a second time."""
    desk.change("warehouse", "insert into ops.lease_holds values ('night 2', 'extract a', 'elsewhere:1', default)")
    desk.contact("c-later", desk.subscribers[2], 12, THREAT)
    before = scalar(desk.spec.etl_dsn, "select count(*) from ops.handovers")
    done = desk.run(20, lease_wait_seconds=0.2)
    assert done.skipped is not None
    assert "run night 2 is working on the warehouse (step extract a" in done.skipped
    assert scalar(desk.spec.etl_dsn, WORKED, done.batch_id) == 1
    assert scalar(desk.spec.etl_dsn, "select count(*) from ops.loads where batch_id = %s", done.batch_id) == 0
    assert scalar(desk.spec.etl_dsn, "select count(*) from ops.handovers") == before
    # A night that builds keeps nobody from loading.
    desk.change("warehouse", "update ops.lease_holds set step = 'build_marts', heartbeat_at = clock_timestamp()")


def test_late_data_that_renames_the_episode_hands_nothing_over_again(desk: Desk) -> None:
    """The episode of the threat begins with an earlier contact, written down late; what waited for the lease comes."""
    threatens, _, later, *_ = desk.subscribers
    episode = "select episode_id from live_intermediate.int_escalations where contact_id = 'c-threat'"
    before = scalar(desk.spec.etl_dsn, episode)
    desk.contact("c-earlier", threatens, -300, "Почему списали деньги?", seen=21)
    done = desk.run(30, lease_wait_seconds=0.2)
    desk.change("warehouse", "delete from ops.lease_holds")
    assert scalar(desk.spec.etl_dsn, episode) not in (before, None)
    assert done.handed == 1
    assert [row[:3] for row in desk.outbox(later)] == [("L3b", "escalations", "c-later")]
    assert [row[:3] for row in desk.outbox(threatens)] == [("L3b", "escalations", "c-threat")]


def test_edge_53_what_was_handed_over_is_not_again_by_another_kind_of_run(desk: Desk) -> None:
    """Also when the books of one run are lost: the writer looks at the outbox only."""
    before = scalar(desk.spec.etl_dsn, "select count(*) from ops.handovers")
    with closing(psycopg2.connect(desk.spec.etl_dsn)) as conn:
        batch = batches.open_batch(conn, after(30), "another night")
        assert hand_over(conn, batch, "nightly", "live_intermediate") == 0
        # Planted: without the evidence's key the renamed episode would go out twice.
        with conn, conn.cursor() as cur:
            cur.execute("alter table ops.handovers drop constraint handovers_evidence_key_level_rule_version_key")
        assert hand_over(conn, batch, "nightly", "live_intermediate") == 1
        with conn, conn.cursor() as cur:
            cur.execute("delete from ops.handovers where kind = 'nightly' and as_of = %s", (after(30),))
            cur.execute("alter table ops.handovers add unique (evidence_key, level, rule_version)")
            cur.execute("delete from ops.batches where batch_id = %s", (batch.batch_id,))
    assert scalar(desk.spec.etl_dsn, "select count(*) from ops.handovers") == before


def test_what_no_routing_rule_matches_goes_to_the_control_group_and_stops_nobody(desk: Desk) -> None:
    """And what the subscriber was reached for is not handed over; an ambiguous policy is said."""
    with closing(psycopg2.connect(desk.spec.etl_dsn)) as conn:
        batch = batches.open_batch(conn, after(30), "unrouted")
        with conn, conn.cursor() as cur:
            cur.execute("create schema planted")
            cur.execute("create table planted.int_escalations as select * from live_intermediate.int_escalations")
            cur.execute(
                "update planted.int_escalations set to_role = null, to_team_id = null, routing_rule_id = null,"
                " escalation_id = 'planted ' || contact_id, contact_id = 'planted ' || contact_id,"
                " first_contact_at = case when contact_id = 'c-later' then triggered_at end,"
                # Known late: it is young all the same.
                " triggered_at = triggered_at - interval '30 days' where contact_id in ('c-threat', 'c-later')"
            )
        assert hand_over(conn, batch, "nightly", "planted") == 1
        found = "select to_role, evidence ? 'routing_rule_id' from ops.handovers where escalation_id like 'planted %%'"
        assert desk.rows(found) == [("control_group", False)]
        with conn, conn.cursor() as cur:
            cur.execute("insert into seeds.escalation_policy select * from seeds.escalation_policy")
        with pytest.raises(PolicyError, match="escalation_policy has 2 rows that are valid"):
            hand_over(conn, batch, "nightly", "planted")
        with conn, conn.cursor() as cur:
            cur.execute(
                "delete from seeds.escalation_policy where ctid <> (select min(ctid) from seeds.escalation_policy)"
            )
            cur.execute("delete from ops.handovers where escalation_id like 'planted %'")
            cur.execute("delete from ops.batches where batch_id = %s", (batch.batch_id,))
            cur.execute("drop schema planted cascade")


@pytest.mark.deep
def test_seeds_and_texts_that_cannot_be_had_now_keep_nobody_waiting(desk: Desk) -> None:
    """A seed that nobody of ours reads is not looked at; one of ours, with a night building, is kept as it was."""
    ports, writes = desk.subscribers[5:7]
    desk.contact("c-asks", ports, 31, "Почему списали деньги?")
    desk.contact("c-writes", writes, 31, THREAT)
    desk.port_request("e-port-now", ports, 32)
    desk.change(
        "warehouse", "update ops.applied_hashes set hash = 'before' where name in ('routing_rules', 'maturity')"
    )
    desk.change("warehouse", "insert into ops.lease_holds values ('night 2', 'transform', 'elsewhere:1', default)")
    # A night reads all texts.
    reading = psycopg2.connect(desk.spec.etl_dsn)
    reading.cursor().execute("select pg_advisory_xact_lock(hashtext('retention read texts'))")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SHORT_WAIT_SECONDS", 1)
        told = r"(?s)seeds routing_rules changed .* a night is being built.*reviews: left out of the hand-over"
        with pytest.raises(ShortRunFailed, match=told):
            desk.run(40)
    reading.close()
    assert desk.outbox(writes) == []
    desk.change("warehouse", "delete from ops.lease_holds")
    desk.change("warehouse", "update ops.batches set state = 'published' where kind = 'nightly'")
    assert desk.run(45).handed == 2
    assert [row[0] for row in desk.outbox(writes)] == ["L3b"]
    applied = "select hash from ops.applied_hashes where name = %s"
    assert scalar(desk.spec.etl_dsn, applied, "routing_rules") != "before"
    assert scalar(desk.spec.etl_dsn, applied, "maturity") == "before"


def test_a_model_that_was_asked_for_while_it_was_built_stays_asked_for(desk: Desk) -> None:
    with closing(psycopg2.connect(desk.spec.etl_dsn)) as conn:
        live.applied(conn, ["int_a", "int_b"])
        desk.change("warehouse", "delete from ops.applied_hashes where name = 'int_a@live'")
        live.record(conn, {"int_a": "new", "int_b": "new"})
        assert live.applied(conn, ["int_a", "int_b"])["int_b"] == "new"
        assert live.applied(conn, ["int_a"])["int_a"] != "new"
    desk.change("warehouse", "delete from ops.applied_hashes where name in ('int_a@live', 'int_b@live')")


def test_beside_another_run_nothing_is_booked_as_a_failure(desk: Desk) -> None:
    before = scalar(desk.spec.etl_dsn, "select count(*) from ops.failures")
    with live.locked(desk.spec.etl_dsn, 0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "LOCK_WAIT_SECONDS", 0)
        with pytest.raises(NotNowError, match="another run works on"):
            desk.run(46)
    assert scalar(desk.spec.etl_dsn, "select count(*) from ops.failures") == before


def test_the_selector_of_dbt_names_what_the_run_builds(desk: Desk, tmp_path: Path) -> None:
    from dbt.cli.main import dbtRunner

    project = desk.spec.short_run().project / "dbt_project"
    dbt = Dbt(Project(project, tmp_path, desk.spec.etl_dsn))
    flags = ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(tmp_path)]
    listed = dbtRunner(manifest=dbt.manifest).invoke(
        ["--quiet", "--log-level-file", "none", "list", "--selector", "escalations", "--resource-type", "model",
         "--output", "name", *flags]
    )  # fmt: skip
    built = dbt.upstream(TARGET)
    assert set(listed.result) == built
    assert not {"int_churn_events", "int_episode_outcomes", "stg_crm__usage_months"} & built
    # A seed that is kept as it was applied leaves the models as they are.
    before = dbt.hashes("intermediate")
    dbt.pin_seeds({"routing_rules": dbt.hashes("seed")["routing_rules"]})
    assert dbt.hashes("intermediate") == before
    dbt.pin_seeds({"routing_rules": "applied before it was edited"})
    assert dbt.hashes("intermediate")["int_escalations"] != before["int_escalations"]


@pytest.mark.deep
def test_a_table_that_fails_its_gate_is_left_out_until_it_is_mended(desk: Desk) -> None:
    ports, waits = desk.subscribers[3:5]
    desk.contact("c-complains-too", ports, 47, "Почему списали деньги?")
    assert desk.run(48).handed == 0
    for number in range(60):
        desk.contact(f"c-bad-{number}", "s", 49, "?", direction="sideways")
    desk.contact("c-waits", waits, 49, THREAT)
    desk.port_request("e-port-too", ports, 49)
    with pytest.raises(
        ShortRunFailed, match=r"(?s)helpdesk.contacts is left out of the hand-over.*has been handed over"
    ):
        desk.run(50)
    assert [row[0] for row in desk.outbox(ports)] == ["L3a"]
    assert desk.outbox(waits) == []
    failed = (
        "select count(*) from ops.checks where batch_id = (select max(batch_id) from ops.batches) and not is_passed"
    )
    assert scalar(desk.spec.etl_dsn, failed) != 0
    # The night will look at those loads, too: nobody has consumed them.
    assert scalar(
        desk.spec.etl_dsn,
        "select count(*) from ops.loads left join live_ops.load_consumption as taken using (load_id)"
        " where taken.load_id is null and table_name = 'helpdesk.contacts' and rows_appended > 0",
    ) == 1  # fmt: skip
    desk.change(
        "helpdesk",
        "update interactions set direction = 'inbound', updated_at = %s where direction = 'sideways'",
        after(52),
    )
    assert desk.run(60).handed == 1
    assert [row[0] for row in desk.outbox(waits)] == ["L3b"]
    assert scalar(desk.spec.etl_dsn, "select count(*) from live_ops.load_consumption where consumed_at is null") == 0
    assert live.is_possible(psycopg2.connect(desk.spec.etl_dsn))
