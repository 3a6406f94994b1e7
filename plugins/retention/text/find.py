"""Finds phrases of leaving in a text and says how they were meant. Pure: no database, no clock.

The simplest honest reader: listed forms, a few words of context, no statistics. What it cannot see (irony, a negation
two clauses away) it reads as asserted; precision and recall on silver labels are in tests/real/test_threat_silver.py.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from retention.text import cues
from retention.text.phrases import LANGUAGES, Phrase, PhraseBook

Verdict = Literal["asserted", "negated", "third_party", "quoted"]

_QUOTED = re.compile(r"«[^«»]{1,300}»|“[^“”]{1,300}”|„[^„“]{1,300}“|\"[^\"]{1,300}\"")
_WINDOW_CHARS = 80


@dataclass(frozen=True, slots=True)
class Hit:
    """One phrase in one text; `start` and `end` are half-open character offsets into the text as it was given."""

    phrase_id: str
    rule_version: str
    start: int
    end: int
    verdict: Verdict


def _fold(text: str) -> str:
    # Chained replaces cost a hundredth of str.translate here.
    return text.lower().replace("ё", "е").replace("’", "'").replace("`", "'").replace("‑", "-")


def normalise(body: str) -> tuple[str, list[int] | None]:
    """Lower case, NFKC, `е` for `ё`. Returns the text and, when lengths differ, each character's offset in `body`.

    The list has one more element than the text: the offset of its end.
    """
    if unicodedata.is_normalized("NFKC", body):
        folded = _fold(body)
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
        folded = _fold(unicodedata.normalize("NFKC", body[start:end]))
        characters.append(folded)
        offsets.extend([start] * len(folded))
        start = end
    return "".join(characters), [*offsets, len(body)]


def find_phrases(body: str, language: str | None, phrases: PhraseBook) -> list[Hit]:
    """Phrases of `language` (all languages when None or not a known one) in `body`, in order, not overlapping."""
    text, offsets = normalise(body)
    if not any(stem in text for stem in phrases.stems):
        return []
    hits: list[Hit] = []
    quoted: list[tuple[int, int]] | None = None
    for match in phrases.pattern.finditer(text):
        phrase = phrases.phrases[int((match.lastgroup or "").removeprefix("p").partition("_")[0])]
        if language in LANGUAGES and phrase.language != language:
            continue
        if quoted is None:
            quoted = [found.span() for found in _QUOTED.finditer(text)]
        start, end = match.span()
        if any(opened < start and end < closed for opened, closed in quoted):
            verdict: Verdict | None = "quoted"
        else:
            verdict = _verdict(text, start, end, phrase)
        if verdict is None:
            continue
        if offsets is not None:
            # The end is where the last matched character's cluster ends, not where it starts.
            last = offsets[end - 1]
            start, end = offsets[start], next(offset for offset in offsets[end:] if offset > last)
        hits.append(Hit(phrase.phrase_id, phrase.rule_version, start, end, verdict))
    return hits


def _clause(text: str, start: int, end: int) -> tuple[str, str]:
    """The words of the same clause before and after a match."""
    before = cues.CLAUSE_END.split(text[max(0, start - _WINDOW_CHARS) : start])[-1]
    after = cues.CLAUSE_END.split(text[end : end + _WINDOW_CHARS])[0]
    return before, after


def _verdict(text: str, start: int, end: int, phrase: Phrase) -> Verdict | None:
    before, after = _clause(text, start, end)
    inside = text[start:end]
    if phrase.language == "ru":
        is_negated = bool(
            cues.RU_NEGATED_DIRECTLY.search(before)
            or cues.RU_NEGATED_INSIDE.search(inside)
            or cues.RU_NEGATED_AFTER.search(after)
            or cues.RU_CONTRARY_BEFORE.search(before)
            or cues.RU_CONTRARY_AFTER.search(after)
            or (phrase.person != "first" and cues.RU_NEGATED_INTENT.search(before))
        )
        other, own = cues.RU_OTHER_SUBJECT, cues.RU_OWN_SUBJECT
    else:
        is_negated = bool(
            cues.EN_NEGATED.search(before)
            or cues.EN_NEGATED_INSIDE.search(inside)
            or cues.EN_CONTRARY_BEFORE.search(before)
        )
        other, own = cues.EN_OTHER_SUBJECT, cues.EN_OWN_SUBJECT
    if phrase.person == "third" or (phrase.person != "first" and _is_of_others(before, other, own)):
        return "third_party"
    if phrase.person == "past":
        return None
    return "negated" if is_negated else "asserted"


def _is_of_others(before: str, other: re.Pattern[str], own: re.Pattern[str]) -> bool:
    subjects = list(other.finditer(before))
    return bool(subjects) and own.search(before, subjects[-1].end()) is None
