"""SQL over versions of raw: tonight's rows, a key as ops.quarantine and ops.orphans spell it, its latest version."""

from collections.abc import Sequence

from psycopg2 import sql

from retention.sources.contract import Table, load_contract, raw_identifier


def tonights_rows(table: Table, load_ids: Sequence[int], columns: Sequence[str]) -> sql.Composed:
    """Query of the rows of the loads without those that a later one of them replaced: a corrected row is no failure."""
    name = raw_identifier(table.name)
    ids = sql.SQL(", ").join(map(sql.Literal, load_ids))
    query = sql.SQL("select {} from {} as r where r._op = 'u' and r._load_id in ({})").format(
        sql.SQL(", ").join(sql.Identifier("r", column) for column in columns), name, ids
    )
    if len(load_ids) > 1:
        same = sql.SQL(" and ").join(sql.SQL("n.{0} = r.{0}").format(sql.Identifier(column)) for column in table.key)
        query += sql.SQL(" and not exists (select 1 from {} as n where {} and n._load_id > r._load_id)").format(
            name, same
        )
    return query


def key_of(table: Table, row: str) -> sql.Composed:
    """The key of `row` (an alias) as jsonb: unambiguous for keys of several columns, and no session's date style."""
    pairs = sql.SQL(", ").join(
        sql.SQL("{}, {}").format(sql.Literal(column), sql.Identifier(row, column)) for column in table.key
    )
    return sql.SQL("jsonb_build_object({})").format(pairs)


def has_key(table: Table, row: str, key: str) -> sql.Composed:
    """Condition: `row` has that key (an SQL name of jsonb). Each column in its own type, so that the index is used."""
    pair = "{} = cast({} ->> {} as {})"
    return sql.SQL(" and ").join(
        sql.SQL(pair).format(
            sql.Identifier(row, column), sql.SQL(key), sql.Literal(column), sql.SQL(table.columns[column].type)
        )
        for column in table.key
    )


def has_no_parent(row: str, column: str, parent: str) -> sql.Composed:
    """Condition: `row` (an alias) names a parent in `column` that the table `parent` has never held."""
    return sql.SQL("{0} is not null and not exists (select from {1} as parents where {2} = {0})").format(
        sql.Identifier(row, column),
        raw_identifier(parent),
        sql.Identifier("parents", load_contract().tables[parent].key[0]),
    )


def latest_version(table: Table, key: str, condition: sql.Composable | None = None) -> sql.Composed:
    """Query of the latest version with that key, tombstones included, among those that meet `condition` (on `r`)."""
    return sql.SQL("select r.* from {} as r where {} and {} order by r._load_id desc limit 1").format(
        raw_identifier(table.name), has_key(table, "r", key), condition or sql.SQL("true")
    )
