"""Three nights with bad rows and orphans: each is published without them, and has them when they are fixed."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
import pytest
import yaml

from conftest import Warehouse
from harness import PROJECT, NightSpec, as_of_after, scalar, simulate
from retention.rebuild import rebuild
from retention.simulator.run import forward

pytestmark = pytest.mark.soak
DAYS = 40
STAGED_EVENT = "select kind from staging.stg_crm__subscription_events where subscription_event_id = %s"
STAGED_SINCE = (
    "select extract(year from activated_at)::int from staging.stg_crm__subscriptions where subscription_id = %s"
)
IN_MARTS = "select count(*) from marts.dim_subscription where subscription_id = %s"
IN_QUARANTINE = "select count(*) from ops.quarantine where released_batch_id is null"


@dataclass(frozen=True)
class Operator:
    """Ids of what was planted: an event with an unknown word, a subscription bad from the start and one that became so,
    the event of a subscription that nobody has."""

    spec: NightSpec
    event: str
    always_bad: str
    became_bad: str
    orphan: str

    def change(self, statement: str, **values: object) -> int:
        """Change the CRM's rows, as its application would: it stamps them."""
        conn = psycopg2.connect(self.spec.sources["crm"])
        with conn, conn.cursor() as cur:
            cur.execute(statement, values)
            changed = cur.rowcount
        conn.close()
        return changed

    def ask(self, query: str, *values: object) -> object:
        """The first value of a query on the warehouse."""
        return scalar(self.spec.etl_dsn, query, *values)

    def quarantined_checks(self, batch_id: int) -> object:
        """Names of the checks that set rows aside in a batch."""
        return self.ask(
            "select string_agg(check_name, ' ' order by check_name) from ops.checks"
            " where batch_id = %s and is_quarantined",
            batch_id,
        )


@pytest.fixture(scope="module")
def operator(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """A small operator with three kinds of bad rows; the first night is published."""
    spec = simulate(shared_warehouse, tmp_path_factory.mktemp("operator"), subscribers=200, days=DAYS, seed=3)
    crm = spec.sources["crm"]
    event = scalar(crm, "select max(subscription_event_id) from subscription_events")
    first, second = (
        str(scalar(crm, "select subscription_id from subscriptions order by 1 offset %s limit 1", n)) for n in (3, 4)
    )
    found = Operator(spec, str(event), first, second, "orphan-1")
    found.change("update subscription_events set kind = 'teleport' where subscription_event_id = %(id)s", id=event)
    found.change("update subscriptions set activated_at = '1990-01-01' where subscription_id = %(id)s", id=first)
    found.change(
        "insert into subscription_events (subscription_event_id, subscription_id, kind, event_at, recorded_at)"
        " select 'orphan-1', 'nobody', 'debt', max(event_at), max(recorded_at) from subscription_events"
    )
    spec.night("night 1").run(as_of_after(DAYS))
    return found


def test_nights_go_on_without_bad_rows_and_have_them_when_fixed(operator: Operator, tmp_path: Path) -> None:
    spec = operator.spec
    live = "select batch_id from ops.slots where state = 'live'"
    assert operator.ask(live) == 1
    assert operator.ask(IN_QUARANTINE) == 2
    assert operator.quarantined_checks(1) == (
        "expect_column_values_to_be_between(activated_at) expect_column_values_to_be_in_set(kind)"
    )
    assert operator.ask(STAGED_EVENT, operator.event) is None
    assert operator.ask(IN_MARTS, operator.always_bad) == 0
    # The orphan is only a warning on its first night.
    assert operator.ask(STAGED_EVENT, operator.orphan) == "debt"

    # The source mends the event, and spoils a subscription that was good.
    forward(spec.sources["crm"], spec.sources["helpdesk"], Path(spec.work))
    operator.change(
        "update subscription_events set kind = 'plan_change',"
        " recorded_at = (select max(recorded_at) from subscription_events) where subscription_event_id = %(id)s",
        id=operator.event,
    )
    operator.change(
        "update subscriptions set activated_at = '1990-01-01',"
        " updated_at = (select max(updated_at) from subscriptions) where subscription_id = %(id)s",
        id=operator.became_bad,
    )
    spec.night("night 2").run(as_of_after(DAYS + 1))
    assert operator.ask(live) == 2
    assert operator.ask(STAGED_EVENT, operator.event) == "plan_change"
    assert operator.ask("select released_because from ops.quarantine where released_batch_id = 2") == "replaced"
    # Its version of the night before is shown.
    assert operator.ask(STAGED_SINCE, operator.became_bad) != 1990
    assert operator.ask(IN_MARTS, operator.became_bad) == 1
    # The orphan's parent did not come.
    assert operator.ask(STAGED_EVENT, operator.orphan) is None
    assert operator.ask(IN_QUARANTINE) == 3

    # The parent comes, and the check is corrected: there were subscribers in 1990.
    forward(spec.sources["crm"], spec.sources["helpdesk"], Path(spec.work))
    operator.change(
        "insert into subscriptions (subscription_id, party_id, product, activated_at, updated_at)"
        " select 'nobody', party_id, 'postpaid', '2020-01-01', (select max(updated_at) from subscriptions)"
        " from subscriptions limit 1"
    )
    replace(spec.night("night 3"), project=with_corrected_check(tmp_path)).run(as_of_after(DAYS + 2))
    assert operator.ask(live) == 3
    assert operator.ask(IN_QUARANTINE) == 0
    assert operator.ask("select count(*) from ops.orphans") == 0
    for subscription_id in (operator.always_bad, operator.became_bad):
        assert operator.ask(STAGED_SINCE, subscription_id) == 1990
        assert operator.ask(IN_MARTS, subscription_id) == 1
    churn = "select cause_group from marts.fct_churn_events where subscription_id = 'nobody'"
    assert operator.ask(churn) == "competing"

    # A rebuild sees what the night saw, not what is in quarantine now.
    night = spec.night()
    comparison = rebuild(night.etl_dsn, night.project, night.work, 2)
    assert comparison.differing == ()
    assert comparison.compared > 5


def with_corrected_check(folder: Path) -> Path:
    """The project with a suite in which subscriptions may be as old as 1980."""
    (folder / "dbt_project").symlink_to(PROJECT / "dbt_project")
    shutil.copytree(PROJECT / "expectations", folder / "expectations")
    path = folder / "expectations" / "raw" / "crm" / "subscriptions.yml"
    suite = yaml.safe_load(path.read_text())
    (check,) = (
        expectation["kwargs"] for expectation in suite["expectations"]
        if expectation["kwargs"].get("column") == "activated_at" and "min_value" in expectation["kwargs"]
    )  # fmt: skip
    check["min_value"] = "1980-01-01"
    path.write_text(yaml.safe_dump(suite))
    return folder
