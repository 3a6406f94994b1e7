"""Whose rows are these? Follows the columns that the contract names (`person`) until they come to a party.

All in temporary tables of the caller's transaction, set-based. A row's columns are asked in the contract's order; an id
leads through the latest version of the row it names, a number through who held it at the row's `event_at`. What nobody
held then leads, after everything else, to the last holder before, or the first after: it went with them.
"""

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure.pseudonyms import hashed, normalised
from retention.sources.contract import Contract, Table, raw_identifier

PARTY, NUMBER = "party_id", "msisdn"
#: Places in a path: a row's own columns come after its latest version's word, or before it.
_SELF_FIRST, _OWN, _SELF_LAST = 0, 50, 99


def follow(cur: Cursor, contract: Contract, table: Table, rows: sql.Composable, is_latest: bool) -> bool:
    """Find whose the rows are that may be a suppressed party's; False when none may.

    `rows` selects them as (place tid, columns of the table). `is_latest`: they are the newest of their keys, and what
    raw has of the key is asked last; otherwise the latest version in raw decides for all versions of a key.

    Leaves the temporary tables `persons` (place, party, party_hash) and `own_numbers` (place, number, party, is_held).
    """
    cur.execute(
        "drop table if exists leads, judged, holders, persons, own_numbers;"
        "create temp table leads (place tid, path int[], kind text, id text, at timestamptz) on commit drop"
    )
    by_key = {other.key[0]: other.name for other in contract.tables.values() if other.person and len(other.key) == 1}
    by_key[PARTY] = PARTY
    steps = [(_OWN + number, by_key.get(column, column), column) for number, column in enumerate(table.person)]
    if table.name != by_key[PARTY] and len(table.key) == 1:
        steps.append((_SELF_LAST if is_latest else _SELF_FIRST, table.name, table.key[0]))
    cur.execute(
        sql.SQL(
            "insert into leads select r.place, array[v.step], v.kind, v.id, v.at from ({rows}) as r {steps}"
        ).format(rows=rows, steps=_steps(table, steps))
    )
    while (kind := _next_reference(cur)) is not None:
        _expand(cur, contract.tables[kind], by_key)
    return _judge(cur)


def _steps(table: Table, steps: list[tuple[int, str, str]]) -> sql.Composed:
    """Each row's leads, of those columns that hold something."""
    at = sql.SQL("r.{}").format(sql.Identifier(table.event_at)) if table.event_at else sql.SQL("null::timestamptz")
    values = sql.SQL(", ").join(
        sql.SQL("({}, {}, r.{}::text, {}::timestamptz)").format(
            sql.Literal(step), sql.Literal(kind), sql.Identifier(column), at
        )
        for step, kind, column in steps
    )
    return sql.SQL("cross join lateral (values {}) as v (step, kind, id, at) where btrim(v.id) <> ''").format(values)


def _next_reference(cur: Cursor) -> str | None:
    cur.execute("select min(kind) from leads where kind not in (%s, %s)", (PARTY, NUMBER))
    row = cur.fetchone()
    return row[0] if row else None


def _expand(cur: Cursor, table: Table, by_key: dict[str, str]) -> None:
    """Replace the leads to rows of a table by what those rows say."""
    steps = [(number, by_key.get(column, column), column) for number, column in enumerate(table.person)]
    cur.execute(
        sql.SQL(
            "with taken as (delete from leads where kind = {kind} returning *)"
            " insert into leads select r.place, r.path || v.step, v.kind, v.id, v.at from ("
            " select taken.place, taken.path, versions.* from taken cross join lateral ("
            " select * from {raw} as versions where versions.{key} = taken.id and versions._op = 'u'"
            " order by versions._load_id desc limit 1) as versions) as r {steps}"
        ).format(
            kind=sql.Literal(table.name),
            raw=raw_identifier(table.name),
            key=sql.Identifier(table.key[0]),
            steps=_steps(table, steps),
        )
    )


def _judge(cur: Cursor) -> bool:
    number = normalised(sql.Identifier("id"))
    cur.execute(
        sql.SQL(
            "create temp table judged on commit drop as select place, path, kind, id, at,"
            " case kind when {party} then {party_hash} else {number_hash} end as subject_hash from ("
            " select place, path, kind, case kind when {msisdn} then {number} else id end as id, at from leads"
            " ) as leads where id is not null"
        ).format(
            party=sql.Literal(PARTY),
            msisdn=sql.Literal(NUMBER),
            number=number,
            party_hash=hashed("party", sql.Identifier("id")),
            number_hash=hashed("number", sql.Identifier("id")),
        )
    )
    cur.execute(
        "delete from judged where place not in (select place from judged"
        " where subject_hash in (select subject_hash from ops.suppressions)"
        " or id in (select token from ops.suppressions where token is not null))"
    )
    cur.execute("select exists (select from judged)")
    (is_any,) = cur.fetchone() or (False,)
    if is_any:
        find_holders(cur)
        _decide(cur)
    return bool(is_any)


def find_holders(cur: Cursor) -> None:
    """Into `holders`: who held each number of `judged` when.

    Periods of erased parties carry tokens: a number is looked for under those, too.
    """
    cur.execute(
        sql.SQL(
            "create temp table holders on commit drop as with"
            " pairs as (select distinct id as number, subject_hash, at from judged where kind = {msisdn}),"
            " aliases as (select number, number as alias from pairs union"
            " select pairs.number, s.token from pairs inner join ops.suppressions as s"
            " on s.kind = 'number' and s.subject_hash = pairs.subject_hash),"
            " named as (select distinct msisdn_period_id from raw.crm__msisdn_periods"
            " where {number} in (select alias from aliases)),"
            " latest as (select distinct on (msisdn_period_id) periods.*, {number} as alias"
            " from raw.crm__msisdn_periods as periods inner join named using (msisdn_period_id)"
            " where _op = 'u' order by msisdn_period_id, _load_id desc),"
            " ranked as (select pairs.number, pairs.at, latest.subscription_id,"
            " coalesce(valid_from <= at and (valid_to is null or at < valid_to), false) as is_held,"
            " row_number() over (partition by pairs.number, pairs.at order by"
            " coalesce(valid_from <= at and (valid_to is null or at < valid_to), false) desc,"
            " coalesce(valid_from <= at, false) desc, case when valid_from <= at then valid_from end desc nulls last,"
            " valid_from, latest.subscription_id) as choice"
            " from pairs inner join aliases on pairs.number = aliases.number"
            " inner join latest on aliases.alias = latest.alias)"
            " select ranked.number, ranked.at, ranked.is_held, owners.party_id as party from ranked"
            " cross join lateral (select party_id from raw.crm__subscriptions as s"
            " where s.subscription_id = ranked.subscription_id and s._op = 'u'"
            " order by s._load_id desc limit 1) as owners where ranked.choice = 1"
        ).format(msisdn=sql.Literal(NUMBER), number=normalised(sql.Identifier("msisdn")))
    )


def _decide(cur: Cursor) -> None:
    cur.execute(
        sql.SQL(
            "create temp table persons on commit drop as select place, party, {hash} as party_hash from ("
            " select distinct on (place) judged.place,"
            " case judged.kind when {party} then judged.id else holders.party end as party"
            " from judged left join holders on judged.kind = {msisdn} and judged.id = holders.number"
            " and judged.at is not distinct from holders.at"
            " where judged.kind = {party} or holders.party is not null"
            " order by place, coalesce(not holders.is_held, false), path) as found;"
            " create temp table own_numbers on commit drop as"
            " select judged.place, judged.id as number, holders.party, coalesce(holders.is_held, false) as is_held"
            " from judged left join holders on judged.id = holders.number"
            " and judged.at is not distinct from holders.at"
            " where judged.kind = {msisdn} and cardinality(judged.path) = 1"
        ).format(
            party=sql.Literal(PARTY),
            msisdn=sql.Literal(NUMBER),
            hash=hashed("party", sql.Identifier("party")),
        )
    )
