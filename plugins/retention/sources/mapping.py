"""Lays a source's columns onto a canonical table's: what is filled from where, what is missing, what is left behind."""

from collections.abc import Collection
from dataclasses import dataclass

from retention.sources.contract import Table
from retention.sources.profile import ColumnRule, Source


@dataclass(frozen=True)
class Mapped:
    """A canonical column that the source fills."""

    name: str
    type: str
    rule: ColumnRule

    @property
    def source(self) -> str | None:
        """The source's column, None for a constant."""
        return self.rule.column

    @property
    def is_plain(self) -> bool:
        """Whether the source's value is taken as it is."""
        return self.rule.column is not None and self.rule.map is None


@dataclass(frozen=True)
class ColumnMapping:
    """`gone`: (canonical, source) pairs that the profile names and the source lacks. `absent`: canonical columns that
    nobody supplies. `unused`: source columns that nothing takes.
    """

    mapped: tuple[Mapped, ...]
    gone: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]
    unused: tuple[str, ...]

    def missing_required(self, table: Table) -> list[str]:
        """Required canonical columns without a source."""
        lacking = {*self.absent, *(name for name, _ in self.gone)}
        return [name for name in table.required() if name in lacking]


def map_columns(table: Table, source: Source, available: Collection[str]) -> ColumnMapping:
    """Apply a profile's rules to the columns a source really has; a column without a rule takes its own name."""
    mapped: list[Mapped] = []
    gone: list[tuple[str, str]] = []
    absent: list[str] = []
    for name, column in table.columns.items():
        is_named = name in source.columns
        rule = source.columns[name] if is_named else ColumnRule(column=name)
        if rule is not None and (rule.column is None or rule.column in available):
            mapped.append(Mapped(name, column.type, rule))
        elif rule is not None and is_named:
            gone.append((name, str(rule.column)))
        else:
            absent.append(name)
    used = {field.source for field in mapped}
    unused = tuple(name for name in available if name not in used)
    return ColumnMapping(tuple(mapped), tuple(gone), tuple(absent), unused)
