"""Words of a text with their places in it, and the words that a seed names by lemma.

A lemma in a seed (`уйти~`) is written out once, when the seed is read, into the forms pymorphy3 knows (with a
grammeme, `уйти~1per`, into those that carry it). A message is then matched by exact look-ups: as with a lemma for each
of its words, without the 75 microseconds that analysing a new word costs.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymorphy3 import MorphAnalyzer

#: Grammemes a seed may ask for. Participles are no past tense of anybody, so verbs only; a noun or name as a subject.
GRAMMEMES = {
    "1per": {"1per"}, "2per": {"2per"}, "3per": {"3per"}, "past": {"VERB", "past"}, "infn": {"INFN"},
    "impr": {"impr", "excl"}, "nomn": {"nomn"}, "short": {"PRTS"},
}  # fmt: skip
#: A hyphenated word is one: `сим-карту`, `перейду-ка`.
_WORD = r"\w+(?:['-]\w+)*"
WORD = re.compile(_WORD)
_STRESS = "\u0301"
#: Where the influence of a word ends; a single line break may stand anywhere.
CLAUSE_END = re.compile(r"[.!?;,:()…]|\n\s*\n|\s[-–—]\s")
#: Where a phrase ends: a comma inside is common (`перейду, наверное, к другому`).
SENTENCE_END = re.compile(r"[.!?;:()…]|\n\s*\n")


def fold(text: str) -> str:
    """Lower case, `е` for `ё`, straight apostrophes and hyphens."""
    # Chained replaces cost a hundredth of str.translate here.
    return text.lower().replace("ё", "е").replace("’", "'").replace("`", "'").replace("‑", "-")


def normalise(body: str) -> tuple[str, list[int] | None]:
    """Fold and NFKC. Returns the text and, when lengths differ, each character's offset in `body`.

    The list has one more element than the text: the offset of its end. A stress mark is no letter and goes.
    """
    if unicodedata.is_normalized("NFKC", body) and _STRESS not in body:
        folded = fold(body)
        if len(folded) == len(body):
            return folded, None
    characters: list[str] = []
    offsets: list[int] = []
    start = 0
    while start < len(body):
        end = start + 1
        # A letter and its combining marks are one: `и` + breve is `й`.
        while end < len(body) and unicodedata.combining(body[end]):
            end += 1
        folded = fold(unicodedata.normalize("NFKC", body[start:end])).replace(_STRESS, "")
        characters.append(folded)
        offsets.extend([start] * len(folded))
        start = end
    return "".join(characters), [*offsets, len(body)]


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a normalised text with their half-open places in it."""

    text: str
    words: list[str]
    spans: list[tuple[int, int]]

    def before(self, index: int, limit: int) -> list[str]:
        """At most `limit` words of the same clause before that word, the nearest first."""
        found: list[str] = []
        while index > 0 and len(found) < limit and not self._ends(CLAUSE_END, index):
            index -= 1
            found.append(self.words[index])
        return found

    def after(self, index: int, limit: int) -> list[str]:
        """At most `limit` words of the same clause after that word, the nearest first."""
        found: list[str] = []
        while index + 1 < len(self.words) and len(found) < limit and not self._ends(CLAUSE_END, index + 1):
            index += 1
            found.append(self.words[index])
        return found

    def is_broken(self, index: int) -> bool:
        """Whether a sentence ends between that word and the one before it."""
        return self._ends(SENTENCE_END, index)

    def _ends(self, end: re.Pattern[str], index: int) -> bool:
        return end.search(self.text, self.spans[index - 1][1], self.spans[index][0]) is not None


def word_pattern(names: set[str]) -> re.Pattern[str]:
    """What a word is, where some names have other signs in them: `дом.ру`."""
    special = sorted((name for name in names if not re.fullmatch(_WORD, name)), key=len, reverse=True)
    return re.compile("|".join([*(rf"\b{re.escape(name)}\b" for name in special), _WORD]))


@cache
def _analyzer() -> "MorphAnalyzer":
    import pymorphy3

    return pymorphy3.MorphAnalyzer(lang="ru")


@cache
def forms(lemma: str, grammeme: str | None) -> frozenset[str]:
    """The forms of a Russian lemma, folded; those with `grammeme` only when it is given. Empty: no such lemma."""
    wanted = GRAMMEMES[grammeme] if grammeme else set()
    return frozenset(
        fold(form.word)
        for parse in _analyzer().parse(lemma)
        if fold(parse.normal_form) == lemma
        for form in parse.lexeme
        if all(one in form.tag for one in wanted)
    )


@lru_cache(maxsize=200_000)
def is_name(word: str) -> bool:
    """Whether a folded word is somebody's name, first of all."""
    best = _analyzer().parse(word)[0].tag
    return "Name" in best or "Surn" in best or "Patr" in best
