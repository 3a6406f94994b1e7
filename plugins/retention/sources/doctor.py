"""Looks at an installation's sources through its profile: what is mapped, missing, left behind, unreachable."""

import csv
import json
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retention.extract.csv_rows import read_header
from retention.extract.drops import open_drops
from retention.extract.errors import ExtractError
from retention.extract.load import open_reader
from retention.extract.reader import Fit
from retention.sources.contract import Table, load_contract
from retention.sources.mapping import Mapped, map_columns
from retention.sources.profile import FilesSource, Profile, Source, SqlSource


@dataclass(frozen=True)
class TableDiagnosis:
    """A canonical table as its source supplies it.

    `origin` says where it comes from in words; `mapped` is each canonical column's source column (or constant);
    `missing_required` and `missing` are canonical columns that nobody supplies; `unmapped` are source columns that are
    not extracted; `problem` is set with the states 'unreachable' and 'unusable'.
    """

    table: str
    state: Literal["ready", "not supplied", "unreachable", "unusable"]
    origin: str
    mapped: Mapping[str, str]
    missing_required: tuple[str, ...]
    missing: tuple[str, ...]
    unmapped: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True)
class MartSources:
    """The canonical tables that a mart is made of, and those of them of which it needs at least one to have rows."""

    tables: frozenset[str]
    rows_from: frozenset[str]


@dataclass(frozen=True)
class MartDiagnosis:
    """A mart that lacks canonical tables; `is_empty` when none of those is supplied that give it rows."""

    mart: str
    lacking: tuple[str, ...]
    is_empty: bool


@dataclass(frozen=True)
class Diagnosis:
    """All canonical tables, in the contract's order, and the marts that will be empty or lack something."""

    profile: str
    tables: tuple[TableDiagnosis, ...]
    marts: tuple[MartDiagnosis, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether every supplied table can be loaded."""
        return all(table.state in ("ready", "not supplied") for table in self.tables)


def diagnose(
    profile: Profile, connections: Mapping[str, str], marts: Mapping[str, MartSources] | None = None
) -> Diagnosis:
    """Look at every source of a profile without reading rows; `connections` are DSNs by name.

    `marts` names the canonical tables that each mart is made of (see `marts_of_manifest`). Errors of sources are part
    of the answer, not raised.
    """
    tables = tuple(_table(spec, profile, connections) for spec in load_contract().tables.values())
    absent = {table.table for table in tables if table.state == "not supplied"}
    found = tuple(
        MartDiagnosis(
            mart,
            tuple(sorted(absent & sources.tables)),
            is_empty=bool(sources.rows_from) and sources.rows_from <= absent,
        )
        for mart, sources in sorted((marts or {}).items())
        if absent & sources.tables
    )
    return Diagnosis(profile.name, tables, found)


def marts_of_manifest(path: Path) -> dict[str, MartSources]:
    """What each mart of a dbt manifest is made of, through whatever lies between, and its `meta.rows_from`."""
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    parents: dict[str, list[str]] = manifest["parent_map"]

    def tables_above(node: str, seen: set[str]) -> set[str]:
        found: set[str] = set()
        for parent in parents.get(node, []):
            if parent in manifest["sources"]:
                source = manifest["sources"][parent]
                found |= {source["name"].replace("__", ".", 1)} if source["schema"] == "raw" else set()
            elif parent not in seen:
                seen.add(parent)
                found |= tables_above(parent, seen)
        return found

    return {
        model["name"]: MartSources(
            frozenset(tables_above(node, set())),
            frozenset(model.get("config", {}).get("meta", {}).get("rows_from", ())),
        )
        for node, model in manifest["nodes"].items()
        if model["resource_type"] == "model" and "marts" in model["fqn"]
    }


def _table(spec: Table, profile: Profile, connections: Mapping[str, str]) -> TableDiagnosis:
    source = profile.tables.get(spec.name)
    if source is None:
        return TableDiagnosis(spec.name, "not supplied", "", {}, (), tuple(spec.columns), (), None)
    if isinstance(source, FilesSource):
        return _files(spec, source, connections)
    return _sql(spec, source, connections)


def _sql(spec: Table, source: SqlSource, connections: Mapping[str, str]) -> TableDiagnosis:
    origin = f"{source.connection}: {f'table {source.table}' if source.table else 'a query'}"
    if source.connection not in connections:
        unknown = f"connection {source.connection} is not configured"
        return TableDiagnosis(spec.name, "unreachable", origin, {}, (), (), (), unknown)
    try:
        with open_reader(connections[source.connection], spec.name, f"the source {source.connection}") as reader:
            reader.open_snapshot()
            columns = reader.describe(source)
    except ExtractError as error:
        return TableDiagnosis(spec.name, "unreachable", origin, {}, (), (), (), _short(error))
    problem: str | None = None
    try:
        Fit(spec, source, columns, {})
    except ExtractError as error:
        problem = _short(error)
    return _mapped(spec, source, list(columns), origin, problem)


def _files(spec: Table, source: FilesSource, connections: Mapping[str, str]) -> TableDiagnosis:
    if source.connection is not None and source.connection not in connections:
        unknown = f"connection {source.connection} is not configured"
        return TableDiagnosis(spec.name, "unreachable", source.files, {}, (), (), (), unknown)
    try:
        with open_drops(source, connections[source.connection] if source.connection is not None else None) as drops:
            files = drops.files()
            origin = f"{len(files):,} files of {source.files}"
            if not files:
                return TableDiagnosis(spec.name, "ready", origin, {}, (), (), (), None)
            header = read_header(source, drops, files[-1])
    except (OSError, EOFError, UnicodeError, csv.Error, zlib.error, lzma.LZMAError) as error:
        words = str(error) if isinstance(error, OSError) else f"{files[-1].name} is not delimited text"
        return TableDiagnosis(spec.name, "unreachable", source.files, {}, (), (), (), words)
    return _mapped(spec, source, header, origin, None)


def _mapped(
    spec: Table, source: Source, available: list[str], origin: str, problem: str | None,
) -> TableDiagnosis:  # fmt: skip
    mapping = map_columns(spec, source, available)
    lacking = (*mapping.absent, *(name for name, _ in mapping.gone))
    required = tuple(name for name in spec.required() if name in lacking)
    if problem is None and (mapping.gone or required):
        problem = "the source lacks " + ", ".join([*(column for _, column in mapping.gone), *required])
    return TableDiagnosis(
        table=spec.name,
        state="unusable" if problem else "ready",
        origin=origin,
        mapped={field.name: _origin(field) for field in mapping.mapped},
        missing_required=required,
        missing=tuple(name for name in lacking if name not in required),
        # Where no name is known, it may be a file without a header: its first row's values are not shown.
        unmapped=mapping.unused if any(field.source is not None for field in mapping.mapped) else (),
        problem=problem,
    )


def _origin(field: Mapped) -> str:
    return field.source if field.source is not None else f"constant {field.rule.value!r}"


def _short(error: Exception) -> str:
    return str(error).split(" Nothing of this table was loaded")[0]
