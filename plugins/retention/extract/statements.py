"""Which file stated each row last: decides between files that state the same one. Keys are kept as hashes only.

A file is known by its first row in ops.files, however often it is read: reading it again writes nothing that it said
before.
"""

from collections.abc import Sequence

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.sources.contract import Table


def gather(cur: Cursor, table: Table) -> None:
    """Note what `incoming` states in the temporary table `stated`: key hash, number of the file, when written."""
    keys = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
    written_at = sql.Identifier(table.cursor) if table.cursor else sql.SQL("null::timestamptz")
    cur.execute(
        sql.SQL(
            "create temp table stated on commit drop as select md5(jsonb_build_array({keys})::text)::uuid as key_hash,"
            " _file, {written_at} as written_at, ctid as place from incoming"
        ).format(keys=keys, written_at=written_at)
    )
    cur.execute("analyze stated")


def reject_stated(cur: Cursor, table: Table, load_id: int, files: Sequence[str], kept: Sequence[str]) -> int:
    """Reject rows of `incoming` from kept texts (files `kept`) whose key their file has stated elsewhere; how many.

    `files` are the names by number.
    """
    if not kept:
        return 0
    cur.execute(
        "with repeated as (delete from stated as i using raw.file_statements as s, ops.files as f"
        " where s.table_name = %(table)s and s.key_hash = i.key_hash and f.file_id = s.file_id"
        " and f.file = (%(files)s::text[])[i._file] and f.file = any(%(kept)s::text[]) returning i.place),"
        " moved as (delete from incoming as i using repeated where i.ctid = repeated.place"
        " returning i._file, i._line, (to_jsonb(i) - '{_file,_line}'::text[])::text as row_text)"
        " insert into raw.rejects (load_id, table_name, file, line, reason, row_text)"
        " select %(load_id)s, %(table)s, (%(files)s::text[])[_file], _line, %(reason)s, row_text from moved",
        {
            "table": table.name,
            "files": list(files),
            "kept": list(kept),
            "load_id": load_id,
            "reason": f"key {', '.join(table.key)} is not unique in the file",
        },
    )
    return int(cur.rowcount)


def drop_late(cur: Cursor, table: Table, files: Sequence[str], kept: Sequence[str]) -> int:
    """Drop rows of `incoming` that a file not read now has stated later; how many. `files` are the names by number.

    What the files read now had stated before is void, except of those in `kept`.
    """
    cur.execute(
        "with late as (delete from stated as i using raw.file_statements as s, ops.files as f"
        " where s.table_name = %(table)s and s.key_hash = i.key_hash and f.file_id = s.file_id"
        " and f.file <> all(%(read)s::text[])"
        " and (coalesce(s.written_at, '-infinity'), f.file collate \"C\")"
        " > (coalesce(i.written_at, '-infinity'), (%(files)s::text[])[i._file] collate \"C\") returning i.place)"
        " delete from incoming as i using late where i.ctid = late.place",
        {"table": table.name, "files": list(files), "read": [name for name in files if name not in kept]},
    )
    return int(cur.rowcount)


def record(cur: Cursor, table: Table, first_ids: Sequence[int]) -> None:
    """Remember which file states each row of `stated`; `first_ids` are the files' first rows in ops.files by number."""
    cur.execute(
        "insert into raw.file_statements (table_name, key_hash, file_id, written_at)"
        " select %(table)s, i.key_hash, (%(ids)s::bigint[])[i._file], i.written_at from stated as i"
        " left join raw.file_statements as s on s.table_name = %(table)s and s.key_hash = i.key_hash"
        " where s.key_hash is null"
        " or (s.file_id, s.written_at) is distinct from ((%(ids)s::bigint[])[i._file], i.written_at)"
        # In the order of the index.
        " order by i.key_hash"
        " on conflict (table_name, key_hash) do update"
        " set file_id = excluded.file_id, written_at = excluded.written_at",
        {"table": table.name, "ids": list(first_ids)},
    )


def count_not_restated(cur: Cursor, table: Table, load_id: int, first_ids: Sequence[int]) -> None:
    """Book in ops.files how many keys each file read again by this load had stated before and does not state now."""
    # Statements have no index by file, which each statement of each load would pay for: look only when one was read.
    cur.execute(
        "select exists (select from ops.files where file_id = any(%s::bigint[]) and load_id < %s)",
        (list(first_ids), load_id),
    )
    if cur.fetchone() != (True,):
        return
    cur.execute(
        "update ops.files as fresh set keys_not_restated = counted.keys from ("
        " select f.file, count(*) as keys from unnest(%(ids)s::bigint[]) with ordinality as first (file_id, number)"
        " join ops.files as f on f.file_id = first.file_id and f.load_id < %(load_id)s"
        " join raw.file_statements as s on s.table_name = %(table)s and s.file_id = first.file_id"
        " where not exists (select from stated as i where i.key_hash = s.key_hash and i._file = first.number)"
        " group by f.file) as counted"
        " where fresh.load_id = %(load_id)s and fresh.table_name = %(table)s and fresh.file = counted.file",
        {"load_id": load_id, "table": table.name, "ids": list(first_ids)},
    )
