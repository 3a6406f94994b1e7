"""Which language a message is in: by its letters, then by its commonest words. No model, no guess at short ones."""

import re
from typing import Literal

Language = Literal["ru", "en", "other"]

_CYRILLIC = re.compile(r"[а-яё]+", re.IGNORECASE)
_LATIN = re.compile(r"[a-z]+(?:'[a-z]+)?", re.IGNORECASE)
#: Letters of Kazakh, Ukrainian, Belarusian, Tatar and other neighbours: never Russian.
_NOT_RUSSIAN = re.compile(r"[әғқңөұүһіїєґўӘҒҚҢӨҰҮҺІЇЄҐЎ]")
_ENGLISH = re.compile(
    r"\b(?:the|an?|and|or|but|to|of|in|on|at|for|with|from|is|are|am|was|were|been?|i|i'm|i've|you|we|they|he|she|it|my"
    r"|your|our|me|us|this|that|there|not?|don't|can't|won't|didn't|have|has|had|do|does|did|will|would|can|could|please"
    r"|what|why|how|when|who|hello|hi|thanks?|again|still|just|very|so|if|all|more|out|up)\b",
    re.IGNORECASE,
)
#: Share of the words that a language's own must make up.
_NOT_RUSSIAN_SHARE, _ENGLISH_SHARE = 0.05, 0.15


def language_of(body: str, declared: str | None = None) -> Language:
    """`ru`, `en` or `other`. What the source `declared` decides only where letters fit and words are too few."""
    cyrillic = sum(map(len, _CYRILLIC.findall(body)))
    latin = _LATIN.findall(body)
    if cyrillic >= sum(map(len, latin)):
        if cyrillic == 0:
            return "other"
        return "other" if len(_NOT_RUSSIAN.findall(body)) > _NOT_RUSSIAN_SHARE * cyrillic else "ru"
    common = len(_ENGLISH.findall(body))
    if common >= max(1.0, _ENGLISH_SHARE * len(latin)):
        return "en"
    return "en" if declared == "en" and body.isascii() else "other"
