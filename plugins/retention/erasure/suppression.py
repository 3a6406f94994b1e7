"""Erased stays erased: rows of suppressed persons lose their personal columns before they are compared or kept.

Costs one look at an empty table while nobody is suppressed. The same code blanks raw when somebody is erased, so a row
that comes again equals the erased one and makes no new version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure import people
from retention.erasure.compact import forget_again
from retention.erasure.pseudonyms import KEY_VARIABLE, TOKEN_PATTERN, arm, hash_of, hashed, normalised, token
from retention.erasure.rejects import blank_rejects
from retention.sources.contract import Contract, Table, load_contract, raw_identifier

#: Where a load's rows wait to be compared with raw.
INCOMING = sql.Identifier("incoming")


@dataclass
class Blanked:
    """Rows of a table that lost something, and what: texts and numbers, as they were spelt, to be searched for."""

    rows: int = 0
    texts: set[str] = field(default_factory=set, repr=False)
    numbers: set[str] = field(default_factory=set, repr=False)


def is_anybody_suppressed(cur: Cursor) -> bool:
    """Whether a load has to look at its rows at all."""
    cur.execute("select exists (select from ops.suppressions)")
    (answer,) = cur.fetchone() or (False,)
    return bool(answer)


def suppress_load(cur: Cursor, table: Table, rows: sql.Identifier, load_id: int, environment: Mapping[str, str]) -> int:
    """Blank a load's rows of suppressed persons, in `incoming` or in raw, and in its rejects; returns the rows changed.

    Texts past their age, which upkeep took away, go too. Call it before the rows are compared with raw. Raises
    ErasureError when the key is missing or another one.
    """
    is_of_load = sql.SQL("true" if rows == INCOMING else "_load_id = {}").format(sql.Literal(load_id))
    forget_again(cur, table, rows, is_of_load)
    if not table.person or not is_anybody_suppressed(cur):
        return 0
    arm(cur, environment.get(KEY_VARIABLE, ""))
    of_load = sql.SQL("where {}").format(is_of_load)
    changed = blank(cur, load_contract(), table, rows, of_load, is_latest=True).rows if table.personal else 0
    blank_rejects(cur, load_contract(), sql.SQL("load_id = {}").format(sql.Literal(load_id)))
    return changed


def suppress_batch(cur: Cursor, environment: Mapping[str, str], is_short: bool = False) -> int:
    """The same for all loads that the night consumes, or the ten-minute run: an owner may come after the row."""
    if not is_anybody_suppressed(cur):
        return 0
    arm(cur, environment.get(KEY_VARIABLE, ""))
    cur.execute(
        sql.SQL("select table_name, array_agg(load_id) from {} group by 1 order by 1").format(
            sql.Identifier("live_ops" if is_short else "ops", "loads_to_stage")
        )
    )
    pending = cur.fetchall()
    changed = 0
    contract = load_contract()
    for name, loads in pending:
        table = contract.tables.get(name)
        if table is not None and table.person and table.personal:
            of_loads = sql.SQL("where _op = 'u' and _load_id in ({})").format(
                sql.SQL(", ").join(map(sql.Literal, loads))
            )
            changed += blank(cur, contract, table, raw_identifier(name), of_loads, is_latest=True).rows
    ids = [load_id for _, loads in pending for load_id in loads]
    blank_rejects(cur, contract, sql.SQL("load_id = any({}::bigint[])").format(sql.Literal(ids)))
    return changed


def suppress_party(cur: Cursor, party: str, key: str) -> bool:
    """Put a party on the list; False when it is there. Its numbers follow as `blank` comes to them."""
    cur.execute(
        "insert into ops.suppressions (kind, subject_hash, party_hash, key_check) values ('party', %(hash)s, %(hash)s,"
        " %(check)s) on conflict do nothing",
        {"hash": hash_of("party", party, key), "check": hash_of("check", "", key)},
    )
    return bool(cur.rowcount)


def list_numbers(cur: Cursor, numbers: sql.Composable) -> None:
    """Put numbers on the list: `numbers` selects (number, party), numbers as one key."""
    cur.execute(
        sql.SQL(
            "insert into ops.suppressions (kind, subject_hash, party_hash, token, key_check)"
            " select distinct 'number', {number}, {party}, {token}, {check} from ({numbers}) as found"
            " where number !~ {is_token} on conflict do nothing"
        ).format(
            number=hashed("number", sql.Identifier("number")),
            party=hashed("party", sql.Identifier("party")),
            token=token(sql.Identifier("party"), sql.Identifier("number")),
            check=hashed("check", sql.Literal("")),
            is_token=sql.Literal(TOKEN_PATTERN),
            numbers=numbers,
        )
    )


def blank(
    cur: Cursor, contract: Contract, table: Table, rows: sql.Identifier, where: sql.Composable, is_latest: bool
) -> Blanked:
    """Blank what is a suppressed person's among the rows of a table or of its staging `rows`.

    Personal columns become NULL where the row is the person's; a number becomes the token of who held it then, in
    whosever row it stands, and stays where that was somebody else. Leaves the temporary table `verdicts` (place, id,
    number, is_person, number_token), which is missing when nobody was found; places are those before the change.
    """
    cur.execute("drop table if exists verdicts")
    select = sql.SQL("select ctid as place, * from {} {}").format(rows, where)
    if not people.follow(cur, contract, table, select, is_latest):
        return Blanked()
    _judge_cells(cur, table, rows)
    texts = [name for name in table.personal if name != people.NUMBER]
    sets: list[sql.Composable] = [
        sql.SQL("{0} = case when v.is_person then null else r.{0} end").format(sql.Identifier(name)) for name in texts
    ]
    conditions: list[sql.Composable] = [
        sql.SQL("(v.is_person and r.{} is not null)").format(sql.Identifier(name)) for name in texts
    ]
    old: list[sql.Composable] = [
        sql.SQL("case when v.is_person then r.{} end").format(sql.Identifier(name)) for name in texts
    ]
    if people.NUMBER in table.personal:
        sets.append(sql.SQL("msisdn = coalesce(v.number_token, r.msisdn)"))
        conditions.append(sql.SQL("v.number_token is not null"))
        old.append(sql.SQL("case when v.number_token is not null then r.msisdn end"))
    parts = {"rows": rows, "condition": sql.SQL(" or ").join(conditions)}
    cur.execute(
        sql.SQL("select {old} from {rows} as r inner join verdicts as v on r.ctid = v.place where {condition}").format(
            old=sql.SQL(", ").join(old), **parts
        )
    )
    found: list[set[str]] = [set(), set()]
    for row in cur.fetchall():
        for number, value in enumerate(row):
            if value:
                found[number == len(texts)].add(value)
    cur.execute(
        sql.SQL("update {rows} as r set {sets} from verdicts as v where r.ctid = v.place and ({condition})").format(
            sets=sql.SQL(", ").join(sets), **parts
        )
    )
    return Blanked(cur.rowcount, *found)


def _judge_cells(cur: Cursor, table: Table, rows: sql.Identifier) -> None:
    """Into `verdicts`: is the row a suppressed person's, and which token takes its number's place."""
    is_listed = _is_listed(sql.SQL("persons.party_hash"))
    cell = (
        sql.SQL(
            "left join (select place, number, case when own_numbers.is_held or not persons_listed then"
            " own_numbers.party else persons.party end as party from own_numbers left join ("
            " select persons.*, {} as persons_listed from persons) as persons using (place)) as cells using (place)"
        ).format(is_listed)
        if people.NUMBER in table.person
        else sql.SQL(
            "left join (select persons.place, {number} as number, persons.party from persons inner join {rows} as r"
            " on persons.place = r.ctid) as cells using (place)"
        ).format(number=normalised(sql.Identifier(people.NUMBER)), rows=rows)
        if people.NUMBER in table.personal
        else sql.SQL(
            "left join (select place, null::text as number, null::text as party from persons) as cells using (place)"
        )
    )
    cur.execute(
        sql.SQL(
            "create temp table verdicts on commit drop as select place, owned.{key}::text as id, number, cells.party,"
            " {is_person} as is_person,"
            " case when number !~ {is_token} and {is_replaced} then {token} end as number_token"
            " from (select place from judged union select place from persons) as places"
            " inner join {rows} as owned on places.place = owned.ctid left join persons using (place) {cell}"
        ).format(
            key=sql.Identifier(table.key[0]),
            rows=rows,
            is_token=sql.Literal(TOKEN_PATTERN),
            is_person=is_listed,
            is_replaced=_is_listed(hashed("party", sql.SQL("cells.party"))),
            token=token(sql.SQL("cells.party"), sql.SQL("number")),
            cell=cell,
        )
    )
    list_numbers(cur, sql.SQL("select number, party from verdicts where number_token is not null"))


def _is_listed(party_hash: sql.Composable) -> sql.Composed:
    return sql.SQL("exists (select from ops.suppressions as s where s.kind = 'party' and s.subject_hash = {})").format(
        party_hash
    )
