"""A real service desk's files through the same extraction: every row arrives, none is rejected."""

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from retention.extract import extract_table
from retention.sources.contract import create_raw_tables
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse

AS_OF = datetime(2014, 4, 2, 22, tzinfo=UTC)


def test_all_incidents_and_events_are_loaded(warehouse: "Warehouse", real_data: Path) -> None:
    profile = load_profile(Path(__file__).with_name("bpic14_rabobank.yml"))
    conn = psycopg2.connect(warehouse.dsn())
    create_raw_tables(conn)
    with conn, conn.cursor() as cur:
        cur.execute(
            "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', %s, 'r', 'open')", (AS_OF,)
        )
    results = {
        table: extract_table(warehouse.dsn(), table, profile, {}, 1, AS_OF, {"REAL_DATA_DIR": str(real_data)})
        for table in profile.tables
    }
    tickets, events = results["helpdesk.tickets"], results["helpdesk.ticket_events"]
    assert (tickets.rows_read, tickets.live_keys, tickets.rows_rejected) == (4_000, 4_000, 0)
    assert (events.rows_read, events.live_keys, events.rows_rejected) == (39_911, 39_911, 0)

    with gzip.open(real_data / "bpic14_rabobank" / "BPIC14_incident_log.csv.gz", "rt", newline="") as stream:
        expected = Counter(
            (row["incident_id"], row["incident_activity_type"].lower())
            for row in csv.DictReader(stream)
            if row["incident_activity_type"] in ("Reassignment", "Reopen")
        )
    with conn, conn.cursor() as cur:
        cur.execute("select ticket_id, kind, count(*) from raw.helpdesk__ticket_events"
                    " where kind in ('reassignment', 'reopen') group by 1, 2")  # fmt: skip
        assert {(ticket, kind): count for ticket, kind, count in cur.fetchall()} == expected
        # 11:27:59 in Amsterdam's summer.
        cur.execute(
            "select opened_at = '2012-08-10 09:27:59Z' from raw.helpdesk__tickets where ticket_id = 'IM0000013'"
        )
        assert cur.fetchone() == (True,)
        cur.execute("select count(*) from raw.helpdesk__tickets where resolved_at is null")
        assert cur.fetchone() == (155,)
    conn.close()
