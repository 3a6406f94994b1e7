"""Suites of expectations: YAML files that people review, with Great Expectations' own field names.

    name: helpdesk.contacts
    meta: {key: [contact_id], min_live_rows: 1}
    expectations:
      - type: expect_column_values_to_not_be_null
        kwargs: {column: contact_id}
        severity: critical

`meta.key` names the columns that failing rows are shown by: surrogate keys. A table with a personal key shows none: [].
`meta.min_live_rows` is for raw: a table that the profile supplies must hold so many rows after the load.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

Gate = Literal["raw", "marts", "reconciliation"]
Severity = Literal["critical", "warning"]
SEVERITIES = ("critical", "warning")
#: Keyword arguments of expectations that name columns.
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")


class SuiteError(ValueError):
    """A file under expectations/ cannot be used; the message names the file and the field."""


@dataclass(frozen=True)
class Expectation:
    """One expectation as Great Expectations takes it."""

    type: str
    kwargs: Mapping[str, Any]
    severity: Severity

    @property
    def columns(self) -> list[str]:
        """The columns it looks at."""
        named = [self.kwargs[argument] for argument in _COLUMN_ARGUMENTS if argument in self.kwargs]
        return [column for value in named for column in (value if isinstance(value, list) else [value])]

    @property
    def label(self) -> str:
        """How ops.checks and messages call it."""
        return f"{self.type}({', '.join(self.columns)})" if self.columns else self.type

    @property
    def condition(self) -> str:
        """What was expected, in the suite's words; never a value of the data."""
        plain = {name: value for name, value in self.kwargs.items() if name not in _COLUMN_ARGUMENTS}
        return ", ".join(f"{name}={value}" for name, value in plain.items())


@dataclass(frozen=True)
class Suite:
    """All expectations on one table; `table` is the canonical name in raw and the mart's name in marts."""

    table: str
    key: tuple[str, ...]
    min_live_rows: int
    expectations: tuple[Expectation, ...]

    @property
    def columns(self) -> list[str]:
        """The columns the suite needs: the key's and those of the expectations, each once."""
        return list(dict.fromkeys([*self.key, *(c for e in self.expectations for c in e.columns)]))


def load_suites(folder: Path, gate: Gate) -> list[Suite]:
    """Suites of a gate from `folder`/raw/<system>/<table>.yml or `folder`/marts/<table>.yml, ordered by table.

    Raises SuiteError naming file and field; also when there is none, for a gate without suites passes everything.
    """
    files = sorted((folder / gate).glob("*/*.yml" if gate == "raw" else "*.yml"))
    if not files:
        raise SuiteError(f"{folder / gate}: no suites found, nothing would be checked")
    return [_parse(path, gate) for path in files]


def _parse(path: Path, gate: Gate) -> Suite:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or set(document) != {"name", "meta", "expectations"}:
        raise SuiteError(f"{path}: wanted the fields name, meta and expectations")
    name = f"{path.parent.name}.{path.stem}" if gate == "raw" else path.stem
    if document["name"] != name:
        raise SuiteError(f"{path}: name is {document['name']!r}, the file's place says {name!r}")
    meta = document["meta"] or {}
    if not isinstance(meta.get("key"), list) or not set(meta) <= {"key", "min_live_rows"}:
        raise SuiteError(f"{path}: meta needs key (a list of columns) and may have min_live_rows")
    if not document["expectations"]:
        raise SuiteError(f"{path}: expectations is empty")
    expectations = tuple(
        _expectation(entry, f"{path}: expectations[{i}]") for i, entry in enumerate(document["expectations"])
    )
    return Suite(name, tuple(meta["key"]), int(meta.get("min_live_rows", 0)), expectations)


def _expectation(entry: Any, where: str) -> Expectation:
    if not isinstance(entry, dict) or set(entry) != {"type", "kwargs", "severity"}:
        raise SuiteError(f"{where}: wanted the fields type, kwargs and severity")
    if entry["severity"] not in SEVERITIES:
        raise SuiteError(f"{where}: severity is {entry['severity']!r}, allowed: {', '.join(SEVERITIES)}")
    return Expectation(entry["type"], entry["kwargs"] or {}, entry["severity"])
