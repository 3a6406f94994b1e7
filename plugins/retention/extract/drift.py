"""Drift: what a source's columns are now against what they were at the last load. Pure, and the same for every reader.

Runbook: docs/runbooks/schema_drift.md
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from retention.extract.errors import NOTHING_LOADED, DriftError
from retention.sources.contract import Table
from retention.sources.mapping import Mapped, map_columns
from retention.sources.profile import ColumnRule, Source

RUNBOOK = "docs/runbooks/schema_drift.md"
#: Stands for a type in a remembered shape.
CONSTANT = "constant"
#: Of a column that the source had, and of which `retention accept-drift` said that it may be missing.
GONE = "gone"
#: Types of one family hold the same values: a change among them is no drift (whether the contract's type takes the
#: new one is judged apart). Names are those of PostgreSQL and, through SQLAlchemy, of other databases.
FAMILIES = {
    "text": (
        "text", "character varying", "varchar", "character", "char", "bpchar", "name", "nvarchar", "nchar", "string",
        "tinytext", "mediumtext", "longtext", "clob",
    ),
    "integer": ("tinyint", "smallint", "integer", "bigint", "int", "mediumint"),
    "numeric": ("numeric", "decimal"),
}  # fmt: skip
_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}


@dataclass(frozen=True)
class Drift:
    """One column that is not as it was. `was` and `now` are types of the source, None where there is no column.

    `gone` and `retyped` can be accepted, unless the contract requires the column; `unfit` (the contract's type cannot
    take the values) and `missing` (required, and never there) can only be mended in the profile or the source.
    """

    kind: Literal["gone", "retyped", "unfit", "missing"]
    name: str
    source: str
    was: str | None
    now: str | None
    wanted: str
    is_acceptable: bool
    #: New columns of the same family that nothing takes, with their types.
    successors: tuple[tuple[str, str], ...] = ()

    def describe(self, where: str = "the source") -> str:
        """What happened, as a part of a sentence; `where` is the source or one of its files."""
        fills = "" if self.source == self.name else f" (it fills {self.name})"
        if self.kind == "missing":
            return f'{where} has no column for "{self.name}", which is required'
        if self.kind == "unfit":
            return (
                f'column "{self.source}" is {self.now} in {where}, which {self.name} ({self.wanted}) cannot take '
                f"unchanged: give the profile a query that casts it, or map its words"
            )
        if self.kind == "retyped":
            return f'column "{self.source}"{fills} was {self.was} in {where} and is {self.now} now'
        said = f'column "{self.source}" is gone from {where}{fills}'
        for column, kind in self.successors:
            said += (
                f'; "{column}" ({kind}) is new there: if it was renamed, map it in the profile ({self.name}: {column})'
            )
        return said


def family(type_name: str) -> str:
    """The family of a source type: its name without length or collation, or what holds the same values."""
    plain = re.sub(r"\(.*?\)| collate .*", "", type_name.lower()).strip()
    return _FAMILY.get(plain, plain)


def find_drifts(
    table: Table,
    source: Source,
    known: Mapping[str, str],
    types: Mapping[str, str],
    seen: Collection[str] | None = None,
    fits: Callable[[Mapped], bool] | None = None,
) -> list[Drift]:
    """Compare a source's columns with what the table's last load saw of them.

    `known` is each canonical column's source type then (empty before the first load), `types` each source column's
    type now, `seen` the source columns that nothing took then (None: unknown), `fits` whether the contract's type takes
    a plainly mapped column's values (None: texts that are cast row by row).
    """
    mapping = map_columns(table, source, list(types))
    # A file without a header shows a row's values for names: nothing of it is quoted.
    is_header = any(field.source is not None for field in mapping.mapped)
    new = [name for name in mapping.unused if seen is not None and name not in seen] if is_header else []

    def successors(was: str | None) -> tuple[tuple[str, str], ...]:
        return tuple((name, types[name]) for name in new if was is not None and family(types[name]) == family(was))

    required = table.required()
    # What the profile leaves out by name (null) is no drift.
    lost = [*mapping.gone, *((name, name) for name in mapping.absent if name in known and name not in source.columns)]
    drifts = [
        Drift("gone", name, column, known.get(name), None, table.columns[name].type, name not in required,
              successors(known.get(name)))
        for name, column in lost
        if known.get(name) != GONE
    ]  # fmt: skip
    named = {name for name, _ in lost}
    drifts += [
        Drift("missing", name, _column(source, name), None, None, table.columns[name].type, is_acceptable=False)
        for name in mapping.missing_required(table)
        if name not in named
    ]
    for field in mapping.mapped:
        if field.source is None:
            continue
        was, now = known.get(field.name), types[field.source]
        if fits is not None and field.is_plain and not fits(field):
            drifts.append(Drift("unfit", field.name, field.source, was, now, field.type, is_acceptable=False))
        elif fits is not None and was not in (None, CONSTANT, GONE) and family(str(was)) != family(now):
            drifts.append(Drift("retyped", field.name, field.source, was, now, field.type, is_acceptable=True))
    return drifts


def accepted_as_gone(shape: Mapping[str, str] | None) -> dict[str, str]:
    """Of a remembered shape, the columns that may be missing."""
    return {name: kind for name, kind in (shape or {}).items() if kind == GONE}


def refuse(table: str, drifts: Collection[Drift], where: str = "the source") -> None:
    """Raise DriftError naming every drift and the next command; nothing when there is none."""
    if not drifts:
        return
    if all(drift.is_acceptable for drift in drifts):
        way = f"If the source is right: `retention accept-drift {table}`."
    else:
        way = "Mend the source or the profile, then clear the task."
    said = "; ".join(drift.describe(where) for drift in drifts)
    raise DriftError(f"{table}: {said}. {NOTHING_LOADED} {way} See {RUNBOOK}.")


def _column(source: Source, name: str) -> str:
    rule = source.columns.get(name) or ColumnRule(column=name)
    return rule.column or name
