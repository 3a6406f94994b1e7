"""Words around a phrase that say whose and how serious it is: negation, unreal condition, somebody else's.

The words are lists of the seeds (word_lists.csv, competitors.csv); here is only what stands where.
"""

from typing import Literal

from retention.text.phrases import OPERATOR_SUBJECT, Phrase, WordSet
from retention.text.words import Words

Verdict = Literal["asserted", "negated", "third_party", "quoted", "unreal"]
Lists = dict[str, WordSet]

_BEFORE, _AFTER = 12, 6
#: `не собираюсь от вас никуда уходить`: fillers between the intent and the phrase.
_FILLERS = 5
#: `давно бы уже точно ушел`: words between the particle and the verb.
_UNREAL_REACH = 4


def verdict(words: Words, first: int, last: int, phrase: Phrase, lists: Lists) -> Verdict:
    """How a phrase that stands on the words from `first` to `last` was meant.

    What cannot be seen from the clause (irony, a negation two clauses away) is read as asserted.
    """
    if phrase.signal == "no_alternative":
        return "asserted"
    before, after = words.before(first, _BEFORE), words.after(last, _AFTER)
    if phrase.person == "third" or (phrase.person != "first" and _is_of_others(before, lists)):
        return "third_party"
    inside = words.words[first : last + 1]
    if _is_impossible(before, after, lists):
        return "unreal"
    if _is_negated(before, inside, after, phrase, lists):
        return "negated"
    return "unreal" if _is_unreal(before, inside, after, lists) else "asserted"


def _is_of_others(before: list[str], lists: Lists) -> bool:
    """Another subject stands before the phrase and the writer does not speak of himself after it."""
    for place, word in enumerate(before):
        if word in lists["own_subject"]:
            return False
        follower = before[place - 1] if place else ""
        if word in lists["other_subject"] and follower not in lists["no_subject_before"]:
            return True
        preposition = before[place + 1] if place + 1 < len(before) else ""
        if word in lists[OPERATOR_SUBJECT] and preposition not in lists["preposition"]:
            return True
    return False


def _is_impossible(before: list[str], after: list[str], lists: Lists) -> bool:
    """`нет возможности сменить`, `возможности сменить нету`."""
    rest = _less_fillers(before, lists["filler"])
    if not rest or rest[0] not in lists["possibility"]:
        return False
    return any(word in lists["negator"] for word in (*rest[1:3], *after[:2]))


def _is_negated(before: list[str], inside: list[str], after: list[str], phrase: Phrase, lists: Lists) -> bool:
    negator, intent, filler = lists["negator"], lists["intent"], lists["filler"]
    if any(word in lists["question"] for word in (*inside, *after[:2])):
        # `а не сменить ли оператора`
        return False
    if (before and before[0] in negator) or (not phrase.is_negative and any(word in negator for word in inside)):
        return True
    if any(word in lists["changed_mind"] for word in after[:2]):
        return True
    for place, word in enumerate(after[:3]):
        # `уходить от вас не хочу`
        if word in negator and after[place + 1 : place + 2] and after[place + 1] in intent:
            return True
    if phrase.person == "first":
        return False
    rest = _less_fillers(before, filler)
    if rest and rest[0] in lists["changed_mind"]:
        return True
    if rest and rest[0] in intent:
        rest = _less_fillers(rest[1:], filler)
    return bool(rest) and rest[0] in negator


def _is_unreal(before: list[str], inside: list[str], after: list[str], lists: Lists) -> bool:
    """A particle of the unreal mood near the verb, or a wish that is over (`хотел уйти, но`).

    A polite `хотела бы`, `would like to` is a request, not a dream.
    """
    particle, polite = lists["unreal"], lists["polite"]
    near = [*reversed(before[: _UNREAL_REACH + 1]), *inside, *after[:2]]
    for place, word in enumerate(near):
        if word in particle:
            return not any(neighbour in polite for neighbour in near[max(0, place - 1) : place + 2])
    rest = _less_fillers(before, lists["filler"])
    return bool(rest) and rest[0] in lists["unreal_before"]


def _less_fillers(words: list[str], filler: WordSet) -> list[str]:
    skipped = 0
    while skipped < min(_FILLERS, len(words)) and words[skipped] in filler:
        skipped += 1
    return words[skipped:]
