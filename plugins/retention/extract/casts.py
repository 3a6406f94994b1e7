"""Casts staged texts in the warehouse: what is valid goes to `incoming`, what is not to the rejects with a reason."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.extract import versions
from retention.sources.contract import Table
from retention.sources.profile import ColumnRule, FilesSource

#: Beside PostgreSQL's own check: it also takes 'now', '1_000', 'NaN' and dates whose day and month it has to guess.
PATTERNS = {
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "timestamptz": r"^\d{4}-\d{2}-\d{2}([ T]|$)",
    "integer": r"^[+-]?\d+$",
    "bigint": r"^[+-]?\d+$",
    "numeric": r"^[+-]?(\d+\.?\d*|\.\d+)$",
}


def create_staging(cur: Cursor, table: Table) -> None:
    """Temporary tables: `staged` (file number, line, reason, row text, a text per column) and `incoming`."""
    columns = sql.SQL(", ").join(sql.Identifier(name) + sql.SQL(" text") for name in table.columns)
    query = sql.SQL(
        "create temp table staged (_file int, _line bigint, _reason text, _row_text text, {}) on commit drop"
    )
    cur.execute(query.format(columns))
    versions.create_staging(cur, table)
    cur.execute("alter table incoming add column _file int, add column _line bigint")


def cast_rows(
    cur: Cursor, table: Table, source: FilesSource, zone: ZoneInfo, load_id: int, files: Sequence[str]
) -> int:
    """Move `staged` to `incoming` and raw.rejects; `files` are the names by number. Returns the rows rejected."""
    words = sql.SQL(", ").join(
        sql.SQL("{} as {}").format(_word(name, table, source), sql.Identifier(name)) for name in table.columns
    )
    checks = sql.SQL(" ").join(
        sql.SQL("when not ({}) then {}").format(_is_valid(name, column.type), sql.Literal(_reason(name, column.type)))
        for name, column in table.columns.items()
        if column.type != "text"
    )
    keys = sql.SQL(" ").join(
        sql.SQL("when {} is null then {}").format(sql.Identifier(name), sql.Literal(f"key {name} is NULL"))
        for name in table.key
    )
    casts = sql.SQL(", ").join(
        sql.SQL("{}::" + column.type).format(sql.Identifier(name)) for name, column in table.columns.items()
    )
    cur.execute("select set_config('timezone', %s, true)", (zone.key,))
    cur.execute(
        sql.SQL(
            "with words as (select ctid as _place, _file, _line, _reason, {words} from staged),"
            # Materialised: the casts below must see valid rows only.
            " judged as materialized (select *, coalesce(_reason, case {checks} {keys} end) as verdict from words),"
            " accepted as (insert into incoming select {casts}, _file, _line from judged where verdict is null)"
            " insert into raw.rejects (load_id, table_name, file, line, reason, row_text)"
            " select {load_id}, {table}, ({files}::text[])[judged._file], judged._line, verdict,"
            " coalesce(staged._row_text, jsonb_strip_nulls("
            "to_jsonb(staged) - '{{_file,_line,_reason,_row_text}}'::text[])::text)"
            " from judged join staged on staged.ctid = judged._place where verdict is not null"
        ).format(
            words=words,
            checks=checks,
            keys=keys,
            casts=casts,
            load_id=sql.Literal(load_id),
            table=sql.Literal(table.name),
            files=sql.Literal(list(files)),
        )
    )
    rejected = int(cur.rowcount)
    cur.execute("set local timezone = 'UTC'")
    return rejected


def reject_repeated(cur: Cursor, table: Table, load_id: int, files: Sequence[str]) -> int:
    """Reject rows of `incoming` whose key their file has before, and drop those that another file states later.

    Later is what the source wrote later (the table's cursor), else what stands in the file of the later name. Returns
    the rows rejected.
    """
    written_at = sql.Identifier(table.cursor) if table.cursor else sql.SQL("null::timestamptz")
    keys = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
    cur.execute(
        sql.SQL(
            "with numbered as ("
            " select *, ctid as _place, row_number() over (partition by {keys}, _file order by _line) as _nth"
            " from incoming),"
            # What its file has before states nothing: it does not decide between files either.
            " judged as (select _place as place, _nth as nth, first_value(_file) over"
            " (partition by {keys} order by _nth > 1, {written_at} desc nulls last, _file desc) as last_file"
            " from numbered),"
            " moved as (delete from incoming as i using judged where i.ctid = judged.place"
            " and (nth > 1 or i._file <> last_file) returning i._file, i._line, nth > 1 as is_repeated,"
            " (to_jsonb(i) - '{{_file,_line}}'::text[])::text as row_text)"
            " insert into raw.rejects (load_id, table_name, file, line, reason, row_text)"
            " select {load_id}, {table}, ({files}::text[])[_file], _line, {reason}, row_text"
            " from moved where is_repeated"
        ).format(
            keys=keys,
            written_at=written_at,
            load_id=sql.Literal(load_id),
            table=sql.Literal(table.name),
            files=sql.Literal(list(files)),
            reason=sql.Literal(f"key {', '.join(table.key)} is not unique in the file"),
        )
    )
    return int(cur.rowcount)


def _word(name: str, table: Table, source: FilesSource) -> sql.Composable:
    """The text to cast: through the profile's map, without the blanks that only a number or date can do without."""
    rule = source.columns.get(name) or ColumnRule(column=name)
    if rule.column is None:
        return _literal(rule.value)
    column: sql.Composable = sql.Identifier(name)
    if rule.map is not None:
        pairs = [sql.SQL("when {} then {}").format(sql.Literal(w), _literal(t)) for w, t in rule.map.items()]
        other = _literal(rule.default) if rule.has_default else column
        return sql.SQL("case {} {} else {} end").format(column, sql.SQL(" ").join(pairs), other)
    type_name = table.columns[name].type
    if type_name == "text":
        return column
    if type_name.startswith("numeric") and source.decimal == ",":
        column = sql.SQL("replace({}, ',', '.')").format(column)
    return sql.SQL("nullif(btrim({}), '')").format(column)


def _literal(value: object) -> sql.Composable:
    if isinstance(value, bool):
        value = "true" if value else "false"
    return sql.SQL("{}::text").format(sql.Literal(None if value is None else str(value)))


def _is_valid(name: str, type_name: str) -> sql.Composable:
    pattern = PATTERNS.get(type_name.split("(", maxsplit=1)[0])
    form = sql.SQL("{} ~ {} and ").format(sql.Identifier(name), sql.Literal(pattern)) if pattern else sql.SQL("")
    valid = sql.SQL("pg_input_is_valid({}, {})").format(sql.Identifier(name), sql.Literal(type_name))
    return sql.SQL("{} is null or ({}{})").format(sql.Identifier(name), form, valid)


def _reason(name: str, type_name: str) -> str:
    article = "an" if type_name[0] in "aeiou" else "a"
    return f"column {name} is not {article} {type_name}"
