"""Finds phrases of the seeds in a text and says how they were meant. Pure: no database, no clock.

Words are looked up by their exact form (lemmas were written out when the seed was read), then the clause around a
phrase is read. Precision and recall on silver labels: tests/real/test_threat_silver.py, docs/text.md.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from retention.text.cues import Verdict, verdict
from retention.text.phrases import HARMLESS, LANGUAGES, PhraseBook, Step, WordSet
from retention.text.words import Words, normalise

#: `пришлось сменить оператора` says one thing only, though `сменить оператора` says another.
SAME_WORDS = dict.fromkeys(("leaving", "left_already"), ("leaving", "left_already"))
ThreatKind = Literal["threat", "left_already", "would_leave_no_alternative", "none"]

_QUOTED = re.compile(r"«[^«»]{1,300}»|“[^“”]{1,300}”|„[^„“]{1,300}“|\"[^\"]{1,300}\"")


@dataclass(frozen=True, slots=True)
class Hit:
    """One phrase in one text; `start` and `end` are half-open character offsets into the text as it was given."""

    phrase_id: str
    rule_version: str
    signal: str
    start: int
    end: int
    verdict: Verdict


def find_phrases(body: str, language: str | None, book: PhraseBook) -> list[Hit]:
    """Phrases of `language` (all languages when None or not a known one) in `body`, in order.

    Two of one signal do not overlap: the one that starts first stands, of those the longest. Harmless phrases take
    their place and are not returned.
    """
    text, offsets = normalise(body)
    places = list(book.pattern.finditer(text))
    words = Words(text, [place[0] for place in places], [place.span() for place in places])
    candidates = [(first, index) for first, word in enumerate(words.words) for index in book.starting_with(word)]
    if not candidates:
        return []
    hits: list[Hit] = []
    harmless = _harmless(words, candidates, book)
    taken: dict[str, int] = {}
    quoted: list[tuple[int, int]] | None = None
    for first, index in candidates:
        phrase = book.phrases[index]
        if first < taken.get(phrase.signal, 0) or phrase.signal == HARMLESS:
            continue
        if language in LANGUAGES and phrase.language != language:
            continue
        last = _match(words, first, book.steps[index])
        if last is None or not harmless.isdisjoint(range(first, last + 1)):
            continue
        taken.update(dict.fromkeys(SAME_WORDS.get(phrase.signal, (phrase.signal,)), last + 1))
        start, end = words.spans[first][0], words.spans[last][1]
        if quoted is None:
            quoted = [found.span() for found in _QUOTED.finditer(text)]
        if any(opened < start and end < closed for opened, closed in quoted):
            meant: Verdict = "quoted"
        else:
            meant = verdict(words, first, last, phrase, book.lists[phrase.language])
        if offsets is not None:
            # The end is where the last matched character's cluster ends, not where it starts.
            stop = offsets[end - 1]
            start, end = offsets[start], next(offset for offset in offsets[end:] if offset > stop)
        hits.append(Hit(phrase.phrase_id, phrase.rule_version, phrase.signal, start, end, meant))
    return hits


def threat_kind(hits: Iterable[Hit]) -> ThreatKind:
    """What the hits of one message say together: the strongest of threat, has left, would leave and cannot, nothing."""
    said = {(hit.signal, hit.verdict) for hit in hits}
    if ("leaving", "asserted") in said:
        return "threat"
    if ("left_already", "asserted") in said:
        return "left_already"
    if said & {("no_alternative", "asserted"), ("leaving", "unreal"), ("left_already", "unreal")}:
        return "would_leave_no_alternative"
    return "none"


def _harmless(words: Words, candidates: list[tuple[int, int]], book: PhraseBook) -> set[int]:
    """Places of the words on which harmless phrases stand."""
    found: set[int] = set()
    for first, index in candidates:
        if book.phrases[index].signal == HARMLESS:
            last = _match(words, first, book.steps[index])
            if last is not None:
                found.update(range(first, last + 1))
    return found


def _match(words: Words, first: int, steps: tuple[Step, ...]) -> int | None:
    """Place of the last step's word when the first stands on `first`; the shortest gaps win. None: not here."""
    if len(steps) == 1:
        return first
    for place in range(first + 1, min(first + 2 + steps[1].gap, len(words.words))):
        if words.is_broken(place):
            return None
        if _is_in(words.words[place], steps[1].words):
            last = _match(words, place, steps[1:])
            if last is not None:
                return last
    return None


def _is_in(word: str, wanted: WordSet) -> bool:
    """`перейду-ка` and `мтс-украина` are read by their first part, too."""
    return word in wanted or ("-" in word and word.partition("-")[0] in wanted)
