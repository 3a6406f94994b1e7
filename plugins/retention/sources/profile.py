"""An installation's profile: where each canonical table comes from. Validated whole, with all errors at once."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from retention.sources.contract import Contract, Table, load_contract

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
Scalar = str | bool | int | float | None


class ProfileError(ValueError):
    """A profile that cannot be used; `errors` has every reason, each naming file, table and field."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnRule(_Strict):
    """How one canonical column is filled: from a source column (through a map of its words) or with a constant.

    A word outside `map` becomes `default`; without a default it is kept as it is. Of files only: a row whose text in
    the source does not match `pattern` (searched in it, so mostly in ^ and $; an empty one passes) is a reject.
    """

    column: str | None = None
    pattern: str | None = None
    map: dict[str, Scalar] | None = None
    default: Scalar = None
    value: Scalar = None

    @field_validator("map", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        for word in value:
            if isinstance(word, bool) or word is None:
                raise ValueError(f"the word {word!r} was read by YAML as a value: put it in quotes")
        return {str(word): target for word, target in value.items()}

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value} is not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnRule":
        if (self.column is None) == ("value" not in self.model_fields_set):
            raise ValueError("give either column or value")
        if self.map is None and "default" in self.model_fields_set:
            raise ValueError("default needs a map")
        if self.map is not None and self.column is None:
            raise ValueError("map needs a column")
        if self.pattern is not None and self.column is None:
            raise ValueError("pattern needs a column")
        return self

    @property
    def has_default(self) -> bool:
        """Whether words outside the map are replaced."""
        return "default" in self.model_fields_set


class _Source(_Strict):
    columns: dict[str, ColumnRule | None] = Field(default_factory=dict)
    #: IANA zone of timestamps without one; the profile's when absent.
    zone: str | None = None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError(f"{value} is not an IANA time zone")
        return value

    def digest(self, zone: ZoneInfo) -> str:
        """Changes when the same source would be read into other rows; `zone` is that of timestamps without one.

        Where files lie is no part of it: their names and contents tell them apart.
        """
        # Only what is set: a default of null replaces words, an absent one keeps them.
        where = {"files", "connection"} if isinstance(self, FilesSource) else set()
        said = self.model_dump(mode="json", exclude=where, exclude_unset=True) | {"zone": zone.key}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


class SqlSource(_Source):
    """A table ('name' or 'schema.name') or a query of a database connection."""

    connection: str
    table: str | None = None
    query: str | None = None


class FilesSource(_Source):
    """Delimited text files with a header, found by a URL glob that fsspec understands.

    Of two files that state a row the one with the later name is right, where the row itself does not say when it was
    written: names begin with the date. Credentials come from `connection`, never from the URL.
    """

    files: str
    connection: str | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    #: strptime formats by canonical column or by type (date, timestamptz); without one, ISO 8601.
    formats: dict[str, str] = Field(default_factory=dict)
    decimal: str = Field(default=".", pattern=r"^[.,]$")

    @field_validator("files")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        if has_credentials(value):
            raise ValueError("the URL holds credentials: give the name of a connection that has them")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"{value} is not an encoding") from None
        return value


def has_credentials(url: str) -> bool:
    """Whether a URL names a user or password."""
    return re.search(r"://[^/@]*@", url) is not None


Source = SqlSource | FilesSource


class Profile(_Strict):
    """Where each supplied canonical table comes from; `name` is the file for messages."""

    name: str
    zone: str
    tables: dict[str, Source]

    def zone_of(self, table: str) -> ZoneInfo:
        """Zone of timestamps without one in a table's source."""
        return ZoneInfo(self.tables[table].zone or self.zone)

    @property
    def connections(self) -> list[str]:
        """Names of the connections the profile needs, of databases and of places of files."""
        return sorted({source.connection for source in self.tables.values() if source.connection is not None})

    def resolved(self, environment: Mapping[str, str]) -> "Profile":
        """The profile with `${NAME}` in file globs replaced from `environment`; ProfileError names what is not set."""
        errors: list[str] = []
        tables = dict(self.tables)
        for name, source in self.tables.items():
            if isinstance(source, FilesSource):
                missing = [word for word in PLACEHOLDER.findall(source.files) if word not in environment]
                errors += [
                    f"{self.name}: {name}: files: the environment variable {word} is not set" for word in missing
                ]
                glob = PLACEHOLDER.sub(lambda match: environment.get(match[1], ""), source.files)
                if has_credentials(glob):
                    errors.append(f"{self.name}: {name}: files: the URL holds credentials: name a connection instead")
                tables[name] = source.model_copy(update={"files": glob})
        if errors:
            raise ProfileError(errors)
        return self.model_copy(update={"tables": tables})


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(p.name.removesuffix(".yml") for p in files("retention.sources").joinpath("profiles").iterdir())


def load_profile(path_or_name: str | Path) -> Profile:
    """Read and validate a profile: a path of a YAML file or the name of a shipped one.

    Raises ProfileError with every error of the file. `Profile.resolved` fills in what the environment says.
    """
    if str(path_or_name) in shipped_profiles():
        with as_file(files("retention.sources").joinpath("profiles", f"{path_or_name}.yml")) as path:
            return _validate(path, load_contract())
    path = Path(path_or_name)
    if not path.is_file():
        known = ", ".join(shipped_profiles())
        raise ProfileError([f"{path_or_name}: no such profile: give a YAML file or one of: {known}"])
    return _validate(path, load_contract())


def _validate(path: Path, contract: Contract) -> Profile:
    label = f"{path.parent.name}/{path.name}"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ProfileError([f"{label}: not YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(document, dict) or not isinstance(document.get("tables"), dict):
        raise ProfileError([f"{label}: a profile is a mapping with `zone` and `tables`"])
    errors = [f"{label}: field {field} is not known{_hint(field, ('zone', 'tables'))}"
              for field in document if field not in ("version", "zone", "tables")]  # fmt: skip
    zone = str(document.get("zone"))
    if zone not in available_timezones():
        errors.append(f"{label}: zone: {zone} is not an IANA time zone")
    tables: dict[str, Source] = {}
    for name, given in document["tables"].items():
        place = f"{label}: {name}"
        if name not in contract.tables:
            errors.append(f"{place} is not a canonical table{_hint(name, contract.tables)}")
            continue
        source, found = _source(given, contract.tables[name])
        if source is not None:
            tables[name] = source
        errors += [f"{place}: {error}" for error in found]
    if errors:
        raise ProfileError(errors)
    return Profile(name=label, zone=zone, tables=tables)


def _source(given: object, table: Table) -> tuple[Source | None, list[str]]:
    """A table's source and what is wrong with it. Each column is judged by itself, so that no error hides another."""
    if not isinstance(given, dict):
        return None, ["give a connection and a table or query, or files"]
    model: type[SqlSource | FilesSource] = FilesSource if "files" in given else SqlSource
    errors: list[str] = []
    if model is SqlSource and ("table" in given) == ("query" in given):
        errors.append("give either table or query")
    known = {*table.columns, "date", "timestamptz"}
    formats = given.get("formats") if model is FilesSource else None
    errors += [
        f"formats: {name} is neither a column nor a type{_hint(name, known)}"
        for name in (formats if isinstance(formats, dict) else ())
        if name not in known
    ]
    columns = given.get("columns") or {}
    rules: dict[str, ColumnRule | None] = {}
    for name, rule in columns.items() if isinstance(columns, dict) else ():
        found = [] if name in table.columns else [f"column {name} is not in the contract{_hint(name, table.columns)}"]
        try:
            short = {"column": rule} if isinstance(rule, str) else rule
            rules[name] = None if short is None else ColumnRule.model_validate(short)
        except ValidationError as invalid:
            found += [_readable(error, ColumnRule, f"columns.{name}") for error in invalid.errors(include_input=False)]
        if name in table.columns and name in rules:
            found += _against_contract(name, rules[name], table)
            if model is SqlSource and (taken := rules[name]) is not None and taken.pattern is not None:
                found.append(f"columns.{name}.pattern: of files only; a database's rows are chosen by a query")
        errors += found
    try:
        source = model.model_validate(given | {"columns": rules if isinstance(columns, dict) else columns})
    except ValidationError as invalid:
        return None, errors + [_readable(error, model) for error in invalid.errors(include_input=False)]
    return source, errors


def _readable(error: Any, model: type[BaseModel], prefix: str = "") -> str:
    place = ".".join(filter(None, (prefix, *(str(part) for part in error["loc"]))))
    if error["type"] == "extra_forbidden":
        return f"field {place} is not known{_hint(str(error['loc'][-1]), model.model_fields)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _against_contract(name: str, rule: ColumnRule | None, table: Table) -> list[str]:
    column = table.columns[name]
    if rule is None:
        return [f"column {name} is required and cannot be taken out"] if name in table.required() else []
    words = [*(rule.map or {}).values(), *([rule.default] if rule.has_default else [])]
    words += [rule.value] if rule.column is None else []
    if column.values is None:
        return []
    unknown = sorted({str(word) for word in words if word is not None} - set(column.values))
    return [f"column {name}: {word} is not one of {', '.join(column.values)}" for word in unknown]


def _hint(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(str(word), list(known), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""
