"""The act: what was erased where, without personal data; a row of ops and a JSON file that outlives a restore."""

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

#: Folder of the acts below RETENTION_WORK.
FOLDER = "acts"
NOTES = (
    (
        "Not reached: the sources and their backups; backups of this warehouse (a restore replays the acts); "
        "warehouses that a restore replaced (databases warehouse_before_...: drop them); the "
        "write-ahead log and freed space on disk, until they are used again; copies that analysts made in dev_ schemas."
    ),
    "Kept on purpose: keys, dates, counts, and which rule fired where in a text that is gone.",
)


@dataclass(frozen=True)
class Item:
    """One place: a table (schema.table) or a file, the columns blanked in it, and how many rows lost something."""

    place: str
    columns: tuple[str, ...]
    rows: int


@dataclass
class Act:
    """One erasure. `found_after` names the places where a value was found when it was over: it should be empty."""

    party_hash: str
    requested_on: date | None
    performed_by: str
    items: list[Item] = field(default_factory=list)
    found_after: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    values_searched: int = 0
    values_shared: int = 0
    erasure_id: int | None = None
    performed_at: str | None = None
    is_dry_run: bool = False

    @property
    def rows(self) -> int:
        """Rows and files that lost something; 0 when all was gone before."""
        return sum(item.rows for item in self.items)

    def add(self, place: str, columns: tuple[str, ...] | list[str], rows: int) -> None:
        """Note a place, when anything was there."""
        if rows:
            self.items.append(Item(place, tuple(columns), rows))


def book(cur: Cursor, act: Act) -> None:
    """Write the act into ops; sets its number and instant."""
    cur.execute(
        "insert into ops.erasures (party_hash, requested_on, performed_by, found_after) values (%s, %s, %s, %s)"
        " returning erasure_id, to_char(performed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
        (act.party_hash, act.requested_on, act.performed_by, act.found_after),
    )
    act.erasure_id, act.performed_at = cur.fetchone() or (0, "")
    cur.executemany(
        "insert into ops.erasure_items (erasure_id, place, columns, rows) values (%s, %s, %s, %s)",
        [(act.erasure_id, item.place, list(item.columns), item.rows) for item in act.items],
    )


def path_of(act: Act, work: Path) -> Path:
    """The act's file."""
    moment = (act.performed_at or "").replace(":", "").replace("-", "")
    return work / FOLDER / f"{moment}_{act.erasure_id}.json"


def write(act: Act, work: Path) -> None:
    """Write the act as JSON into the folder of acts."""
    path = path_of(act, work)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = asdict(act) | {"requested_on": str(act.requested_on or ""), "notes": NOTES}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_hashes(work: Path) -> list[str]:
    """Whom the acts in the folder are about, by hash, each once."""
    paths = sorted((work / FOLDER).glob("*.json"))
    return list(dict.fromkeys(json.loads(path.read_text(encoding="utf-8"))["party_hash"] for path in paths))
