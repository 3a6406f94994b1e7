"""The seeds of the reader of texts: rows of CSVs that people edit, compiled into look-ups by word.

A phrase is words of normalised text (lower case, `е` for `ё`):

- `word~` any form of a Russian lemma, `word~1per` those in the first person (see words.GRAMMEMES);
- `word*` any ending; `a|b` either word; `@list` any word of that list (word_lists.csv, competitors.csv);
- `..` up to three words between; anything else stands literally.

`person` says whose the verb form is: `first` (`уйду`), `third` (`уйдет`), `any` (infinitives, nouns, imperatives,
English), `past` (`ушел`: mine, unless the clause names another subject).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from retention.text import words
from retention.text.seeds import Row, SeedError, read_seed

LANGUAGES = ("ru", "en")
PERSONS = ("first", "third", "any", "past")
SIGNALS = ("leaving", "left_already", "no_alternative", "public_review", "regulator")
#: Looks like a phrase and is none: `перейти на другой тариф`.
HARMLESS = "harmless"
REPLY_SIGNALS = ("reason", "result")
GAP, GAP_WORDS = "..", 3
OPERATOR, OPERATOR_SUBJECT = "operator", "operator_subject"
_NEGATION = re.compile(r"(?:^|[ |])(?:не|ни|нет|not|never|no|don't|won't)(?=$|[ |])")


@dataclass(frozen=True)
class Phrase:
    """One row of a phrases seed."""

    phrase_id: str
    language: str
    phrase: str
    person: str
    signal: str
    rule_version: str

    @cached_property
    def is_negative(self) -> bool:
        """A negation belongs to it: `не буду пользоваться вашими`."""
        return _NEGATION.search(self.phrase) is not None


@dataclass(frozen=True, slots=True)
class WordSet:
    """Words by exact form or by how they start."""

    exact: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()

    def __contains__(self, word: str) -> bool:
        return word in self.exact or bool(self.starts and word.startswith(self.starts))


@dataclass(frozen=True, slots=True)
class Step:
    """The next word of a phrase and how many words may stand before it."""

    words: WordSet
    gap: int


@dataclass(frozen=True)
class PhraseBook:
    """Phrases and word lists that are in force together."""

    phrases: tuple[Phrase, ...]
    steps: tuple[tuple[Step, ...], ...]
    #: By language, then name.
    lists: dict[str, dict[str, WordSet]]

    def starting_with(self, word: str) -> tuple[int, ...]:
        """Phrases whose first word may be this one; the longest first."""
        found = self._by_first.get(word, ())
        if "-" in word and not found:
            found = self._by_first.get(word.partition("-")[0], ())
        if word.startswith(self._starts):
            by_start = (index for index, steps in enumerate(self.steps) if word in steps[0].words)
            found = tuple(sorted({*found, *by_start}, key=self._rank))
        return found

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a word of a text is."""
        return words.word_pattern(set(self.lists["ru"][OPERATOR].exact))

    @cached_property
    def _by_first(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {}
        for index in sorted(range(len(self.steps)), key=self._rank):
            for word in self.steps[index][0].words.exact:
                found.setdefault(word, []).append(index)
        return {word: tuple(indexes) for word, indexes in found.items()}

    @cached_property
    def _starts(self) -> tuple[str, ...]:
        return tuple({start for steps in self.steps for start in steps[0].words.starts})

    def _rank(self, index: int) -> tuple[int, int]:
        return -len(self.steps[index]), index


@dataclass(frozen=True)
class Rules:
    """Seeds by their days of validity; `version` changes with the seeds and with the reader's code."""

    phrases: tuple[Row, ...]
    lists: tuple[Row, ...]
    version: str
    _books: dict[int, PhraseBook] = field(default_factory=dict)

    def on(self, day: date) -> PhraseBook:
        """The phrases and lists in force on that day."""
        period = sum(change <= day for change in self._changes)
        if period not in self._books:
            phrases = [row for row in self.phrases if row.is_valid_on(day)]
            self._books[period] = _compile(phrases, [row for row in self.lists if row.is_valid_on(day)])
        return self._books[period]

    @cached_property
    def _changes(self) -> list[date]:
        return sorted({day for row in (*self.phrases, *self.lists) for day in (row.valid_from, row.valid_to) if day})


def load_rules(
    folder: Path, phrases: str = "phrases.csv", signals: Sequence[str] = SIGNALS, code: Sequence[str] = ()
) -> Rules:
    """Read the phrases seed of that name, `word_lists.csv` and `competitors.csv` of `folder`.

    `code` are further modules of this room whose change is a change of the rules. SeedError names file and line of the
    first bad row.
    """
    allowed = {"language": LANGUAGES, "person": PERSONS, "signal": (*signals, HARMLESS)}
    keyed = ("phrase_id", "language", "phrase", "person", "signal", "rule_version")
    paths = [folder / phrases, folder / "word_lists.csv", folder / "competitors.csv"]
    rows = read_seed(paths[0], keyed, "phrase_id", allowed)
    lists = [*read_seed(paths[1], ("list_name", "language", "words"), None, {"language": LANGUAGES}), *_names(paths[2])]
    by_language = _listed(lists)
    for row in rows:
        _check_phrase(row, by_language[row.cells["language"]])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths))
    for module in ("words.py", "seeds.py", "phrases.py", "cues.py", "find.py", *code):
        digest.update((Path(__file__).parent / module).read_bytes())
    return Rules(tuple(rows), tuple(lists), digest.hexdigest())


def _names(path: Path) -> list[Row]:
    """Competitors, in either language, as words of two lists: any form, and the name as it stands in a subject."""
    rows = []
    for row in read_seed(path, ("competitor", "words"), None, {}):
        subject = "|".join(word.rstrip("~*") for word in row.cells["words"].split("|"))
        for language in LANGUAGES:
            rows.append(row.with_cells(list_name=OPERATOR, language=language))
            rows.append(row.with_cells(list_name=OPERATOR_SUBJECT, language=language, words=subject))
    return rows


def _check_phrase(row: Row, lists: dict[str, WordSet]) -> None:
    phrase = row.cells["phrase"]
    tokens = phrase.split()
    if not tokens or GAP in (tokens[0], tokens[-1]) or "ё" in phrase:
        raise SeedError(f"{row.where}: phrase {phrase!r} must start and end with words, written with е for ё")
    for step in tokens:
        if step != GAP:
            _word_set(step, lists, row.where)


def _listed(lists: Sequence[Row]) -> dict[str, dict[str, WordSet]]:
    by_language: dict[str, dict[str, WordSet]] = {language: {} for language in LANGUAGES}
    for row in lists:
        named, name = by_language[row.cells["language"]], row.cells["list_name"]
        named[name] = _joined([named.get(name, WordSet()), _word_set(row.cells["words"], {}, row.where)])
    return by_language


def _compile(phrases: Sequence[Row], lists: Sequence[Row]) -> PhraseBook:
    by_language = _listed(lists)
    compiled = []
    for row in phrases:
        steps: list[Step] = []
        gap = 0
        for step in row.cells["phrase"].split():
            if step == GAP:
                gap = GAP_WORDS
                continue
            steps.append(Step(_word_set(step, by_language[row.cells["language"]], row.where), gap))
            gap = 0
        compiled.append(tuple(steps))
    return PhraseBook(tuple(Phrase(**row.cells) for row in phrases), tuple(compiled), by_language)


def _word_set(step: str, lists: Mapping[str, WordSet], where: str) -> WordSet:
    sets = []
    for word in step.split("|"):
        if word.startswith("@"):
            if word[1:] not in lists:
                raise SeedError(f"{where}: there is no list {word}; lists: {', '.join(sorted(lists))}")
            sets.append(lists[word[1:]])
        elif word.endswith("*"):
            sets.append(WordSet(starts=(word[:-1],)))
        elif "~" in word:
            lemma, _, grammeme = word.partition("~")
            if grammeme and grammeme not in words.GRAMMEMES:
                raise SeedError(f"{where}: {word!r}: after ~ stands one of {', '.join(words.GRAMMEMES)}")
            found = words.forms(lemma, grammeme or None)
            if not found:
                raise SeedError(f"{where}: {lemma!r} is no lemma with such forms; write the infinitive or nominative")
            sets.append(WordSet(found))
        else:
            sets.append(WordSet(frozenset({word})))
    return _joined(sets)


def _joined(sets: Sequence[WordSet]) -> WordSet:
    return WordSet(frozenset().union(*(one.exact for one in sets)), tuple(s for one in sets for s in one.starts))
