"""What the linear model sees of a text: words, pieces of words, pairs of words, and the signs of sentiment words.

Features are hashed into buckets: a model trained on customers' messages holds none of their words. Each word's features
are the same in every text; `linear` relies on it.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: Counts changes of what a feature is: a model of another one is refused, not misread.
VERSION = 1
BUCKETS = 1 << 18
#: Buckets of their own: a word with a sign in the list of sentiment words, and such a word after a negation.
SIGN_BUCKETS = {(-1, False): BUCKETS, (1, False): BUCKETS + 1, (-1, True): BUCKETS + 2, (1, True): BUCKETS + 3}
ALL_BUCKETS = BUCKETS + len(SIGN_BUCKETS)
#: A word has some 15 features; its sign counts as much as four of them, whatever the length of the word.
SIGN_WEIGHT = 4
#: More of a text than this is not read: nobody says something new there, and one message must not cost a second.
MAX_CHARS = 10_000

_GONE = re.compile(r"https?://\S+|www\.\S+|\S+@\S+\.\w+|@\w+")
_STRETCHED = re.compile(r"(.)\1{2,}")
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[:;=]-?[()dp/|\\*]+|[()]{2,}|[!?]+|[\u2190-\u2bff\U0001f000-\U0001faff]")
_NEGATIONS = frozenset((
    "не", "нет", "ни", "без", "нету", "никакой", "никакого", "никаких", "not", "no", "dont", "doesnt", "didnt", "isnt",
    "wasnt", "arent", "cant", "cannot", "couldnt", "wont", "wouldnt", "never", "without", "hardly",
))  # fmt: skip
#: Between a negation and its word: `не очень хорошо`, `not very good`.
_FILLERS = frozenset((
    "очень", "совсем", "особо", "так", "такой", "слишком", "сильно", "very", "really", "so", "that", "too", "a", "the",
    "any", "at", "all",
))  # fmt: skip


def words(text: str) -> list[str]:
    """Words, smileys, emoji and exclamation of `text` in order: lower case, `е` for `ё`, digits alike, no addresses."""
    folded = text[:MAX_CHARS].lower()
    if not folded.isascii():
        if not unicodedata.is_normalized("NFKC", folded):
            folded = unicodedata.normalize("NFKC", folded)
        folded = folded.replace("ё", "е").replace("’", "'")
    if "@" in folded or "://" in folded or "www." in folded:
        folded = _GONE.sub(" ", folded)
    # `don't` is one word.
    found = _TOKEN.findall(_STRETCHED.sub(r"\1\1", folded.replace("'", "")))
    return ["0" if word.isdigit() else word for word in found]


def is_readable(text: str) -> bool:
    """Whether there is anything in `text` that a model could know."""
    return _TOKEN.search(text, 0, MAX_CHARS) is not None


def bucket(feature: str) -> int:
    """Where a feature is counted; the same on every machine and in every process."""
    return zlib.crc32(feature.encode()) % BUCKETS


@dataclass(frozen=True)
class Signs:
    """Words that say sentiment by themselves: -1 or 1 by exact word, or by how the word starts (longest start wins)."""

    exact: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)

    def of(self, word: str) -> int:
        """-1, 1, or 0 for a word that is not in the list."""
        found = self.exact.get(word)
        if found is not None:
            return found
        for length in range(min(len(word), 16), 1, -1):
            found = self.starts.get(word[:length])
            if found is not None:
                return found
        return 0

    def word_features(self, word: str) -> list[tuple[int, int]]:
        """(bucket, weight) of one word: itself and its pieces of 3 to 5 letters, ends marked, and its sign."""
        marked = f"<{word[:40]}>"
        pieces = {marked[i : i + size] for size in (3, 4, 5) for i in range(len(marked) - size + 1)}
        found = [(bucket(piece), 1) for piece in sorted(pieces | {"w" + marked})]
        sign = self.of(word)
        return [*found, (SIGN_BUCKETS[sign, False], SIGN_WEIGHT)] if sign else found

    def negated(self, in_order: Sequence[str]) -> Iterator[int]:
        """Signs of the words that stand after a negation, each once a place: `не работает`, `not very good`."""
        is_negated = False
        for word in in_order:
            if is_negated and word not in _FILLERS:
                sign = self.of(word)
                if sign:
                    yield sign
                is_negated = False
            is_negated = is_negated or word in _NEGATIONS

    def text_features(self, text: str) -> dict[int, float]:
        """Weight by bucket of a whole text: different words and pairs count once, all is scaled by the length.

        The slow, plain way, for training; `linear.Model` gets the same scores from sums of words.
        """
        in_order = words(text)
        features = [one for word in dict.fromkeys(in_order) for one in self.word_features(word)]
        features += [(bucket(pair), 1) for pair in {f"{first} {second}" for first, second in pairwise(in_order)}]
        scale = max(sum(weight == 1 for _, weight in features), 1) ** -0.5
        features += [(SIGN_BUCKETS[sign, True], SIGN_WEIGHT) for sign in self.negated(in_order)]
        weights: dict[int, float] = {}
        for index, weight in features:
            weights[index] = weights.get(index, 0.0) + weight * scale
        return weights
