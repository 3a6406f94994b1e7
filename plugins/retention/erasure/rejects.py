"""Rejected rows of suppressed persons: what was kept of them goes, that they were rejected stays."""

from collections.abc import Mapping

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure import people
from retention.erasure.pseudonyms import hashed, normalised
from retention.sources.contract import Contract

#: Digits that a word needs to be taken for a number.
MIN_DIGITS = 10


def blank_rejects(cur: Cursor, contract: Contract, where: sql.Composable) -> int:
    """Blank rejects that name a suppressed party, a subscription of one, or a number of one; returns how many.

    A rejected row is JSON by column, a JSON list of a line's fields, or a line as it was, which is cut at separators. A
    number that somebody else has held, too, counts when the row's own time says whose it was, or says nothing.
    """
    event_at = _by_table({table.name: sql.Literal(table.event_at) for table in contract.tables.values()})
    cur.execute(
        sql.SQL(
            "drop table if exists leads, judged, holders, persons, own_numbers;"
            "create temp table judged on commit drop as with"
            " rejects as (select ctid as place, table_name, row_text,"
            " case when pg_input_is_valid(row_text, 'jsonb') then row_text::jsonb end as document"
            " from raw.rejects where row_text is not null and {where}),"
            " fields as (select place, field as id, null::timestamptz as at from rejects"
            " cross join lateral regexp_split_to_table(row_text, '[;,|\"\\t]') as field"
            " where coalesce(jsonb_typeof(document), '') not in ('object', 'array')"
            " union select place, field, null from rejects"
            " cross join lateral jsonb_array_elements_text("
            " case when jsonb_typeof(document) = 'array' then document else '[]' end) as field"
            " union select place, value, case when said_at ~ '^\\d{{4}}-\\d{{2}}-\\d{{2}}'"
            " and pg_input_is_valid(said_at, 'timestamptz') then said_at::timestamptz end"
            " from (select *, document ->> {event_at} as said_at from rejects) as rejects"
            " cross join lateral jsonb_each_text("
            " case when jsonb_typeof(document) = 'object' then document else '{{}}' end))"
            " select place, array[1] as path, 'party_id' as kind, btrim(id) as id, at, {party_hash} as subject_hash"
            " from fields where btrim(id) <> ''"
            " union all select fields.place, array[1], 'party_id', s.party_id, fields.at, {owner_hash} from fields"
            " inner join raw.crm__subscriptions as s on btrim(fields.id) = s.subscription_id and s._op = 'u'"
            " union all select place, array[1], 'msisdn', id, at, {number_hash} from ("
            " select place, {number} as id, at from fields) as fields where length(id) >= {min_digits}"
        ).format(
            where=where,
            event_at=event_at,
            party_hash=hashed("party", sql.SQL("btrim(id)")),
            owner_hash=hashed("party", sql.SQL("s.party_id")),
            number=normalised(sql.Identifier("id")),
            number_hash=hashed("number", sql.Identifier("id")),
            min_digits=sql.Literal(MIN_DIGITS),
        )
    )
    cur.execute("delete from judged where subject_hash not in (select subject_hash from ops.suppressions)")
    cur.execute("select exists (select from judged)")
    if cur.fetchone() != (True,):
        return 0
    people.find_holders(cur)
    return blank_where(
        cur,
        contract,
        sql.SQL(
            "ctid in (select judged.place from judged"
            " left join holders on judged.kind = 'msisdn' and judged.id = holders.number and judged.at = holders.at"
            " where holders.number is null or {} in (select subject_hash from ops.suppressions))"
        ).format(hashed("party", sql.SQL("holders.party"))),
    )


def blank_rejects_with(cur: Cursor, contract: Contract, patterns: list[str]) -> int:
    """Blank rejects whose text holds one of some values (LIKE patterns); returns how many."""
    return blank_where(cur, contract, sql.SQL("row_text like any({})").format(sql.Literal(patterns)))


def blank_where(cur: Cursor, contract: Contract, condition: sql.Composable) -> int:
    """Blank the rejects of a condition; returns how many.

    A database's row keeps its key columns, by which keys that cannot be live are counted; a file's line keeps nothing.
    """
    keys = _by_table({table.name: sql.Literal(list(table.key)) for table in contract.tables.values()})
    cur.execute(
        sql.SQL(
            "with found as (select ctid as place, table_name, row_text,"
            " case when file is null and pg_input_is_valid(row_text, 'jsonb') then row_text::jsonb end as document"
            " from raw.rejects where row_text is not null and {condition}),"
            " blanked as (select place, row_text, case when jsonb_typeof(document) = 'object' then ("
            " select jsonb_object_agg(key, value)::text from jsonb_each(document) where key = any({keys})) end as kept"
            " from found)"
            " update raw.rejects as r set row_text = blanked.kept from blanked"
            " where r.ctid = blanked.place and blanked.kept is distinct from blanked.row_text"
        ).format(condition=condition, keys=keys)
    )
    return int(cur.rowcount)


def _by_table(values: Mapping[str, sql.Composable]) -> sql.Composed:
    """SQL: a value by the reject's table."""
    whens = [sql.SQL("when {} then {}").format(sql.Literal(name), value) for name, value in values.items()]
    return sql.SQL("case table_name {} end").format(sql.SQL(" ").join(whens))
