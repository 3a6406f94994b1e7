"""Erase a person: everywhere, in one go, with an act of it. Runbook: docs/runbooks/erasure.md

Raw, rejects, staging and intermediate change in one transaction of the role etl. Before it commits, the role publisher
has blanked the slots and files are gone: when anything fails, raw still knows whose the rows were, and a second run
does the rest. What cannot be reached is listed in the act (acts.NOTES).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.erasure import acts, copies, search
from retention.erasure.acts import Act
from retention.erasure.errors import ErasureError, without_values
from retention.erasure.people import NUMBER, PARTY
from retention.erasure.pseudonyms import arm, hash_of, hashed, normalised
from retention.erasure.rejects import blank_rejects, blank_rejects_with
from retention.erasure.suppression import blank, suppress_party
from retention.erasure.vacuum import vacuum
from retention.handover import live
from retention.mart_views import is_private
from retention.row_hash import row_hash
from retention.sources.contract import Contract, Table, load_contract, raw_identifier
from retention.warehouse import batches
from retention.warehouse.lease import lease

SLOTS = ("marts_a", "marts_b")
ROOMS = ("staging", "intermediate", "touched", "outcomes", *live.ROOMS)
#: Folders of RETENTION_WORK that the platform fills and can fill again: a file there that holds a value is deleted.
OWN_FOLDERS = ("dbt", "exports")
LEASE_WAIT_SECONDS = 1800.0


@dataclass(frozen=True)
class Eraser:
    """What erasing needs: both roles' DSNs, the checkout, RETENTION_WORK, the secret, and who asks for the lease.

    `drops` is the sources' folder, if it lies below `work`: not ours.
    """

    etl_dsn: str
    publisher_dsn: str
    project: Path
    work: Path
    key: str = field(repr=False)
    run_id: str = "erase"
    drops: Path | None = None
    lease_wait_seconds: float = LEASE_WAIT_SECONDS

    def erase(self, party: str, performed_by: str, requested_on: date | None = None, dry_run: bool = False) -> Act:
        """Erase a party and book the act; with `dry_run` only count.

        Erasing again what was erased changes nothing and books nothing (an act of no rows). Raises ErasureError for an
        unknown party; also, with everything done and the act written, when a value was found afterwards.
        """
        with (
            without_values("erasure"),
            batches.connected(self.etl_dsn, "erase") as etl,
            batches.connected(self.publisher_dsn, "erase") as publisher,
            lease(self.etl_dsn, self.run_id, "erase", self.lease_wait_seconds),
            live.locked(self.etl_dsn, self.lease_wait_seconds),
        ):
            act = self._erase(etl, publisher, party, performed_by, requested_on, dry_run)
            if act.is_dry_run or not act.rows:
                return act
            tables = [item.place for item in act.items if item.columns]
            vacuum(etl, [place for place in tables if not place.startswith(SLOTS)])
            vacuum(publisher, [place for place in tables if place.startswith(SLOTS)])
        if act.found_after:
            raise ErasureError(
                f"erased, but values are still in {'; '.join(act.found_after)}. Look there: somebody else's text may "
                f"name the person. The act is {acts.path_of(act, self.work)}"
            )
        return act

    def replay(self, performed_by: str, known: Collection[str] = ()) -> list[Act]:
        """Erase again whom the acts in RETENTION_WORK, or `known` hashes, are about: after a restore.

        Whom the restored warehouse does not hold is put on the list: the next load may bring them.
        """
        hashes = list(dict.fromkeys([*acts.read_hashes(self.work), *known]))
        with batches.connected(self.etl_dsn, "erase") as conn, conn, conn.cursor() as cur:
            arm(cur, self.key)
            cur.execute(
                "insert into ops.suppressions (kind, subject_hash, party_hash, key_check)"
                " select 'party', h, h, %s from unnest(%s::text[]) as h on conflict do nothing",
                (hash_of("check", "", self.key), hashes),
            )
            ids = sql.SQL("select party_id from raw.crm__parties union select party_id from raw.crm__subscriptions")
            cur.execute(
                sql.SQL("select party_id from ({}) as parties where {} = any(%s) order by 1").format(
                    ids, hashed("party", sql.Identifier("party_id"))
                ),
                (hashes,),
            )
            parties = [party for (party,) in cur.fetchall()]
        return [self.erase(party, performed_by) for party in parties]

    def _erase(
        self, etl: Connection, publisher: Connection, party: str, by: str, requested_on: date | None, dry_run: bool
    ) -> Act:
        contract = load_contract()
        models = copies.personal_models(self.project / "dbt_project", contract)
        act = Act(hash_of("party", party, self.key), requested_on, by, is_dry_run=dry_run)
        with etl.cursor() as cur:
            try:
                arm(cur, self.key)
                held = _begin(cur, party)
                suppress_party(cur, party, self.key)
                values = _blank_raw(cur, contract, act)
                _blank_rooms(cur, contract, models, party, act)
                ids = copies.find_ids(cur, party)
                with publisher, publisher.cursor() as slots:
                    values |= _blank_slots(slots, models, ids, act)
                wanted, shared = search.choose(cur, contract, values, held)
                act.values_searched, act.values_shared = len(wanted), shared
                act.add(
                    "raw.rejects", ["row_text"],
                    blank_rejects(cur, contract, sql.SQL("true"))
                    + (blank_rejects_with(cur, contract, search.patterns(wanted)) if wanted else 0),
                )  # fmt: skip
                act.unread = _databases_beside(cur)
                if dry_run:
                    return act
                # A number that is somebody else's, too, cannot be searched for. That nothing is left to do can be seen.
                again = Act(act.party_hash, None, by)
                _blank_raw(cur, contract, again)
                _blank_rooms(cur, contract, models, party, again)
                act.found_after += [f"{item.place}: {item.rows:,} rows blanked a second time" for item in again.items]
                self._search(cur, publisher, wanted, act)
                if act.rows:
                    acts.book(cur, act)
                    # Before the commit: an act too many is replayed for nothing, one too few is missed after a restore.
                    acts.write(act, self.work)
                etl.commit()
            finally:
                etl.rollback()
        return act

    def _search(self, cur: Cursor, publisher: Connection, wanted: set[str], act: Act) -> None:
        """Delete our files that hold a value, then look for values everywhere, also where nothing was erased."""
        if not wanted:
            return
        leave = [self.work / acts.FOLDER, *([self.drops] if self.drops else [])]
        for path in list(search.search_files(self.work, wanted, leave)):
            name = str(path.relative_to(self.work))
            if name.split("/", maxsplit=1)[0] in OWN_FOLDERS:
                path.unlink()
                act.add(f"file {name}", [], 1)
            else:
                act.found_after.append(f"file {path}")
        found, unread = search.search_tables(cur, search.patterns(wanted))
        with publisher, publisher.cursor() as slots:
            in_slots, hidden = search.search_tables(slots, search.patterns(wanted), SLOTS)
        act.found_after += found + [place for place in in_slots if place not in found]
        act.unread += [place for place in unread if place.split(".")[0] not in SLOTS] + hidden


def _databases_beside(cur: Cursor) -> list[str]:
    """Whole copies of this database that a restore left on the server."""
    cur.execute(
        "select 'database ' || datname from pg_database where starts_with(datname, current_database() || '_before_')"
        " or datname = current_database() || '_restoring' order by 1"
    )
    return [name for (name,) in cur.fetchall()]


def _begin(cur: Cursor, party: str) -> set[str]:
    """Fill `ours` with the ids that lead to the party, in any version; returns the numbers it held.

    ErasureError for an unknown party.
    """
    cur.execute(
        "create temp table ours (kind text, id text) on commit drop;"
        "create temp table found_rows (table_name text, id text, is_person boolean) on commit drop"
    )
    cur.execute(
        "insert into ours select 'crm.subscriptions', subscription_id from raw.crm__subscriptions where party_id = %s"
        " group by subscription_id",
        (party,),
    )
    subscriptions = cur.rowcount
    cur.execute("select exists (select from raw.crm__parties where party_id = %s)", (party,))
    (is_known,) = cur.fetchone() or (False,)
    if not is_known and not subscriptions:
        raise ErasureError(
            f"party {party} is unknown: crm.parties and crm.subscriptions have no row of it. Nothing was erased. The "
            "id is the CRM's own (party_id of marts.dim_subscription)."
        )
    cur.execute("insert into ours values (%s, %s)", (PARTY, party))
    cur.execute(
        sql.SQL(
            "insert into ours select distinct {kind}, {number} from raw.crm__msisdn_periods"
            " where subscription_id in (select id from ours where kind = 'crm.subscriptions') and msisdn is not null"
            " returning id"
        ).format(kind=sql.Literal(NUMBER), number=normalised(sql.Identifier(NUMBER)))
    )
    return {number for (number,) in cur.fetchall() if number}


def _blank_raw(cur: Cursor, contract: Contract, act: Act) -> set[str]:
    """Blank every version of the party's rows; returns what was there."""
    values: set[str] = set()
    for table in _in_order(contract):
        where = _candidates(contract, table)
        cur.execute(
            sql.SQL("insert into ours select distinct {}, {}::text from {} {}").format(
                sql.Literal(table.name), sql.Identifier(table.key[0]), raw_identifier(table.name), where
            )
        )
        if not table.personal:
            continue
        blanked = blank(cur, contract, table, raw_identifier(table.name), where, is_latest=False)
        act.add(table.raw, table.personal, blanked.rows)
        values |= blanked.texts | blanked.numbers
        cur.execute("select to_regclass('pg_temp.verdicts') is not null")
        if cur.fetchone() == (True,):
            cur.execute(
                "insert into found_rows select %s, id, bool_or(is_person) from verdicts where is_person or number_token"
                " is not null or number in (select token from ops.suppressions where party_hash = %s) group by id",
                (table.name, act.party_hash),
            )
    return values


def _in_order(contract: Contract) -> list[Table]:
    """Tables with persons, each after those that its columns name; subscriptions are known from the start."""
    waiting = [table for table in contract.tables.values() if table.person and table.name != "crm.subscriptions"]
    keys = {table.key[0]: table.name for table in waiting}
    ordered: list[Table] = []
    while waiting:
        left = {table.name for table in waiting}
        ready = [t for t in waiting if not any(keys.get(c) in left and keys.get(c) != t.name for c in t.person)]
        if not ready:
            raise ErasureError(f"sources/contract.yml: person of {', '.join(sorted(left))} leads in a circle")
        ordered += ready
        waiting = [table for table in waiting if table not in ready]
    return ordered


def _candidates(contract: Contract, table: Table) -> sql.Composed:
    """Condition: some version of the row's key names an id of `ours`."""
    kinds = {other.key[0]: other.name for other in contract.tables.values() if other.person} | {PARTY: PARTY}
    named = sql.SQL(" or ").join(
        sql.SQL("{} in (select id from ours where kind = {})").format(
            normalised(sql.Identifier(column)) if column == NUMBER else sql.Identifier(column),
            sql.Literal(kinds.get(column, column)),
        )
        for column in table.person
    )
    return sql.SQL("where {key} in (select {key} from {raw} where {named})").format(
        key=sql.Identifier(table.key[0]), raw=raw_identifier(table.name), named=named
    )


def _blank_rooms(cur: Cursor, contract: Contract, models: dict[str, list[str]], party: str, act: Act) -> None:
    staged = {f"stg_{name.replace('.', '__')}": name for name, table in contract.tables.items() if table.person}
    ids = copies.find_ids(cur, party)
    # Staging first: what intermediate holds of numbers is computed from it.
    found = sorted(copies.tables_of(cur, list(ROOMS), models), key=lambda one: not one[0].endswith("staging"))
    for schema, table, columns in found:
        prefix = live.PREFIX if schema in live.ROOMS else ""
        if table in staged:
            rows = copies.blank_staged(cur, contract, staged[table], schema)
        elif table == "int_contacts_gathered":
            rows = copies.blank_numbers_named(cur, prefix)
        elif table == "stg_raw__keys_touched":
            rows = copies.blank_touched(cur, act.party_hash, schema)
        elif table.startswith("stg_"):
            continue  # of staff: no person leads there
        else:
            rows, _ = copies.blank_copy(cur, schema, table, columns, models[table], ids, dry=False)
        act.add(f"{schema}.{table}", models[table], rows)


def _blank_slots(cur: Cursor, models: dict[str, list[str]], ids: dict[str, copies.Ids], act: Act) -> set[str]:
    """Blank both slots; what was published then is from now on what they hold now."""
    values: set[str] = set()
    for schema, table, columns in list(copies.tables_of(cur, list(SLOTS), models)):
        rows, found = copies.blank_copy(cur, schema, table, columns, models[table], ids, act.is_dry_run)
        act.add(f"{schema}.{table}", models[table], rows)
        values |= found
        if rows and not act.is_dry_run and is_private(table):
            content = row_hash(cur.connection, schema, table)
            cur.execute(
                "update ops.publication_marts set rows = %s, row_hash = %s where mart = %s and publication_id = ("
                " select max(publication_id) from ops.publications inner join ops.slots"
                " on publications.slot = slots.slot and publications.batch_id = slots.batch_id"
                " where slots.slot = %s)",
                (*content, table, schema),
            )
    return values
