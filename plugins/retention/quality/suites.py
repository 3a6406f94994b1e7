"""Suites of expectations: YAML files that people review, with Great Expectations' own field names.

    name: helpdesk.contacts
    meta: {key: [contact_id], min_live_rows: 1}
    expectations:
      - type: expect_column_values_to_not_be_null
        kwargs: {column: contact_id}
        severity: critical

A `value_set` may be `{seed: topics, column: topic_code}`: the words of that column of a dbt seed.
`meta.key` names the columns that failing rows are shown by: surrogate keys. A table with a personal key shows none: [].
`meta.min_live_rows` is for raw: a table that the profile supplies must hold so many rows after the load.
`meta.max_quarantine_ratio` is for raw: a larger share of tonight's rows is not set aside, the night stops (0.01).
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

Gate = Literal["volume", "raw", "marts", "reconciliation"]
Severity = Literal["critical", "warning"]
SEVERITIES = ("critical", "warning")
_OPTIONAL_META = ("min_live_rows", "max_quarantine_ratio")
MAX_QUARANTINE_RATIO = 0.01
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
    max_quarantine_ratio: float
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
    return [_parse(path, gate, folder.parent / "dbt_project" / "seeds") for path in files]


def _parse(path: Path, gate: Gate, seeds: Path) -> Suite:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or set(document) != {"name", "meta", "expectations"}:
        raise SuiteError(f"{path}: wanted the fields name, meta and expectations")
    name = f"{path.parent.name}.{path.stem}" if gate == "raw" else path.stem
    if document["name"] != name:
        raise SuiteError(f"{path}: name is {document['name']!r}, the file's place says {name!r}")
    meta = document["meta"] or {}
    if not isinstance(meta.get("key"), list) or not set(meta) <= {"key", *_OPTIONAL_META}:
        raise SuiteError(f"{path}: meta needs key (a list of columns) and may have {' and '.join(_OPTIONAL_META)}")
    if not document["expectations"]:
        raise SuiteError(f"{path}: expectations is empty")
    expectations = tuple(
        _expectation(entry, f"{path}: expectations[{i}]", seeds) for i, entry in enumerate(document["expectations"])
    )
    ratio = float(meta.get("max_quarantine_ratio", MAX_QUARANTINE_RATIO))
    return Suite(name, tuple(meta["key"]), int(meta.get("min_live_rows", 0)), ratio, expectations)


def _expectation(entry: Any, where: str, seeds: Path) -> Expectation:
    if not isinstance(entry, dict) or set(entry) != {"type", "kwargs", "severity"}:
        raise SuiteError(f"{where}: wanted the fields type, kwargs and severity")
    if entry["severity"] not in SEVERITIES:
        raise SuiteError(f"{where}: severity is {entry['severity']!r}, allowed: {', '.join(SEVERITIES)}")
    kwargs = dict(entry["kwargs"] or {})
    if isinstance(kwargs.get("value_set"), dict):
        kwargs["value_set"] = _seed_words(kwargs["value_set"], seeds, where)
    return Expectation(entry["type"], kwargs, entry["severity"])


def _seed_words(named: dict[str, str], seeds: Path, where: str) -> list[str]:
    try:
        with (seeds / f"{named['seed']}.csv").open(encoding="utf-8", newline="") as rows:
            return sorted({row[named["column"]] for row in csv.DictReader(rows)})
    except (KeyError, OSError) as error:
        raise SuiteError(f"{where}: value_set wanted a seed and a column of {seeds}, not {named}") from error
