"""What people accept in the open night: a source's new columns, or a loss that is real. Both are booked with a note.

Decided in docs/adr/0007-accepting-drift-and-loss.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from retention.extract import drift, ledger
from retention.extract.drift import GONE, Drift
from retention.extract.errors import DriftError, ExtractError
from retention.extract.files import unread_headers
from retention.extract.load import open_reader
from retention.extract.reader import find_drifts
from retention.sources.contract import load_contract
from retention.sources.mapping import map_columns
from retention.sources.profile import FilesSource, Profile, SqlSource

#: In the message of a refusal: the keys that the source had, and what they were compared with.
_KEYS = re.compile(r"the source has ([\d,]+) (?:of the ([\d,]+) keys|keys in the snapshot and ([\d,]+) would be live)")


class AcceptanceError(ExtractError):
    """There is nothing to accept, or not any more; the message says what is the case."""


@dataclass(frozen=True)
class Proposal:
    """New columns of a table's source that a load could take, against those of `from_load`.

    `rows_emptied` live rows get a new version without the columns that are gone: a database is read whole then. Of
    files only those not read yet are concerned (0).
    """

    table: str
    drifts: tuple[Drift, ...]
    from_load: int
    columns_before: Mapping[str, str]
    columns: Mapping[str, str]
    rows_emptied: int
    is_read_whole: bool

    def lines(self) -> list[str]:
        """The change for a person: each column's old and new type, then what the next load will do."""
        said = [f"{d.source} -> {d.name}: {d.was or 'unknown'} -> {d.now or GONE}" for d in self.drifts]
        gone = ", ".join(d.name for d in self.drifts if d.now is None)
        if gone and self.is_read_whole:
            said.append(
                f"the table is read whole, and its {self.rows_emptied:,} live rows get a new version in which {gone} "
                "is empty; what was known stays in their older versions in raw"
            )
        elif gone:
            said.append(f"in rows of new files {gone} is empty; rows of files that were read keep it")
        else:
            said.append("the table is read whole; rows whose values differ get a new version")
        return said


def propose(cur: Cursor, table: str, profile: Profile, connections: Mapping[str, str]) -> Proposal:
    """Compare a table's source as it is with its last load; `profile` is resolved, `connections` are URLs by name.

    Raises DriftError when no load could take the columns (it says what to put into the profile), AcceptanceError when
    they are as they were or the table was never loaded, ExtractError when the source cannot be read.
    """
    ledger.lock_table(cur, table)
    spec, source = load_contract().tables.get(table), profile.tables.get(table)
    if spec is None or source is None:
        raise AcceptanceError(f"{table}: {profile.name} does not supply it. Nothing was accepted.")
    previous = ledger.previous_load(cur, table)
    if previous.shape is None:
        raise AcceptanceError(f"{table} was never loaded: there is nothing to compare with. Nothing was accepted.")
    if source.connection is not None and source.connection not in connections:
        raise AcceptanceError(f"{table}: connection {source.connection} is not configured. Nothing was accepted.")
    drifts: dict[str, Drift] = {}
    if isinstance(source, FilesSource):
        url = None if source.connection is None else connections[source.connection]
        headers, is_rereading = unread_headers(cur, spec, source, profile.zone_of(table), url)
        # As the load does: old files that are read again are compared with each other only.
        known = drift.accepted_as_gone(previous.shape) if is_rereading else dict(previous.shape)
        for _, header in sorted(headers.items()):
            types = dict.fromkeys(header, "text")
            drifts |= {d.name: d for d in drift.find_drifts(spec, source, known, types, previous.unmapped)}
            known |= {field.name: "text" for field in map_columns(spec, source, header).mapped}
    else:
        with open_reader(connections[source.connection], table, f"the source {source.connection}") as reader:
            reader.open_snapshot()
            columns = reader.describe(source)
        found = find_drifts(spec, source, columns, previous.shape, previous.unmapped)
        drifts = {d.name: d for d in found}
    refused = [d for d in drifts.values() if not d.is_acceptable]
    if refused:
        said = "; ".join(f"{d.describe()}: {_hint(d)}" for d in refused)
        raise DriftError(f"{table}: {said}. Nothing was accepted: no load could take that. See {drift.RUNBOOK}.")
    if not drifts:
        raise AcceptanceError(f"{table}: the source's columns are those of its last load. There is nothing to accept.")
    cur.execute("select load_id from ops.source_shapes where table_name = %s", (table,))
    (from_load,) = cur.fetchone() or (0,)
    is_gone = any(d.now is None for d in drifts.values())
    is_database = isinstance(source, SqlSource)
    return Proposal(
        table, tuple(drifts.values()), from_load, previous.shape,
        {**previous.shape, **{name: d.now or GONE for name, d in drifts.items()}},
        previous.live_keys if is_gone and is_database else 0, is_database,
    )  # fmt: skip


def accept_drift(cur: Cursor, proposal: Proposal, note: str | None) -> int:
    """Book the proposal and let the table's next load take it; returns the number of the shape's version.

    The next load of a database reads it whole. AcceptanceError when the table was loaded since the proposal.
    """
    cur.execute(
        "update ops.source_shapes set columns = %s, source_hash = '' where table_name = %s and load_id = %s"
        " and columns = %s",
        (Json(proposal.columns), proposal.table, proposal.from_load, Json(proposal.columns_before)),
    )
    if not cur.rowcount:
        raise AcceptanceError(f"{proposal.table} was loaded meanwhile. Nothing was accepted: look again.")
    cur.execute(
        "insert into ops.shape_versions (table_name, from_load, columns_before, columns, note)"
        " values (%s, %s, %s, %s, %s) returning shape_version_id",
        (proposal.table, proposal.from_load, Json(proposal.columns_before), Json(proposal.columns), note),
    )
    (version,) = cur.fetchone() or (0,)
    return int(version)


def accept_loss(cur: Cursor, batch_id: int, table: str, note: str | None) -> None:
    """Let one load of the table, and the batch's checks of it, pass in spite of what the source lost.

    If it loses far more than what was refused, the load is refused again.
    """
    if table not in load_contract().tables:
        raise AcceptanceError(f"{table} is not in the contract. Nothing was accepted.")
    given = {"batch": batch_id, "table": table, "note": note, "keys": _keys_refused(cur, batch_id, table)}
    cur.execute(
        "update ops.accepted_losses set least_keys = %(keys)s, note = coalesce(%(note)s, note)"
        " where batch_id = %(batch)s and table_name = %(table)s and load_id is null",
        given,
    )
    if not cur.rowcount:
        cur.execute(
            "insert into ops.accepted_losses (batch_id, table_name, note, least_keys)"
            " values (%(batch)s, %(table)s, %(note)s, %(keys)s)",
            given,
        )


def refusal(cur: Cursor, batch_id: int, table: str) -> str | None:
    """What stopped the batch at a table for a loss: the load's message or the checks that failed; None: nothing did."""
    said = [message for message in _refusals(cur, batch_id, table) if not _is_gain(message)]
    cur.execute(
        "select format('%%s: %%s of %%s %%s', check_name, rows_failed, rows_examined, message) from ops.checks"
        " where batch_id = %s and table_name = %s and gate = 'volume' and severity = 'critical' and not is_passed",
        (batch_id, table),
    )
    return "; ".join([*said, *(message for (message,) in cur.fetchall())]) or None


def _refusals(cur: Cursor, batch_id: int, table: str) -> list[str]:
    cur.execute(
        "select message from ops.failures where batch_id = %s and step = 'extract ' || %s"
        " and message ~ '^(DeletesRefusedError|VolumeError|ReconciliationError)'",
        (batch_id, table),
    )
    return [message for (message,) in cur.fetchall()]


def _is_gain(message: str) -> bool:
    """Whether the source has more keys than would be live: accepting a loss mends nothing."""
    found = _KEYS.search(message)
    return found is not None and found[3] is not None and _number(found[1]) > _number(found[3])


def _keys_refused(cur: Cursor, batch_id: int, table: str) -> int | None:
    """How many keys the source had in the load that was refused; those of the last load where no key was missed."""
    losses = [message for message in _refusals(cur, batch_id, table) if not _is_gain(message)]
    if found := next(filter(None, map(_KEYS.search, losses)), None):
        return _number(found[1])
    # Rows, times or checks were refused: no loss of keys was accepted.
    return ledger.previous_load(cur, table).live_keys if refusal(cur, batch_id, table) else None


def _number(said: str) -> int:
    return int(said.replace(",", ""))


def _hint(found: Drift) -> str:
    if found.kind == "unfit":
        return f"such a query has, for example, {found.source}::{found.wanted} as {found.source}"
    return f"map another column to it in the profile ({found.name}: other_column), or a constant"
