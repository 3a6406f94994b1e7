"""The views BI reads: what they are now, what a slot holds, and the statements that turn one into the other."""

from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

#: The schema of the views that BI reads, and of those with personal data.
MARTS, PRIVATE = "marts", "marts_private"
#: A slot's table private_x becomes the view marts_private.x.
PRIVATE_PREFIX = "private_"
#: Views of `marts` on the platform's books, made by warehouse/trust.sql; publishing leaves them alone.
STANDING = frozenset({"trust_nights", "trust_freshness", "trust_checks", "trust_restatements"})
#: Roles that may read every mart, and every private one; whoever else was granted a view keeps it.
READERS, PRIVATE_READERS = ("analyst", "bi_reader", "etl"), ("outreach",)
#: The marts that those who call subscribers need beside the private ones.
FOR_OUTREACH = frozenset({"dim_subscription", "fct_contacts", "fct_tickets", "fct_complaint_episodes"})
#: What those who review cases may see of them: nothing that tells who left.
FOR_REVIEWERS = frozenset({"case_review_blinded"})


@dataclass(frozen=True)
class Column:
    """A column as `create or replace view` compares it; `description` is the database comment."""

    name: str
    type: str
    description: str | None

    def is_same_shape(self, other: "Column") -> bool:
        """Whether a view may keep its column when it reads this one instead."""
        return (self.name, self.type) == (other.name, other.type)


@dataclass(frozen=True)
class Relation:
    """A table of a slot or a view of the marts, with its columns in order and the roles that may read it."""

    name: str
    columns: tuple[Column, ...]
    description: str | None
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What to do to one view: drop it, make it read these columns of the slot, or first one and then the other.

    `mart` is the slot's table; private ones have their view in another schema.
    """

    mart: str
    columns: tuple[Column, ...]
    description: str | None
    readers: tuple[str, ...]
    is_dropped: bool
    is_created: bool


def read_relations(cur: Cursor, schema: str, kinds: str) -> dict[str, Relation]:
    """The relations of a schema by name; `kinds` are letters of pg_class.relkind ("rp" tables, "v" views)."""
    cur.execute(
        """
        select
            classes.relname,
            obj_description(classes.oid, 'pg_class'),
            array(
                select distinct roles.rolname::text
                from aclexplode(classes.relacl) as grants
                inner join pg_roles as roles on grants.grantee = roles.oid
                where grants.privilege_type = 'SELECT' and grants.grantee <> classes.relowner
                order by 1
            ),
            attributes.attname,
            -- Collation is part of a view column's type.
            format_type(attributes.atttypid, attributes.atttypmod) || ' ' || attributes.attcollation::text,
            col_description(classes.oid, attributes.attnum)
        from pg_class as classes
        inner join pg_namespace as schemas on classes.relnamespace = schemas.oid
        inner join pg_attribute as attributes on classes.oid = attributes.attrelid
        where schemas.nspname = %s and classes.relkind::text = any(%s)
            and attributes.attnum > 0 and not attributes.attisdropped
        order by classes.relname collate "C", attributes.attnum
        """,
        (schema, list(kinds)),
    )
    found: dict[str, Relation] = {}
    for name, description, readers, column, kind, comment in cur.fetchall():
        columns = (
            (*found[name].columns, Column(column, kind, comment)) if name in found else (Column(column, kind, comment),)
        )
        found[name] = Relation(name, columns, description, tuple(readers))
    return found


def read_views(cur: Cursor) -> dict[str, Relation]:
    """The published views by the name of the slot's table that they read."""
    public = read_relations(cur, MARTS, "v")
    private = read_relations(cur, PRIVATE, "v")
    return {name: view for name, view in public.items() if name not in STANDING} | {
        PRIVATE_PREFIX + name: view for name, view in private.items()
    }


def is_private(mart: str) -> bool:
    """Whether a slot's table holds personal data and is published apart."""
    return mart.startswith(PRIVATE_PREFIX)


def readers_of(mart: str) -> tuple[str, ...]:
    """The roles that may read a mart."""
    if is_private(mart):
        return PRIVATE_READERS
    if mart in FOR_REVIEWERS:
        return (*READERS, "reviewer")
    return (*READERS, *PRIVATE_READERS) if mart in FOR_OUTREACH else READERS


def plan_changes(views: dict[str, Relation], tables: dict[str, Relation]) -> list[Change]:
    """Changes that make the views read `tables`, in name order, which is the order of locking.

    Existing columns keep their place and new ones are appended. A removed or retyped column cannot be replaced in a
    view: it is dropped and made anew, with whom it was granted to.
    """
    changes = []
    for mart in sorted(views.keys() | tables.keys()):
        view, table = views.get(mart), tables.get(mart)
        if table is None:
            changes.append(Change(mart, (), None, (), is_dropped=True, is_created=False))
            continue
        if view is None:
            readers = readers_of(mart)
            changes.append(Change(mart, table.columns, table.description, readers, is_dropped=False, is_created=True))
            continue
        new = {column.name: column for column in table.columns}
        kept = [new[column.name] for column in view.columns if column.name in new]
        known = {column.name for column in view.columns}
        columns = (*kept, *(column for column in table.columns if column.name not in known))
        is_replaceable = len(kept) == len(view.columns) and all(
            column.is_same_shape(old) for column, old in zip(kept, view.columns, strict=True)
        )
        readers = tuple(sorted({*readers_of(mart), *view.readers}))
        changes.append(Change(mart, columns, table.description, readers, not is_replaceable, is_created=True))
    return changes


def definition(change: Change, slot: str) -> sql.Composed:
    """The statements that drop, make or repoint the view: those that take its exclusive lock."""
    view = sql.Identifier(*_place(change.mart))
    statements = []
    if change.is_dropped:
        # Without `cascade`: another's view on it must stop us, not vanish.
        statements.append(sql.SQL("drop view {}").format(view))
    if change.is_created:
        statements.append(
            sql.SQL("create or replace view {} as select {} from {}").format(
                view,
                sql.SQL(", ").join(sql.Identifier(column.name) for column in change.columns),
                sql.Identifier(slot, change.mart),
            )
        )
    return sql.SQL("; ").join(statements)


def dressing(change: Change) -> sql.Composed:
    """The statements that give a made view its readers and descriptions."""
    view = sql.Identifier(*_place(change.mart))
    statements = [
        sql.SQL("grant select on {} to {}").format(view, sql.SQL(", ").join(map(sql.Identifier, change.readers))),
        sql.SQL("comment on view {} is {}").format(view, sql.Literal(change.description)),
    ]
    statements.extend(
        sql.SQL("comment on column {} is {}").format(
            sql.Identifier(*_place(change.mart), column.name), sql.Literal(column.description)
        )
        for column in change.columns
    )
    return sql.SQL("; ").join(statements)


def _place(mart: str) -> tuple[str, str]:
    """Schema and name of the view on a slot's table."""
    return (PRIVATE, mart.removeprefix(PRIVATE_PREFIX)) if is_private(mart) else (MARTS, mart)
