"""Real complaints from a file with a byte-order mark: the one ticket number that is none is a reject, the rest load."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from retention.extract import LoadResult, extract_table
from retention.sources.contract import create_raw_tables
from retention.sources.profile import load_profile

if TYPE_CHECKING:
    from tests.conftest import Warehouse

AS_OF = datetime(2015, 7, 1, 6, tzinfo=UTC)
PROFILE = Path(__file__).with_name("comcast_fcc.yml")


def query(warehouse: "Warehouse", statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(warehouse.dsn())) as conn, conn.cursor() as cur:
        cur.execute(statement)
        return cur.fetchall()


@pytest.fixture
def load(warehouse: "Warehouse", real_data: Path) -> Any:
    """Loads the tickets by a profile; returns what the ledger says."""
    with closing(psycopg2.connect(warehouse.dsn())) as conn:
        create_raw_tables(conn)
        with conn, conn.cursor() as cur:
            cur.execute(
                "insert into ops.batches (kind, as_of, run_id, state) values ('nightly', %s, 'r', 'open')", (AS_OF,)
            )

    def loaded(profile: Path) -> LoadResult:
        environment = {"REAL_DATA_DIR": str(real_data)}
        return extract_table(
            warehouse.dsn(), "helpdesk.tickets", load_profile(profile), {}, 1, AS_OF, environment, force=True
        )

    return loaded


def test_every_complaint_but_one_is_a_ticket(warehouse: "Warehouse", load: Any) -> None:
    result = load(PROFILE)
    assert (result.rows_read, result.live_keys, result.rows_rejected) == (2_224, 2_223, 1)
    assert query(warehouse, "select file, line, reason, row_text like '[\"comcas\"%' from raw.rejects") == [
        ("comcast_complaints_date_repaired.csv", 1_036, r"column ticket_id does not match ^\d+$", True)
    ]
    # SOURCE.md counts 734 closed ones: the row that is none is the 734th.
    assert query(warehouse, "select status, count(*) from raw.helpdesk__tickets group by 1 order by 1") == [
        ("closed", 733), ("open", 363), ("pending", 154), ("resolved", 973),
    ]  # fmt: skip
    # It is of April and came by phone.
    local_day = "(opened_at at time zone 'America/New_York')"
    months = f"select to_char({local_day}, 'MM'), count(*) from raw.helpdesk__tickets group by 1 order by 1"
    assert query(warehouse, months) == [("04", 544), ("05", 399), ("06", 1_280)]
    channels = "select channel, count(*) from raw.helpdesk__tickets group by 1 order by 1"
    assert query(warehouse, channels) == [("call", 1_118), ("web", 1_105)]
    peak = f"select count(*) from raw.helpdesk__tickets where {local_day}::date = '2015-06-24'"
    assert query(warehouse, peak) == [(218,)]


def test_the_file_as_published_has_a_mark_and_its_own_dates(warehouse: "Warehouse", load: Any, tmp_path: Path) -> None:
    text = (
        PROFILE.read_text().replace("complaints_date_repaired.csv", "complaints.csv").replace("date_repaired", "Date")
    )
    published = tmp_path / "as_published.yml"
    published.write_text(text.replace("    columns:\n", '    formats: {timestamptz: "%d-%m-%y"}\n    columns:\n'))
    result = load(published)
    assert (result.live_keys, result.rows_rejected) == (2_223, 1)
    # The widely repeated artefact: complaints all over the year.
    months = "select count(distinct date_trunc('month', opened_at at time zone 'America/New_York'))"
    assert query(warehouse, f"{months} from raw.helpdesk__tickets") == [(12,)]
    # Read as month and day, the rows whose day is above 12 are no dates: rejects, not guesses.
    swapped = tmp_path / "swapped.yml"
    swapped.write_text(published.read_text().replace("%d-%m-%y", "%m-%d-%y"))
    assert load(swapped).rows_rejected == 2_224 - 609
    reasons = "select reason, count(*) from raw.rejects where replayed_load_id is null group by 1 order by 2"
    assert query(warehouse, reasons) == [
        (r"column ticket_id does not match ^\d+$", 1),
        ("column opened_at is not a timestamptz in the given format", 2_224 - 609 - 1),
    ]
