"""Each law of the project holds on a small consistent warehouse, and fails when something is lost or misjudged."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from conftest import Warehouse
from retention.quality.reconcile import load_laws, reconcile
from retention.quality.verdict import GateFailed
from retention.sources.contract import Contract, create_raw_tables, load_contract

LAWS = Path(__file__).resolve().parents[2] / "expectations" / "reconciliation"
#: Staging by columns that laws read; the other staging tables are empty.
STAGING = {
    "helpdesk.contacts": "(values ('c1', 't1', '2026-02-01'), ('c2', null, '2026-02-02'), ('c9', null, '2026-02-06'))"
    " as v(contact_id, ticket_id, at)",
    "helpdesk.tickets": "(values ('t1', '2026-02-01'), ('t2', '2026-02-03')) as v(ticket_id, at)",
    "helpdesk.ticket_events": "(values"
    " ('e1', 't1', '2026-02-01'), ('e2', 't1', '2026-02-02'), ('e3', 't1', '2026-02-07'))"
    " as v(ticket_event_id, ticket_id, at)",
    "web.public_reviews": "(values ('r1', '2026-02-01')) as v(review_id, at)",
    "crm.subscriptions": "(values ('s1', 'p1'), ('s2', 'p2')) as v(subscription_id, party_id)",
    "crm.parties": "(values ('p1', 'vip')) as v(party_id, segment)",
    "crm.subscription_events": "(values ('x1', 'debt', '2026-02-01'), ('x2', 'sim_swap', '2026-02-01'))"
    " as v(subscription_event_id, kind, at)",
}
INSTANTS = "at::timestamptz as {}, at::timestamptz as recorded_at"
EXTRA = {"helpdesk.contacts": "started_at", "helpdesk.tickets": "opened_at", "helpdesk.ticket_events": "event_at",
         "web.public_reviews": "posted_at", "crm.subscription_events": "event_at"}  # fmt: skip
OTHERS = {
    "marts_b.fct_contacts": """(values
        ('c1', 'contact', 'e1', true, 'billing', true, null, 'customer', 's1'),
        ('c2', 'contact', 'e1', false, 'billing', true, null, 'customer', 's1'),
        ('review:r1', 'review', null, null, 'unknown', true, 'test', 'customer', null),
        ('ticket:t2', 'ticket', null, null, 'billing', false, 'not_a_complaint', 'customer', null)
        ) as v(contact_id, kind, episode_id, is_first_of_episode, topic, is_complaint, exclusion_reason, initiator,
               subscription_id)""",
    "marts_b.trust_link_rates": """(values (2::bigint, 1, 1, 0, 0, 1, 0, 1, 2::bigint)) as v(
        linked, linked_by_subscription, linked_by_number, linked_by_party, unlinked_subscription_unknown,
        unlinked_number_unknown, unlinked_party_not_telling, unlinked_nothing_named, excluded)""",
    "marts_b.fct_tickets": "(values ('t1', 2::bigint), ('t2', 0)) as v(ticket_id, event_count)",
    "marts_b.dim_subscription": "(values ('s1', 'vip'), ('s2', 'unknown')) as v(subscription_id, segment)",
    "marts_b.fct_complaint_episodes": "(values ('e1', 2::bigint, true, false))"
    " as v(episode_id, contact_count, is_linked, is_left_before)",
    "marts_b.complaint_to_churn": """(values
        ('e1', 30, 1, true, true, 'left', 'left', timestamptz '2026-02-02'),
        ('e1', 60, 1, true, true, 'left', 'left', timestamptz '2026-02-02'),
        ('e1', 90, 1, true, true, 'returned', 'returned', timestamptz '2026-02-02'),
        ('e1', 180, 1, false, false, 'not_yet_known', 'not_yet_known', timestamptz '2026-02-02')
        ) as v(episode_id, horizon_days, attributed_churn_count, is_mature_any, is_mature_by_order, status_any,
               status_by_order, left_at)""",
    "marts_b.fct_churn_events": """(values
        ('h1', 'port_out', 'voluntary', true, 'voluntary_after_complaint'),
        ('h2', 'inactivity', 'voluntary', true, 'voluntary_without_complaint'),
        ('x1', 'debt', 'competing', true, 'involuntary'),
        ('h3', 'port_out', 'voluntary', false, null)
        ) as v(churn_event_id, kind, cause_group, is_churn, churn_group)""",
    "intermediate.int_churn_events": "(select churn_event_id, kind, cause_group, is_churn"
    " from marts_b.fct_churn_events) as v",
    "outcomes.retention_metrics": "(values (1, 'saved_3a', 0.5, null), (1, 'saved_3a', null, 'small_cell'))"
    " as v(batch_id, metric, value, refusal_reason)",
    "marts_b.retention_metrics": "(select *, true as is_latest from outcomes.retention_metrics) as v",
    "marts_b.metrics": "(values ('saved_3a')) as v(metric)",
}
#: What is broken, by law.
BREAKS = {
    "raw_keys_in_staging": [
        "delete from staging.stg_crm__parties where party_id = 'p1'",
        # Its only version is set aside and it is shown; released by hand and it is not shown.
        "insert into staging.stg_crm__parties values ('p2', 'mass')",
        "update ops.quarantine set released_batch_id = 1, released_because = 'passes'",
    ],
    "quarantine_stays_out": ["update staging.stg_crm__parties set _load_id = 100 where party_id = 'p1'"],
    "contacts_in_marts": [
        "delete from marts_b.fct_contacts where contact_id = 'c1'",
        "insert into marts_b.fct_contacts select * from marts_b.fct_contacts where kind = 'review'",
        "delete from marts_b.fct_contacts where kind = 'ticket'",
    ],
    "tickets_in_marts": [
        "delete from marts_b.fct_tickets where ticket_id = 't2'",
        "update marts_b.fct_tickets set event_count = 3 where ticket_id = 't1'",
    ],
    "subscriptions_in_marts": ["update marts_b.dim_subscription set segment = 'mass' where subscription_id = 's1'"],
    "episodes_hold_their_contacts": [
        "update marts_b.fct_contacts set episode_id = null where contact_id = 'c2'",
        "update marts_b.fct_contacts set is_first_of_episode = true",
        "insert into marts_b.fct_complaint_episodes values ('e2', 0, true, false)",
    ],
    "complaints_are_in_episodes": ["update marts_b.fct_contacts set episode_id = 'gone' where contact_id = 'c2'"],
    "episodes_have_every_horizon": ["delete from marts_b.complaint_to_churn where horizon_days = 180"],
    "churn_adds_up": [
        "update marts_b.fct_churn_events set churn_group = null where churn_event_id = 'h2'",
        "update marts_b.fct_churn_events set churn_group = 'technical' where kind = 'debt'",
        "update marts_b.complaint_to_churn set attributed_churn_count = 2 where horizon_days = 90",
    ],
    "operator_ends_in_marts": ["delete from marts_b.fct_churn_events where kind = 'debt'"],
    "statuses_follow_maturity": [
        "update marts_b.complaint_to_churn set status_any = 'stayed' where horizon_days = 180",
        "update marts_b.complaint_to_churn set status_by_order = 'not_yet_known' where horizon_days = 30",
        "update marts_b.complaint_to_churn set status_any = 'stayed' where horizon_days = 30",
    ],
    "link_rates_hold_every_contact": [
        "update marts_b.trust_link_rates set linked = 3",
        "update marts_b.trust_link_rates set unlinked_nothing_named = 0",
        "update marts_b.trust_link_rates set excluded = 0",
    ],
    "metrics_in_marts": [
        "delete from marts_b.metrics",
        "delete from marts_b.retention_metrics where value is null",
        "update marts_b.retention_metrics set refusal_reason = null",
    ],
}


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[Connection]:
    """Batch 1 as of 2026-02-05 with staging, intermediate, outcomes and marts that agree."""
    connection = warehouse.connect()
    create_raw_tables(connection, Contract(version=1, tables={"crm.parties": load_contract().tables["crm.parties"]}))
    with connection, connection.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', '2026-02-05', 'r', 'open')"
        )
        for name in load_contract().tables:
            table = f"staging.stg_{name.replace('.', '__')}"
            if name not in STAGING:
                cur.execute(f"create table {table} (id text)")
                continue
            instants = ", " + INSTANTS.format(EXTRA[name]) if name in EXTRA else ""
            load_id = ", 1 as _load_id" if name == "crm.parties" else ""
            cur.execute(f"create table {table} as select v.*{instants}{load_id} from {STAGING[name]}")
            cur.execute(
                "insert into ops.loads (batch_id, table_name, is_forced, rows_read, rows_appended, keys_new,"
                " keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)"
                f" values (1, %s, true, 1, 1, 1, 0, 0, (select count(*) from {table}), 'h', 'test', 0)",
                (name,),
            )
        _set_aside(cur)
        for table, rows in OTHERS.items():
            cur.execute(f"create table {table} as select * from {rows}")
    yield connection
    connection.close()


def _set_aside(cur: Cursor) -> None:
    """Quarantine: the newest version of party p1, which has an older one, and the only one of p2."""
    cur.execute(
        """
        insert into ops.loads (load_id, batch_id, table_name, is_forced, rows_read, rows_appended, keys_new,
            keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)
        values (100, 1, 'crm.parties', true, 1, 1, 1, 0, 0, 2, 'h', 'test', 0);
        insert into raw.crm__parties (party_id, _load_id) values ('p1', 1), ('p1', 100), ('p2', 100);
        insert into ops.quarantine (table_name, load_id, key, checks, batch_id)
        select 'crm.parties', 100, jsonb_build_object('party_id', party_id), '{c}', 1
        from (values ('p1'), ('p2')) as v(party_id)
        """
    )


def test_every_law_is_planted_against() -> None:
    assert set(BREAKS) == {law.name for law in load_laws(LAWS)}


def test_all_laws_hold(warehouse: Warehouse, conn: Connection) -> None:
    verdict = reconcile(warehouse.dsn(), 1, LAWS, "marts_b")
    assert len(verdict.checks) == len(BREAKS)
    assert verdict.critical_failures == ()


@pytest.mark.parametrize(("law", "statement"), [(law, one) for law, statements in BREAKS.items() for one in statements])
def test_a_broken_law_stops(warehouse: Warehouse, conn: Connection, tmp_path: Path, law: str, statement: str) -> None:
    shutil.copy(LAWS / f"{law}.yml", tmp_path)
    with conn, conn.cursor() as cur:
        cur.execute(statement)
    with pytest.raises(GateFailed) as failure:
        reconcile(warehouse.dsn(), 1, tmp_path, "marts_b")
    assert f"{law} failed (" in str(failure.value)
    assert " against " in str(failure.value)
