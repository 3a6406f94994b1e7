"""Two slots, one publish: which slot is built, when it becomes what BI reads, and the way back.

The marts are built into whichever of `marts_a` and `marts_b` is idle, checked there, and then every view of the
schemas `marts` and `marts_private` is repointed in one transaction. All functions take a connection of the role
`publisher`, not in autocommit, and commit what they did themselves; run again after a crash at any point they come to
the same end.
Runbook: docs/runbooks/publish.md
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NoReturn, TypeVar

from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from retention import mart_views
from retention.row_hash import row_hash

T = TypeVar("T")
Action = Literal["publish", "rollback"]

#: How long a publish keeps trying, seconds: longer than a BI reader's longest statement (install.BI_SETTINGS).
PATIENCE_SECONDS = 90.0
#: How long an attempt waits in the queue behind readers, all views together. Below PostgreSQL's deadlock_timeout (1 s):
#: when a reader and a publish each hold what the other wants, it is the publish that gives way, never the reader.
QUEUE_SECONDS = 0.9
#: Readers that keep taking the views in another order than ours defeat every queue: between two attempts that queue,
#: this many look for an instant when the views are free.
QUICK_ATTEMPTS = 40
QUICK_SECONDS = 0.005
#: Readers that queued behind an attempt get up to this long to run before the next one.
PAUSE_SECONDS = 0.05


class PublishRefused(RuntimeError):
    """Nothing was published, dropped or repointed; the message says why and what to do."""


class AlreadyPublished(RuntimeError):
    """The batch was published before, and what BI reads is that or newer: there is nothing to build."""


@dataclass(frozen=True)
class MartContent:
    """What a mart held when it was published: rows, and their hash without lineage columns."""

    mart: str
    rows: int
    row_hash: str


@dataclass(frozen=True)
class Publication:
    """One switch of the views to a slot; `is_new` is false when an earlier switch already did what was asked."""

    publication_id: int
    batch_id: int
    as_of: datetime
    slot: str
    action: Action
    marts: tuple[MartContent, ...]
    is_new: bool

    def __str__(self) -> str:
        rows = sum(mart.rows for mart in self.marts)
        verb = {"publish": "published", "rollback": "rolled back to"}[self.action]
        text = f"{verb} batch {self.batch_id} (as of {_utc(self.as_of)}): {len(self.marts)} marts, {rows:,} rows"
        return text if self.is_new else f"{text}; done before, nothing changed"


@dataclass(frozen=True)
class _Slot:
    slot: str
    state: str
    batch_id: int | None
    as_of: datetime | None
    is_published: bool
    changed_at: datetime


@dataclass(frozen=True)
class _Batch:
    batch_id: int
    as_of: datetime
    is_published: bool


def begin_build(conn: Connection, batch_id: int) -> str:
    """Open the idle slot to `etl` for this batch, close the live one, and return the open slot's name.

    The first call for a batch empties the slot, which ends the possibility of a rollback to it; a repeated one leaves
    what is being built. Raises AlreadyPublished when the batch is published and BI reads it or a newer one;
    PublishRefused when BI reads a newer batch and this one never was published, or the slot is in use.
    """

    def open_slot(cur: Cursor, _wait_seconds: float) -> str:
        slots, batch = _read_slots(cur), _read_batch(cur, batch_id)
        live, idle = _live(slots), _idle(slots)
        if live is not None and live.as_of is not None and batch.as_of <= live.as_of:
            if batch.is_published:
                raise AlreadyPublished(
                    f"batch {batch_id} (as of {_utc(batch.as_of)}) was published before and BI reads "
                    f"batch {live.batch_id} (as of {_utc(live.as_of)}): nothing to build"
                )
            _refuse_older(batch, live)
        if (idle.state, idle.batch_id) != ("building", batch_id):
            if idle.batch_id != batch_id:
                _empty(cur, idle.slot)
            _set_slot(cur, idle.slot, "building", batch_id)
        if live is not None:
            _close(cur, live.slot)
        cur.execute(sql.SQL("grant usage, create on schema {} to etl").format(sql.Identifier(idle.slot)))
        return idle.slot

    return _with_patience(conn, open_slot, f"no slot was opened for batch {batch_id}")


def building_slot(conn: Connection, batch_id: int) -> str:
    """The slot that holds this batch's marts, being built or checked. Raises PublishRefused when none does."""
    with _transaction(conn) as cur:
        for row in _read_slots(cur):
            if row.batch_id == batch_id and row.state in ("building", "checked"):
                return row.slot
    raise PublishRefused(f"no slot holds marts of batch {batch_id} to check: build them first")


def mark_checked(conn: Connection, slot: str, batch_id: int) -> None:
    """Record that every critical check passed on the slot as built for this batch. Raises PublishRefused otherwise."""
    with _transaction(conn) as cur:
        found = {row.slot: row for row in _read_slots(cur)}[slot]
        if found.batch_id != batch_id or found.state == "idle":
            raise PublishRefused(
                f"{slot} is {found.state} for batch {found.batch_id}, not for batch {batch_id}: not marked as checked. "
                f"Build the marts of batch {batch_id} again."
            )
        if found.state == "building":
            _set_slot(cur, slot, "checked", batch_id)


def publish(conn: Connection, batch_id: int, force: bool = False) -> Publication:
    """Point every view of `marts` and `marts_private` at the checked slot of this batch, in one transaction.

    Waits for running BI queries up to PATIENCE_SECONDS. A batch that is live, or was published and since replaced by a
    newer one, is left as it is (`is_new` false). `force` publishes an older batch over a newer one.
    Raises PublishRefused when the batch is not checked, is older than the live one, has no marts, somebody else's view
    depends on one that must be dropped, or readers never made way.
    """
    with _transaction(conn) as cur:
        slots, batch = _read_slots(cur), _read_batch(cur, batch_id)
        live = _live(slots)
        if live is not None and live.as_of is not None:
            if live.batch_id == batch_id:
                return _last_publication(cur, batch)
            if batch.as_of <= live.as_of and not force:
                if batch.is_published:
                    return _last_publication(cur, batch)
                _refuse_older(batch, live)
        slot = next((row for row in slots if row.batch_id == batch_id and row.state == "checked"), None)
        if slot is None:
            states = ", ".join(f"{row.slot} is {row.state} (batch {row.batch_id})" for row in slots)
            raise PublishRefused(
                f"batch {batch_id} is checked in no slot: {states}. Nothing was published. Build and check it first."
            )
    return _switch(conn, slot, "publish")


def rollback(conn: Connection) -> Publication:
    """Point the views back at the other slot, as it was published before. Raises PublishRefused when it is gone.

    The night that is withdrawn is unfinished again: running it again builds, checks and publishes it anew.
    """
    with _transaction(conn) as cur:
        slot = _idle(_read_slots(cur))
        if slot.state == "building":
            reason = f"a build has begun in it (batch {slot.batch_id})"
        elif slot.state == "idle":
            reason = "nothing was ever published from it"
        else:
            reason = "" if slot.is_published else f"its batch {slot.batch_id} was never published"
        if reason:
            raise PublishRefused(f"cannot roll back to {slot.slot}: {reason}. The marts are as they were.")
    return _switch(conn, slot, "rollback")


def _switch(conn: Connection, slot: _Slot, action: Action) -> Publication:
    """Hash the slot's marts while BI reads on, then repoint the views as soon as readers make way."""
    with _transaction(conn) as cur:
        tables = mart_views.read_relations(cur, slot.slot, "rp")
        if not tables:
            raise PublishRefused(f"{slot.slot} holds no tables: batch {slot.batch_id} was not published")
        if taken := sorted(tables.keys() & mart_views.STANDING):
            raise PublishRefused(
                f"{slot.slot} holds {', '.join(taken)}: the name belongs to a view on the platform's books "
                f"(warehouse/trust.sql). Batch {slot.batch_id} was not published. Give the mart another name."
            )
        contents = tuple(MartContent(name, *row_hash(conn, slot.slot, name)) for name in sorted(tables))

    def repoint(cur: Cursor, wait_seconds: float) -> Publication:
        now = _read_slots(cur)
        if slot not in now:
            raise PublishRefused(f"{slot.slot} changed while it was read: batch {slot.batch_id} was not published")
        # Whoever can change the tables is shut out before anybody is let in.
        _close(cur, slot.slot)
        _repoint(cur, slot.slot, wait_seconds)
        for row in now:
            if row.state == "live":
                _set_slot(cur, row.slot, "checked", row.batch_id)
                if action == "rollback":
                    withdraw = "update ops.batches set state = 'open', published_at = null where batch_id = %s"
                    cur.execute(withdraw, (row.batch_id,))
        assert slot.batch_id is not None  # a checked slot has a batch
        _set_slot(cur, slot.slot, "live", slot.batch_id)
        return _record(cur, slot, action, contents)

    return _with_patience(conn, repoint, f"batch {slot.batch_id} was not published")


def _repoint(cur: Cursor, slot: str, wait_seconds: float) -> None:
    views = mart_views.read_views(cur)
    changes = mart_views.plan_changes(views, mart_views.read_relations(cur, slot, "rp"))
    deadline = time.monotonic() + wait_seconds
    for change in changes:
        left = max(int((deadline - time.monotonic()) * 1000), 1)
        cur.execute("select set_config('lock_timeout', %s, true)", (f"{left}ms",))
        cur.execute(mart_views.definition(change, slot))
    for change in changes:
        if change.is_created:
            cur.execute(mart_views.dressing(change))


def _record(cur: Cursor, slot: _Slot, action: Action, contents: tuple[MartContent, ...]) -> Publication:
    cur.execute(
        "insert into ops.publications (batch_id, slot, action) values (%s, %s, %s) returning publication_id",
        (slot.batch_id, slot.slot, action),
    )
    (publication_id,) = cur.fetchone() or (0,)
    for content in contents:
        cur.execute(
            "insert into ops.publication_marts (publication_id, mart, rows, row_hash) values (%s, %s, %s, %s)",
            (publication_id, content.mart, content.rows, content.row_hash),
        )
    cur.execute(
        """
        update ops.batches set state = 'published', published_at = clock_timestamp()
        where batch_id = %s and state <> 'published'
        """,
        (slot.batch_id,),
    )
    assert slot.batch_id is not None
    assert slot.as_of is not None
    return Publication(publication_id, slot.batch_id, slot.as_of, slot.slot, action, contents, is_new=True)


def _with_patience(conn: Connection, work: Callable[[Cursor, float], T], what_was_not_done: str) -> T:
    """Run `work(cursor, seconds it may wait)` in one transaction; undo it and try again when a reader is in the way."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    attempts = 0
    while True:
        wait_seconds = QUICK_SECONDS if attempts % (QUICK_ATTEMPTS + 1) else QUEUE_SECONDS
        attempts += 1
        try:
            with _transaction(conn, wait_seconds) as cur:
                return work(cur, wait_seconds)
        except errors.DependentObjectsStillExist as error:
            raise PublishRefused(
                f"{what_was_not_done}: {error.diag.message_detail}. A mart lost or retyped a column, so its view must "
                f"be dropped. Drop the dependent object or ask its owner, then run the step again."
            ) from None
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            if time.monotonic() >= deadline:
                raise PublishRefused(
                    f"{what_was_not_done}: readers did not make way in {PATIENCE_SECONDS:.0f} s "
                    f"({attempts} attempts). {_holders(conn)}. Run the step again when they have ended."
                ) from None
        time.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - no secret, only out of step with readers


@contextmanager
def _transaction(conn: Connection, wait_seconds: float = QUEUE_SECONDS) -> Iterator[Cursor]:
    """A cursor in a transaction of its own, none of whose statements waits longer than that for a lock."""
    if conn.autocommit:
        raise ValueError("publish needs a connection that is not in autocommit: everything or nothing is switched")
    with conn, conn.cursor() as cur:
        cur.execute("select set_config('lock_timeout', %s, true)", (f"{int(wait_seconds * 1000)}ms",))
        yield cur


def _read_slots(cur: Cursor) -> list[_Slot]:
    """Both slots, locked to the end of the transaction: two switches at once wait for each other."""
    cur.execute("select from ops.slots order by slot for update")
    cur.execute(
        """
        select slots.slot, slots.state, slots.batch_id, batches.as_of, coalesce(batches.state = 'published', false),
            slots.changed_at
        from ops.slots as slots
        left join ops.batches as batches on slots.batch_id = batches.batch_id
        order by slots.slot
        """
    )
    return [_Slot(*row) for row in cur.fetchall()]


def _read_batch(cur: Cursor, batch_id: int) -> _Batch:
    cur.execute("select batch_id, as_of, state = 'published' from ops.batches where batch_id = %s", (batch_id,))
    row = cur.fetchone()
    if row is None:
        raise PublishRefused(f"there is no batch {batch_id}: nothing was built or published")
    return _Batch(*row)


def _live(slots: list[_Slot]) -> _Slot | None:
    return next((slot for slot in slots if slot.state == "live"), None)


def _idle(slots: list[_Slot]) -> _Slot:
    """The slot to build into; before the first publish, the one where a build was begun."""
    return min((slot for slot in slots if slot.state != "live"), key=lambda slot: (slot.state == "idle", slot.slot))


def _set_slot(cur: Cursor, slot: str, state: str, batch_id: int | None) -> None:
    cur.execute(
        "update ops.slots set state = %s, batch_id = %s, changed_at = clock_timestamp() where slot = %s",
        (state, batch_id, slot),
    )


def _close(cur: Cursor, slot: str) -> None:
    cur.execute(sql.SQL("revoke usage, create on schema {} from etl").format(sql.Identifier(slot)))


def _empty(cur: Cursor, slot: str) -> None:
    """Drop what an earlier build left, so that a mart that is gone from the project is gone from the slot."""
    for kinds, word in (("v", "view"), ("m", "materialized view"), ("rp", "table")):
        for name in mart_views.read_relations(cur, slot, kinds):
            cur.execute(sql.SQL("drop " + word + " {}").format(sql.Identifier(slot, name)))


def _last_publication(cur: Cursor, batch: _Batch) -> Publication:
    cur.execute(
        """
        select publication_id, slot, action from ops.publications
        where batch_id = %s
        order by publication_id desc
        limit 1
        """,
        (batch.batch_id,),
    )
    publication_id, slot, action = cur.fetchone() or (0, "", "publish")
    cur.execute(
        "select mart, rows, row_hash from ops.publication_marts where publication_id = %s order by mart",
        (publication_id,),
    )
    marts = tuple(MartContent(*row) for row in cur.fetchall())
    return Publication(publication_id, batch.batch_id, batch.as_of, slot, action, marts, is_new=False)


def _refuse_older(batch: _Batch, live: _Slot) -> NoReturn:
    assert live.as_of is not None  # callers compare it
    raise PublishRefused(
        f"batch {batch.batch_id} (as of {_utc(batch.as_of)}) is not newer than what BI reads, batch {live.batch_id} "
        f"(as of {_utc(live.as_of)}): nothing was changed. Publish with force, or roll back, if that is meant."
    )


def _holders(conn: Connection) -> str:
    """Who holds the views, by role and process; never what they ask."""
    with _transaction(conn) as cur:
        cur.execute(
            """
            select distinct coalesce(activity.usename::text, 'unknown') || ' (pid ' || locks.pid || ')'
            from pg_locks as locks
            inner join pg_class as classes on locks.relation = classes.oid
            inner join pg_namespace as schemas on classes.relnamespace = schemas.oid
            left join pg_stat_activity as activity on locks.pid = activity.pid
            where schemas.nspname in ('marts', 'marts_private', 'marts_a', 'marts_b')
                and locks.granted and locks.pid <> pg_backend_pid()
            order by 1
            """
        )
        return "In the way: " + (", ".join(name for (name,) in cur.fetchall()) or "nobody any more")


def _utc(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
