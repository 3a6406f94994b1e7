"""Bad rows are set aside by key, so that a night goes on without them; too many of them stop it.

What a gate finds is first collected in temporary tables of its session; ops.quarantine changes only once the whole gate
has passed (`settle`), in one transaction. A version set aside is not shown by staging, which shows the key's latest
version that is not, and comes back when a newer one passes, or when it passes a check that was corrected.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention.quality.predicates import failing_rows
from retention.quality.raw_versions import has_key, has_no_parent, key_of, latest_version, tonights_rows
from retention.quality.suites import Expectation, Suite
from retention.quality.verdict import Check
from retention.sources.contract import Table, load_contract, raw_identifier

log = logging.getLogger(__name__)

#: So few rows are set aside whatever their share, unless they are all of a load that is not tiny.
SMALL = 20
TINY_LOAD = 3


@dataclass(frozen=True)
class Settled:
    """How many versions a gate set aside and how many it let back."""

    set_aside: int
    released: int


def open_findings(conn: Connection) -> None:
    """Create the session's empty tables of what the gate finds: failing_versions and found_orphans."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            create temp table failing_versions (table_name text, load_id bigint, key jsonb, checks text[]);
            create temp table found_orphans (like ops.orphans)
            """
        )


def is_tolerable(failing: int, examined: int, ratio: float) -> bool:
    """Whether so many of the rows examined may be set aside."""
    is_small = failing <= SMALL and not (failing == examined and examined >= TINY_LOAD)
    return is_small or failing <= ratio * examined


def too_many(failing: int, examined: int, ratio: float) -> str:
    """What a check says whose rows were not set aside."""
    return (
        f"{failing:,} of {examined:,} rows fail critical checks, more than the share of {ratio:g} that may be set "
        "aside (max_quarantine_ratio): nothing was quarantined"
    )


def can_be_set_aside(table: Table) -> bool:
    """Whether the books may name the table's rows: not by a personal key."""
    return not any(table.columns[column].pii for column in table.key)


def judge(conn: Connection, suite: Suite, load_ids: Sequence[int], checks: Sequence[Check]) -> list[Check]:
    """The suite's checks again: those whose rows can be set aside say so, the others stop the night as they are.

    `checks` are the suite's in its order, on the latest versions of the loads. The failing versions are collected in
    failing_versions. When our own condition counts other rows than Great Expectations did, nothing can be set aside.
    """
    table = load_contract().tables[suite.table]
    failed = {
        number: (expectation, failing_rows(expectation, "r"))
        for number, (expectation, check) in enumerate(zip(suite.expectations, checks, strict=True))
        if not check.is_passed and check.severity == "critical"
    }
    conditions = [condition for _, condition in failed.values() if condition is not None]
    examined = {checks[number].rows_examined for number in failed}
    (rows,) = examined if len(examined) == 1 else (None,)
    if not failed or len(conditions) < len(failed) or rows is None or not can_be_set_aside(table):
        return list(checks)
    failing, counts = _collect(conn, table, load_ids, [expectation for expectation, _ in failed.values()], conditions)
    judged = list(checks)
    for number, count in zip(failed, counts, strict=True):
        check = checks[number]
        reason = f"{check.message}; " if check.message else ""
        if count != check.rows_failed:
            message = (
                f"{reason}our own condition finds {count:,} rows: a fault of quality/predicates.py, nothing was "
                "quarantined"
            )
            judged[number] = replace(check, message=message)
        elif counts != [checks[other].rows_failed for other in failed]:
            continue
        elif is_tolerable(failing, rows, suite.max_quarantine_ratio):
            message = f"{reason}{failing:,} of {rows:,} rows of the table set aside"
            judged[number] = replace(check, message=message, is_quarantined=True)
        else:
            judged[number] = replace(check, message=reason + too_many(failing, rows, suite.max_quarantine_ratio))
    return judged


def _collect(
    conn: Connection,
    table: Table,
    load_ids: Sequence[int],
    expectations: Sequence[Expectation],
    conditions: Sequence[sql.Composable],
) -> tuple[int, list[int]]:
    """Note the failing versions; returns how many there are, and how many each condition finds."""
    columns = dict.fromkeys([*table.key, "_load_id", *(c for e in expectations for c in e.columns)])
    query = sql.SQL(
        """
        with judged as materialized (
            select r._load_id, {key} as key, array[{conditions}] as is_failing from ({rows}) as r where {any_condition}
        ),
        noted as (
            insert into failing_versions
            select {table}, _load_id, key, array(
                select distinct label from unnest({labels}, is_failing) as found(label, is_found) where is_found
            )
            from judged
        )
        select count(*), {counts} from judged
        """
    ).format(
        key=key_of(table, "r"),
        conditions=sql.SQL(", ").join(conditions),
        any_condition=sql.SQL(" or ").join(conditions),
        rows=tonights_rows(table, load_ids, list(columns)),
        table=sql.Literal(table.name),
        labels=sql.Literal([expectation.label for expectation in expectations]),
        counts=sql.SQL(", ").join(
            sql.SQL("count(*) filter (where is_failing[{}])").format(sql.Literal(number + 1))
            for number in range(len(conditions))
        ),
    )
    with conn, conn.cursor() as cur:
        cur.execute(query)
        failing, *counts = cur.fetchone() or (0,)
    return int(failing), [int(count) for count in counts]


def settle(
    conn: Connection,
    batch_id: int,
    suites: Sequence[Suite],
    supplied: Collection[str] | None,
    is_short: bool = False,
) -> Settled:
    """Make what the gate found true, in one transaction: remember orphans, set aside, let back. Safe to repeat.

    `supplied`: the tables of the profile (None: all); only references among them are looked at. `is_short`: a
    ten-minute run's books, which no night reads, and no orphans.
    """
    books = sql.Identifier("live_ops" if is_short else "ops", "quarantine")
    with conn, conn.cursor() as cur:
        if not is_short:
            cur.execute(
                """
                delete from ops.orphans as known
                where not exists (
                    select from found_orphans as found
                    where (found.table_name, found.column_name, found.key, found.load_id)
                        = (known.table_name, known.column_name, known.key, known.load_id)
                );
                insert into ops.orphans select * from found_orphans on conflict do nothing;
                """
            )
        cur.execute(
            sql.SQL(
                """
                insert into {books} (table_name, load_id, key, checks, batch_id)
                select table_name, load_id, key, array_agg(distinct label order by label), %s
                from failing_versions cross join unnest(checks) as label
                group by table_name, load_id, key
                on conflict do nothing
                """
            ).format(books=books),
            (batch_id,),
        )
        set_aside = int(cur.rowcount)
        cur.execute("select distinct table_name from failing_versions")
        failing = {name for (name,) in cur.fetchall()}
        set_aside += sum(
            _set_older_aside(cur, batch_id, suite, supplied, books) for suite in suites if suite.table in failing
        )
        cur.execute(sql.SQL("select distinct table_name from {} where released_batch_id is null").format(books))
        tables = {name for (name,) in cur.fetchall()}
        released = sum(_release(cur, batch_id, suite, books) for suite in suites if suite.table in tables)
    if set_aside or released:
        log.warning("quarantine: %d versions set aside, %d let back", set_aside, released)
    return Settled(set_aside, released)


def _set_older_aside(
    cur: Cursor, batch_id: int, suite: Suite, supplied: Collection[str] | None, books: sql.Identifier
) -> int:
    """Set aside older versions of the failing keys that fail, too: staging would show one of them; returns how many."""
    table = load_contract().tables[suite.table]
    fails = [
        *_critical_failures(suite),
        *(
            has_no_parent("r", column, parent)
            for column, parent in table.references.items()
            if supplied is None or {table.name, parent} <= set(supplied)
        ),
    ]
    if not fails:
        return 0
    cur.execute(
        sql.SQL(
            """
            insert into {books} (table_name, load_id, key, checks, batch_id)
            select {table}, r._load_id, bad.key, array['older version of a row set aside'], {batch}
            from (
                select key, max(load_id) as load_id from failing_versions where table_name = {table} group by key
            ) as bad
            inner join {raw} as r on {same} and r._op = 'u' and r._load_id < bad.load_id
            where {fails}
            on conflict do nothing
            """
        ).format(
            table=sql.Literal(table.name),
            batch=sql.Literal(batch_id),
            raw=raw_identifier(table.name),
            same=has_key(table, "r", "bad.key"),
            books=books,
            fails=sql.SQL(" or ").join(fails),
        )
    )
    return int(cur.rowcount)


def _critical_failures(suite: Suite) -> list[sql.Composable]:
    """Conditions under which a version `r` fails a critical check of rows; checks of tables have none."""
    conditions = (failing_rows(e, "r") for e in suite.expectations if e.severity == "critical")
    return [condition for condition in conditions if condition is not None]


def _release(cur: Cursor, batch_id: int, suite: Suite, books: sql.Identifier) -> int:
    """Let back all versions of the keys whose latest version passes, or is gone; returns how many.

    Those before a latest version that fails stay: staging would show one of them.
    """
    table = load_contract().tables[suite.table]
    fails = _critical_failures(suite)
    cur.execute(
        sql.SQL(
            """
            with keys as (
                select distinct key from {books} where table_name = {table} and released_batch_id is null
            ),
            whole as (
                select keys.key, r._load_id as load_id, r._op as op
                from keys
                left join lateral ({latest}) as r on true
                where r._load_id is null or r._op = 'd' or not (
                    {fails}
                    or exists (
                        select from ops.orphans as orphans
                        where orphans.table_name = {table} and orphans.key = keys.key
                            and orphans.load_id = r._load_id and orphans.batch_id < {batch}
                    )
                )
            )
            update {books} as q
            set
                released_batch_id = {batch},
                changed_at = clock_timestamp(),
                released_because = case
                    when whole.op is distinct from 'u' then 'deleted'
                    when whole.load_id = q.load_id then 'passes'
                    else 'replaced'
                end
            from whole
            where q.table_name = {table} and q.released_batch_id is null and q.key = whole.key
            """
        ).format(
            table=sql.Literal(table.name),
            books=books,
            latest=latest_version(table, "keys.key"),
            fails=sql.SQL(" or ").join(fails) if fails else sql.SQL("false"),
            batch=sql.Literal(batch_id),
        )
    )
    return int(cur.rowcount)
