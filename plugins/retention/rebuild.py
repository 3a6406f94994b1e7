"""Build a past night again from the loads it had, in schemas of its own, and compare with what was published then.

With the same code and seeds both are equal, row for row except lineage. Nothing is extracted and nothing is published.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.erasure.compact import first_rebuildable
from retention.mart_views import is_private
from retention.outcomes.track import track_outcomes
from retention.row_hash import row_hash
from retention.text.model_file import SHIPPED
from retention.transform import Dbt, Project

log = logging.getLogger(__name__)

#: Made before dbt runs; it makes the others.
_ROOMS = ("ops", "outcomes")


class RebuildError(RuntimeError):
    """The night cannot be rebuilt; the message says why. What is published was not touched."""


@dataclass(frozen=True)
class MartComparison:
    """A mart as (rows, hash) when it was published and as rebuilt; None where there is no such mart."""

    mart: str
    published: tuple[int, str] | None
    rebuilt: tuple[int, str] | None

    @property
    def is_equal(self) -> bool:
        """Whether both hold the same rows, lineage aside."""
        return self.published == self.rebuilt


@dataclass(frozen=True)
class Comparison:
    """A rebuilt night beside the published one; a difference is explained when code or seeds are no longer the same."""

    batch_id: int
    as_of: datetime
    is_same_code: bool
    is_same_seeds: bool
    marts: tuple[MartComparison, ...]

    @property
    def compared(self) -> int:
        """How many marts were compared."""
        return len(self.marts)

    @property
    def differing(self) -> tuple[MartComparison, ...]:
        """The marts that are not what was published."""
        return tuple(mart for mart in self.marts if not mart.is_equal)

    @property
    def is_unexplained(self) -> bool:
        """Whether it differs although code and seeds are the same as then."""
        return bool(self.differing) and self.is_same_code and self.is_same_seeds

    def __str__(self) -> str:
        night = f"batch {self.batch_id} (as of {self.as_of.isoformat()}) rebuilt"
        if not self.differing:
            return f"{night}: all {self.compared} marts equal what was published"
        different = ", ".join(
            f"{mart.mart} ({_rows(mart.published)} published, {_rows(mart.rebuilt)} rebuilt)" for mart in self.differing
        )
        changed = [name for name, same in (("code", self.is_same_code), ("seeds", self.is_same_seeds)) if not same]
        reason = f"changed since: {' and '.join(changed)}" if changed else "code and seeds are the same as then"
        return f"{night}: different in {different}; {reason}"


def rebuild(etl_dsn: str, project: Path, work: Path, batch_id: int, text_model: Path = SHIPPED) -> Comparison:
    """Rebuild a published batch into schemas `rebuild_<batch>_*`, compare, and drop them.

    `project` is the checkout, `work` a folder for dbt's artefacts, `text_model` what texts are read with now. No source
    is read and no lease is taken.
    Raises RebuildError when the batch was never published, is older than what upkeep left whole, or is being rebuilt
    already, and what dbt and the outcomes raise.
    """
    conn = psycopg2.connect(etl_dsn, application_name="retention rebuild")
    try:
        with conn, conn.cursor() as cur:
            cur.execute(
                "select as_of, code_hash, seed_hash from ops.batches where batch_id = %s and state = 'published'",
                (batch_id,),
            )
            row = cur.fetchone()
        if row is None:
            raise RebuildError(f"batch {batch_id} was never published: there is nothing to compare a rebuild with")
        if batch_id < (kept_from := first_rebuildable(conn)):
            raise RebuildError(
                f"batch {batch_id} cannot be rebuilt: upkeep removed rows that only nights before batch {kept_from} saw"
                " (ops.upkeep, seed retention_periods). What is published was not touched."
            )
        as_of, code_hash, seed_hash = row
        prefix = f"rebuild_{batch_id}_"
        with _scratch(conn, batch_id, prefix):
            _set_run(conn, prefix, batch_id, as_of)
            target = work / "dbt" / "rebuild"
            target.mkdir(parents=True, exist_ok=True)
            dbt = Dbt(
                Project(project / "dbt_project", target, etl_dsn, f"{prefix}marts", prefix, run_schema=f"{prefix}ops")
            )
            dbt.build_models(("staging", "intermediate"), {})
            _copy_packs(conn, prefix, as_of)
            track_outcomes(
                conn, as_of, batch_id,
                intermediate_schema=f"{prefix}intermediate", outcomes_schema=f"{prefix}outcomes",
            )  # fmt: skip
            _copy_history(conn, prefix, as_of)
            dbt.build_models(("marts",), {})
            comparison = Comparison(
                batch_id,
                as_of,
                is_same_code=dbt.code_digest(text_model) == code_hash,
                is_same_seeds=dbt.digest("seed") == seed_hash,
                marts=_compare(conn, batch_id, f"{prefix}marts"),
            )
    finally:
        conn.close()
    log.info("%s", comparison)
    return comparison


@contextmanager
def _scratch(conn: Connection, batch_id: int, prefix: str) -> Iterator[None]:
    """Empty schemas of this rebuild's own, gone afterwards; the lock ends with the connection."""
    with conn, conn.cursor() as cur:
        cur.execute("select pg_try_advisory_lock(hashtext('retention rebuild'), %s)", (batch_id,))
        if cur.fetchone() != (True,):
            raise RebuildError(f"batch {batch_id} is being rebuilt by somebody else: wait for that one")
    _drop(conn, prefix)
    try:
        with conn, conn.cursor() as cur:
            for room in _ROOMS:
                cur.execute(sql.SQL("create schema {}").format(sql.Identifier(prefix + room)))
        yield
    finally:
        conn.rollback()
        _drop(conn, prefix)


def _drop(conn: Connection, prefix: str) -> None:
    with conn, conn.cursor() as cur:
        cur.execute("select nspname from pg_namespace where starts_with(nspname, %s) order by 1", (prefix,))
        schemas = [name for (name,) in cur.fetchall()]
    # One transaction each keeps the locks few.
    for schema in schemas:
        with conn, conn.cursor() as cur:
            cur.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


def _set_run(conn: Connection, prefix: str, batch_id: int, as_of: datetime) -> None:
    """What the models read instead of ops: the night, its quarantine, and every load consumed by then, as if new."""
    with conn, conn.cursor() as cur:
        cur.execute(
            sql.SQL(
                """
                create table {run} as
                select true as is_current, %s::bigint as batch_id, %s::timestamptz as as_of,
                    null::timestamptz as prev_as_of;
                create view {seen} as
                select load_id, table_name, loads.batch_id, snapshot_at, watermark_to, live_keys
                from ops.loads inner join ops.load_consumption as consumed using (load_id)
                where consumed.batch_id <= {batch_id};
                create view {loads} as select load_id, table_name from {seen};
                create view {set_aside} as
                select table_name, load_id, key, true as is_set_aside, false as is_changed from ops.quarantine
                where batch_id <= {batch_id} and (released_batch_id is null or released_batch_id > {batch_id})
                """
            ).format(
                run=sql.Identifier(f"{prefix}ops", "current_run"),
                seen=sql.Identifier(f"{prefix}ops", "loads_seen"),
                loads=sql.Identifier(f"{prefix}ops", "loads_to_stage"),
                set_aside=sql.Identifier(f"{prefix}ops", "set_aside"),
                batch_id=sql.Literal(batch_id),
            ),
            (batch_id, as_of),
        )


def _copy_packs(conn: Connection, prefix: str, as_of: datetime) -> None:
    """Cases drawn for review by earlier nights are kept, not drawn again: a night draws beside them."""
    with conn, conn.cursor() as cur:
        cur.execute("select to_regclass('outcomes.case_review') is not null")
        if cur.fetchone() == (True,):
            cur.execute(
                sql.SQL(
                    "create table {packs} (like outcomes.case_review including all);"
                    " insert into {packs} select * from outcomes.case_review where as_of < %s"
                ).format(packs=sql.Identifier(f"{prefix}outcomes", "case_review")),
                (as_of,),
            )


def _copy_history(conn: Connection, prefix: str, as_of: datetime) -> None:
    """The mart of metrics shows earlier nights as they were published: they are not computed again."""
    with conn, conn.cursor() as cur:
        cur.execute(
            sql.SQL("insert into {} select * from outcomes.retention_metrics where as_of < %s").format(
                sql.Identifier(f"{prefix}outcomes", "retention_metrics")
            ),
            (as_of,),
        )


def _compare(conn: Connection, batch_id: int, schema: str) -> tuple[MartComparison, ...]:
    """Compare all marts but the private ones: an erasure after the publication changes those, and is meant to."""
    with conn, conn.cursor() as cur:
        cur.execute(
            """
            select mart, rows, row_hash from ops.publication_marts
            where publication_id = (select max(publication_id) from ops.publications where batch_id = %s)
            """,
            (batch_id,),
        )
        published = {mart: (int(rows), str(digest)) for mart, rows, digest in cur.fetchall()}
        cur.execute("select tablename from pg_tables where schemaname = %s", (schema,))
        rebuilt = {mart: row_hash(conn, schema, mart) for (mart,) in cur.fetchall() if not is_private(mart)}
    return tuple(
        MartComparison(mart, published.get(mart), rebuilt.get(mart))
        for mart in sorted(published.keys() | rebuilt.keys())
        if not is_private(mart)
    )


def _rows(content: tuple[int, str] | None) -> str:
    return "not" if content is None else f"{content[0]:,} rows"
