"""The analyst's topic words: rows of the seed topic_words, compiled into look-ups by word.

`words` is one to three words that stand together, written as in the phrases seed: `word~` any form of a Russian lemma,
`word*` any ending, `a|b` either; anything else stands literally (lower case, `е` for `ё`). Each row has an example, and
a test reads it.
"""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from retention.text import words as lemmas
from retention.text.features import words
from retention.text.seeds import SeedError

COLUMNS = ("topic", "language", "words", "example")
_KEPT_WORDS = 200_000


@dataclass(frozen=True)
class _Step:
    exact: frozenset[str]
    starts: tuple[str, ...]

    def fits(self, word: str) -> bool:
        return word in self.exact or bool(self.starts and word.startswith(self.starts))


@dataclass(frozen=True)
class TopicWords:
    """Rows of the seed: (topic, steps), and which of them may begin with a word."""

    rows: tuple[tuple[str, tuple[_Step, ...]], ...]
    _begin: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    def find(self, text: str) -> str | None:
        """The topic most of whose rows are in the text; on a tie the one that comes first. None without any."""
        in_order = words(text)
        found: dict[int, int] = {}
        for place, word in enumerate(in_order):
            for index in self._beginning_with(word):
                steps = self.rows[index][1]
                rest = in_order[place + 1 : place + len(steps)]
                if len(rest) == len(steps) - 1 and all(step.fits(w) for step, w in zip(steps[1:], rest, strict=True)):
                    found.setdefault(index, place)
        if not found:
            return None
        # A row of two words says more than one of one.
        votes: Counter[str] = Counter()
        for index in sorted(found, key=found.__getitem__):
            votes[self.rows[index][0]] += len(self.rows[index][1])
        return votes.most_common(1)[0][0]

    def _beginning_with(self, word: str) -> tuple[int, ...]:
        known = self._begin.get(word)
        if known is None:
            if len(self._begin) >= _KEPT_WORDS:
                self._begin.clear()
            known = tuple(index for index, (_, steps) in enumerate(self.rows) if steps[0].fits(word))
            self._begin[word] = known
        return known


def load_topic_words(path: Path) -> TopicWords:
    """Read the seed; SeedError names file, line and column of the first bad row."""
    rows = []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise SeedError(f"{path}: columns are {reader.fieldnames}, wanted {list(COLUMNS)}")
        for row in reader:
            where = f"{path}:{reader.line_num}"
            tokens = (row["words"] or "").split()
            if not 1 <= len(tokens) <= 3:
                raise SeedError(f"{where}: column words has {len(tokens)} words, allowed are one to three")
            if not row["topic"]:
                raise SeedError(f"{where}: column topic is empty: write a level_2 of the seed topics")
            rows.append((row["topic"], tuple(_step(token, where) for token in tokens)))
    return TopicWords(tuple(rows))


def _step(token: str, where: str) -> _Step:
    exact: set[str] = set()
    starts: list[str] = []
    for word in token.split("|"):
        if words(word.rstrip("~*")) != [word.rstrip("~*")]:
            raise SeedError(f"{where}: column words: {word!r} is not one word in lower case with е for ё")
        if word.endswith("*"):
            starts.append(word[:-1])
        elif word.endswith("~"):
            forms = lemmas.forms(word[:-1], None)
            if not forms:
                raise SeedError(f"{where}: column words: {word[:-1]!r} is no lemma; write the infinitive or nominative")
            exact |= forms
        else:
            exact.add(word)
    return _Step(frozenset(exact), tuple(starts))
