"""The phrases seed: rows of a CSV that people edit, compiled into one regular expression a language.

A phrase is words of normalised text (lower case, `е` for `ё`):

- `word*` any ending; `a|b` either word; `@operator` any operator's name;
- `..` up to three words between; anything else stands literally.

`person` says whose the verb form is: `first` (`уйду`), `third` (`уйдет`), `any` (infinitives, nouns, imperatives,
English). `past` (`ушел`) is found only when it is somebody else's: what the subscriber already did is no threat but
a churn event.
"""

import csv
import hashlib
import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import count
from pathlib import Path

from retention.text.cues import OPERATORS

COLUMNS = ("phrase_id", "language", "phrase", "person", "rule_version", "valid_from", "valid_to")
LANGUAGES = ("ru", "en")
PERSONS = ("first", "third", "any", "past")
_SEPARATOR = r"[\s,\-]{1,3}"


class PhrasesError(ValueError):
    """The phrases seed cannot be used; the message names file, line and column."""


@dataclass(frozen=True)
class Phrase:
    """One row of the seed; valid on days in [valid_from, valid_to), an open end is None."""

    phrase_id: str
    language: str
    phrase: str
    person: str
    rule_version: str
    valid_from: date
    valid_to: date | None

    def is_valid_on(self, day: date) -> bool:
        """Whether the rule was in force on that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True)
class PhraseBook:
    """Phrases with their compiled expressions; `version` changes with the seed and with the reader's code."""

    phrases: tuple[Phrase, ...]
    pattern: re.Pattern[str]
    #: First letters of every phrase: a text without any of them needs no further look.
    stems: tuple[str, ...]
    version: str

    def is_valid(self, phrase_id: str, day: date) -> bool:
        """Whether that phrase was in force on that day."""
        return self._by_id[phrase_id].is_valid_on(day)

    @cached_property
    def _by_id(self) -> dict[str, Phrase]:
        return {phrase.phrase_id: phrase for phrase in self.phrases}


def _form_pattern(form: str) -> str:
    return re.escape(form[:-1]) + r"\w*" if form.endswith("*") else re.escape(form) + r"\b"


def _token_pattern(token: str) -> str:
    forms = [form for word in token.split("|") for form in (OPERATORS if word == "@operator" else (word,))]
    return f"(?:{'|'.join(map(_form_pattern, forms))})"


def _tail_pattern(tokens: list[str]) -> str:
    pattern, gap = "", ""
    for word in tokens:
        if word == "..":
            gap = rf"(?:{_SEPARATOR}[@#]?[\w']+){{0,3}}?"
            continue
        # The sign before an operator's name is how people address one: @beeline, #мтс.
        pattern += gap + _SEPARATOR + r"[@#_«\"]?" + _token_pattern(word)
        gap = ""
    return pattern


def compile_phrases(phrases: list[Phrase], version: str) -> PhraseBook:
    """Compile phrases into one expression; longer phrases win over shorter ones that start at the same place."""
    by_stem: dict[str, list[str]] = {}
    serial = count()
    ordered = sorted(enumerate(phrases), key=lambda item: (-len(item[1].phrase.split()), item[0]))
    for index, phrase in ordered:
        first, *rest = phrase.phrase.split()
        endings: dict[str, list[str]] = {}
        for word in first.split("|"):
            stem = word.rstrip("*")[:3]
            endings.setdefault(stem, []).append(word.removeprefix(stem))
        for stem, forms in endings.items():
            branch = f"(?:{'|'.join(map(_form_pattern, forms))}){_tail_pattern(rest)}"
            by_stem.setdefault(stem, []).append(f"(?P<p{index}_{next(serial)}>{branch})")
    # Letters come first and the look behind them after: the engine then skips to places that start with such letters.
    branches = [
        rf"{re.escape(stem)}(?<![\w-]{re.escape(stem)})(?:{'|'.join(patterns)})" for stem, patterns in by_stem.items()
    ]
    return PhraseBook(tuple(phrases), re.compile("|".join(branches) or "(?!)"), tuple(by_stem), version)


def load_phrases(path: Path) -> PhraseBook:
    """Read and compile the seed at `path`; raises PhrasesError naming line and column of the first bad cell."""
    phrases: list[Phrase] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise PhrasesError(f"{path}: columns are {reader.fieldnames}, wanted {list(COLUMNS)}")
        for row in reader:
            phrase = _parse(row, f"{path}:{reader.line_num}")
            if phrase.phrase_id in seen:
                raise PhrasesError(f"{path}:{reader.line_num}: phrase_id {phrase.phrase_id} is there twice")
            seen.add(phrase.phrase_id)
            phrases.append(phrase)
    return compile_phrases(phrases, _version(path))


def _parse(row: dict[str, str], where: str) -> Phrase:
    for column, allowed in (("language", LANGUAGES), ("person", PERSONS)):
        if row[column] not in allowed:
            raise PhrasesError(f"{where}: {column} is {row[column]!r}, allowed: {', '.join(allowed)}")
    words = row["phrase"].split()
    if not words or words[0] in ("..", "@operator") or words[-1] == ".." or "ё" in row["phrase"]:
        raise PhrasesError(f"{where}: phrase {row['phrase']!r} must start and end with words, written with е for ё")
    try:
        valid_from = date.fromisoformat(row["valid_from"])
        valid_to = date.fromisoformat(row["valid_to"]) if row["valid_to"] else None
    except ValueError:
        raise PhrasesError(
            f"{where}: valid_from and valid_to are dates as 2025-01-31 (valid_to may be empty)"
        ) from None
    return Phrase(
        row["phrase_id"], row["language"], row["phrase"], row["person"], row["rule_version"], valid_from, valid_to
    )


def _version(seed: Path) -> str:
    """Hash of the seed and of the code that reads with it: either one changes what a message says."""
    digest = hashlib.sha256(seed.read_bytes())
    for module in ("cues.py", "find.py", "phrases.py"):
        digest.update((Path(__file__).parent / module).read_bytes())
    return digest.hexdigest()
