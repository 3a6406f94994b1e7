"""`retention accept-drift` and `accept-loss`: the books of this machine's warehouse, and its sources."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import cursor as Cursor

from retention.extract import acceptance
from retention.extract.acceptance import Proposal
from retention.local import settings
from retention.local.home import Home, LocalError
from retention.sources.profile import load_profile
from retention.warehouse import batches


def propose_drift(home: Home, table: str) -> Proposal:
    """What changed in a table's source since its last load; ExtractError says why it cannot be accepted."""
    environment = settings.environment(home)
    profile = load_profile(environment["RETENTION_SOURCES"]).resolved(environment)
    with _warehouse(home) as cur:
        return acceptance.propose(cur, table, profile, settings.source_dsns(home))


def accept_drift(home: Home, proposal: Proposal, note: str | None) -> int:
    """Book it; returns the number of the shape's version."""
    with _warehouse(home) as cur:
        return acceptance.accept_drift(cur, proposal, note)


def refused_loss(home: Home, table: str) -> str:
    """Why the open night refused the table; LocalError when it did not."""
    with _warehouse(home) as cur:
        said = acceptance.refusal(cur, _open_night(cur), table)
    if said is None:
        raise LocalError(
            f"{table}: the open night did not refuse it for a loss. Nothing was accepted. `retention status` says "
            "where the night stopped."
        )
    return said


def accept_loss(home: Home, table: str, note: str | None) -> None:
    """Let the table through once in the open night."""
    with _warehouse(home) as cur:
        acceptance.accept_loss(cur, _open_night(cur), table, note)


@contextmanager
def _warehouse(home: Home) -> Iterator[Cursor]:
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn, conn.cursor() as cur:
        yield cur


def _open_night(cur: Cursor) -> int:
    batch_id = batches.unfinished_night(cur)
    if batch_id is None:
        raise LocalError("no night is unfinished. Nothing was accepted: a loss is accepted for the night it stopped.")
    return batch_id
